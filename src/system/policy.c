#include "system/policy.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/xalloc.h"
#include "system/dns.h"
#include "system/firewall.h"

#define FIRST_TABLE    51820
#define SRC_VALID_MARK "net/ipv4/conf/all/src_valid_mark"

uint32_t policy_choose_mark(struct netlink *n, const struct conf *c)
{
	uint32_t table = FIRST_TABLE;

	if (c->has_fwmark)
		return c->fwmark;
	while (!netlink_table_empty(n, AF_INET, table) || !netlink_table_empty(n, AF_INET6, table))
		table++;
	return table;
}

/* ---- sysctl ---- */

static char *sysctl_path(const char *name)
{
	return xasprintf("/proc/sys/%s", name);
}

static int sysctl_read(const char *name, char out[32])
{
	char *path = sysctl_path(name), *text;
	size_t len;
	int r = file_read(path, &text, &len, 4096, NULL);

	free(path);
	if (r)
		return r;
	snprintf(out, 32, "%.*s", (int)strcspn(text, "\n"), text);
	free(text);
	return 0;
}

static int sysctl_write(const char *name, const char *value)
{
	char *path = sysctl_path(name);
	int fd = open(path, O_WRONLY | O_CLOEXEC), r = 0;

	free(path);
	if (fd < 0)
		return -errno;
	if (write(fd, value, strlen(value)) < 0)
		r = -errno;
	close(fd);
	return r;
}

/* The reverse path filter is to look at the mark too, or answers through strict filters are lost. */
static int sysctl_on(struct journal *j, struct error *e)
{
	char old[32];
	struct undo u = {.kind = UNDO_SYSCTL, .family = AF_INET, .name = (char *)SRC_VALID_MARK, .text = old};
	int r = sysctl_read(SRC_VALID_MARK, old);

	for (unsigned i = 0; i < j->count; i++)
		if (j->items[i].kind == UNDO_SYSCTL)
			return 0;
	if (!r) {
		/* Also when it is 1 already: this entry tells other interfaces that it is needed. */
		r = journal_add(j, &u, e);
		if (r)
			return r;
		r = strcmp(old, "1") ? sysctl_write(SRC_VALID_MARK, "1") : 0;
	}
	if (r)
		log_warn("system", "cannot set %s: %s: where rp_filter is 1, answers of peers may be dropped",
			 SRC_VALID_MARK, strerror(-r));
	else if (strcmp(old, "1"))
		log_info("system", "%s set to 1", SRC_VALID_MARK);
	return 0;
}

/* Another interface of ours may need it still: its journal, beside ours, says so. */
static bool others_need_sysctl(const struct journal *j)
{
	const char *slash = strrchr(j->path, '/');
	char *pattern = xasprintf("%.*s/*.undo", slash ? (int)(slash - j->path) : 1, slash ? j->path : ".");
	bool needed = false;
	glob_t g;

	if (!glob(pattern, GLOB_NOSORT, NULL, &g)) {
		for (size_t i = 0; i < g.gl_pathc; i++) {
			struct journal other;

			if (!strcmp(g.gl_pathv[i], j->path) || journal_load(&other, g.gl_pathv[i], NULL))
				continue;
			for (unsigned k = 0; k < other.count; k++)
				needed |= other.items[k].kind == UNDO_SYSCTL;
			journal_clear(&other);
		}
		globfree(&g);
	}
	free(pattern);
	return needed;
}

static int sysctl_off(const struct journal *j, const struct undo *u)
{
	int r;

	/* A journal names nothing else: what does was not written by us. */
	if (!u->name || strcmp(u->name, SRC_VALID_MARK) || !u->text)
		return -EINVAL;
	if (!strcmp(u->text, "1") || others_need_sysctl(j))
		return 0;
	r = sysctl_write(u->name, u->text);
	log_info("system", "%s set back to %s", u->name, u->text);
	return r;
}

/* ---- on ---- */

static int add_rule(struct netlink *n, struct journal *j, const struct undo *u, struct error *e)
{
	int r = journal_add(j, u, e);

	if (r)
		return r;
	r = u->kind == UNDO_RULE ? netlink_rule_not_fwmark(n, true, u->family, u->mark, u->table)
				 : netlink_rule_suppress(n, true, u->family);
	/* The same rule is there already: a crashed run's, or of someone who wants what we want. */
	if (r && r != -EEXIST)
		return error_set(
			e, -r, "cannot add the routing rule for the default route: %s%s", strerror(-r),
			r == -EAFNOSUPPORT || r == -EOPNOTSUPP
				? ": the kernel lacks policy routing for this family; take the /0 out of "
				  "AllowedIPs, or Table = off"
				: "");
	return 0;
}

int policy_on(struct netlink *n, struct journal *j, const struct conf *c, int family, uint32_t mark,
	      struct run_outputs *o, struct error *e)
{
	struct undo rule = {.kind = UNDO_RULE, .family = family, .mark = mark, .table = mark};
	struct undo suppress = {.kind = UNDO_SUPPRESS, .family = family};
	int r = firewall_on(j, c, family, mark, o, e);

	if (!r && family == AF_INET)
		r = sysctl_on(j, e);
	for (unsigned i = 0; !r && i < j->count; i++)
		if (j->items[i].kind == UNDO_RULE && j->items[i].family == family)
			return 0;
	if (!r)
		r = add_rule(n, j, &rule, e);
	if (!r)
		r = add_rule(n, j, &suppress, e);
	if (!r)
		log_info("system", "IPv%c without mark 0x%x goes by table %u", family == AF_INET ? '4' : '6',
			 mark, mark);
	return r;
}

/* ---- off ---- */

int undo_one(struct netlink *n, const struct journal *j, const struct undo *u, struct run_outputs *o)
{
	int r = -EINVAL;

	switch (u->kind) {
	case UNDO_RULE:
		r = netlink_rule_not_fwmark(n, false, u->family, u->mark, u->table);
		if (!r)
			log_info("system", "rule for table %u removed", u->table);
		break;
	case UNDO_SUPPRESS:
		r = netlink_rule_suppress(n, false, u->family);
		break;
	case UNDO_NFT:
	case UNDO_IPTABLES:
		r = firewall_off(u, j->ifname, o);
		break;
	case UNDO_DNS:
		r = u->text ? dns_unset(u->text, j->ifname, o) : -EINVAL;
		break;
	case UNDO_SYSCTL:
		r = sysctl_off(j, u);
		break;
	case UNDO_KINDS:
		break;
	}
	return r == -ENOENT || r == -ESRCH ? 0 : r;
}

bool undo_is_policy(const struct undo *u, int family)
{
	return u->kind != UNDO_DNS && u->family == family;
}

bool undo_is_dns(const struct undo *u, int family)
{
	(void)family;
	return u->kind == UNDO_DNS;
}

unsigned undo_all(struct netlink *n, struct journal *j, bool (*wanted)(const struct undo *u, int family),
		  int family, struct run_outputs *o)
{
	unsigned failed = 0;

	for (unsigned i = j->count; i-- > 0;) {
		int r;

		if (wanted && !wanted(&j->items[i], family))
			continue;
		r = undo_one(n, j, &j->items[i], o);
		if (r) {
			failed++;
			log_warn("system", "could not undo something of %s: %s", j->ifname, strerror(-r));
		}
		journal_done(j, i);
	}
	return failed;
}
