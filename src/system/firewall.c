#include "system/firewall.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/strbuf.h"

#define TABLE_NAME_MAX (5 + 3 * IFNAMSIZ)

/* "weir-" and the interface; what nft takes for a sign of its own is spelt in hex. */
static void table_name(char out[TABLE_NAME_MAX], const char *ifname)
{
	char *to = stpcpy(out, "weir-");

	for (; *ifname; ifname++)
		to += sprintf(to, isalnum((unsigned char)*ifname) || strchr("_-.", *ifname) ? "%c" : "_%02x",
			      (unsigned char)*ifname);
}

static const char *nft_family(int family)
{
	return family == AF_INET ? "ip" : "ip6";
}

static void each_address(struct strbuf *s, const struct conf *c, int family,
			 void (*fn)(struct strbuf *s, const struct conf *c, int family, const char *address))
{
	for (size_t i = 0; i < c->address_count; i++) {
		char address[INET6_ADDRSTRLEN];

		if (c->addresses[i].family != family)
			continue;
		inet_ntop(family, c->addresses[i].addr, address, sizeof(address));
		fn(s, c, family, address);
	}
}

/* ---- nft ---- */

static void nft_drop(struct strbuf *s, const struct conf *c, int family, const char *address)
{
	strbuf_add(s, "\t\tiifname != \"%s\" %s daddr %s fib saddr type != local drop\n", c->ifname,
		   nft_family(family), address);
}

/* Adding and deleting first makes it the same whether something was there or not, in one transaction. */
static void nft_text(struct strbuf *s, const struct conf *c, int family, uint32_t mark, const char *name)
{
	const char *nft = nft_family(family);

	strbuf_add(s, "add table %s %s\ndelete table %s %s\ntable %s %s {\n", nft, name, nft, name, nft,
		   name);
	strbuf_add(s, "\tchain preraw {\n\t\ttype filter hook prerouting priority -300\n");
	each_address(s, c, family, nft_drop);
	strbuf_add(s, "\t}\n\tchain premangle {\n\t\ttype filter hook prerouting priority -150\n"
		      "\t\tmeta l4proto udp meta mark set ct mark\n\t}\n");
	strbuf_add(s,
		   "\tchain postmangle {\n\t\ttype filter hook postrouting priority -150\n"
		   "\t\tmeta l4proto udp meta mark %u ct mark set meta mark\n\t}\n}\n",
		   mark);
}

static int run_nft(const char *text, const char *ifname, struct run_outputs *o)
{
	static const char *const argv[] = {"nft", "-f", "-", NULL};

	return run_program(argv, text, ifname, "nft", o);
}

static int nft_on(struct journal *j, const struct conf *c, int family, uint32_t mark, struct run_outputs *o,
		  struct error *e)
{
	char name[TABLE_NAME_MAX];
	struct undo u = {.kind = UNDO_NFT, .family = family, .text = name};
	struct strbuf s = {0};
	bool known = false;
	int r = 0;

	table_name(name, c->ifname);
	for (unsigned i = 0; i < j->count; i++)
		known |= j->items[i].kind == UNDO_NFT && j->items[i].family == family;
	if (!known)
		r = journal_add(j, &u, e);
	if (!r) {
		nft_text(&s, c, family, mark, name);
		r = run_nft(s.text, c->ifname, o) ? 1 : 0;
	}
	strbuf_clear(&s);
	return r;
}

/* ---- iptables ---- */

static const char *iptables_restore(int family)
{
	return family == AF_INET ? "iptables-restore" : "ip6tables-restore";
}

static void iptables_drop(struct strbuf *s, const struct conf *c, int family, const char *address)
{
	(void)family;
	strbuf_add(s,
		   "-I PREROUTING ! -i %s -d %s -m addrtype ! --src-type LOCAL -j DROP -m comment --comment "
		   "\"weir(8) rule for %s\"\n",
		   c->ifname, address, c->ifname);
}

static void iptables_text(struct strbuf *s, const struct conf *c, int family, uint32_t mark)
{
	strbuf_add(s, "*raw\n");
	each_address(s, c, family, iptables_drop);
	strbuf_add(s,
		   "COMMIT\n*mangle\n"
		   "-I POSTROUTING -m mark --mark %u -p udp -j CONNMARK --save-mark -m comment --comment "
		   "\"weir(8) rule for %s\"\n"
		   "-I PREROUTING -p udp -j CONNMARK --restore-mark -m comment --comment \"weir(8) rule for "
		   "%s\"\n"
		   "COMMIT\n",
		   mark, c->ifname, c->ifname);
}

static int run_restore(int family, const char *text, const char *ifname, struct run_outputs *o)
{
	const char *const argv[] = {iptables_restore(family), "-n", NULL};

	return run_program(argv, text, ifname, argv[0], o);
}

static int iptables_on(struct journal *j, const struct conf *c, int family, uint32_t mark,
		       struct run_outputs *o, struct error *e)
{
	struct undo u = {.kind = UNDO_IPTABLES, .family = family};
	struct strbuf s = {0}, off = {0};
	int r;

	for (unsigned i = j->count; i-- > 0;) {
		if (j->items[i].kind != UNDO_IPTABLES || j->items[i].family != family)
			continue;
		firewall_off(&j->items[i], c->ifname, o);
		journal_done(j, i);
	}
	iptables_text(&s, c, family, mark);
	strbuf_append(&off, s.text, s.len);
	for (char *at = off.text; (at = strstr(at, "-I P")); at++)
		at[1] = 'D';
	u.text = off.text;
	r = journal_add(j, &u, e);
	if (!r)
		r = run_restore(family, s.text, c->ifname, o) ? 1 : 0;
	strbuf_clear(&s);
	strbuf_clear(&off);
	return r;
}

/* ---- either ---- */

int firewall_on(struct journal *j, const struct conf *c, int family, uint32_t mark, struct run_outputs *o,
		struct error *e)
{
	int r = 1;

	if (run_find("nft", NULL, 0))
		r = nft_on(j, c, family, mark, o, e);
	if (r > 0 && run_find(iptables_restore(family), NULL, 0))
		r = iptables_on(j, c, family, mark, o, e);
	if (r > 0)
		log_warn("system",
			 "no firewall rule for %s could be set (install nftables): packets for its %s "
			 "addresses are taken "
			 "from any interface",
			 c->ifname, family == AF_INET ? "IPv4" : "IPv6");
	else if (!r)
		log_info("system", "firewall rules for %s (%s) set", c->ifname, nft_family(family));
	return r < 0 ? r : 0;
}

int firewall_off(const struct undo *u, const char *ifname, struct run_outputs *o)
{
	struct strbuf s = {0};
	int status;

	if (!u->text)
		return -EINVAL;
	if (u->kind == UNDO_IPTABLES)
		return run_restore(u->family, u->text, ifname, o) ? -EIO : 0;
	strbuf_add(&s, "add table %s %s\ndelete table %s %s\n", nft_family(u->family), u->text,
		   nft_family(u->family), u->text);
	status = run_nft(s.text, ifname, o);
	strbuf_clear(&s);
	log_info("system", "firewall rules for %s (%s) removed", ifname, nft_family(u->family));
	return status ? -EIO : 0;
}
