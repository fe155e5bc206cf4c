#include "system/dns.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/log.h"
#include "base/strbuf.h"
#include "base/xalloc.h"

/* Words of a command line. */
struct words {
	const char **items;
	unsigned count;
};

static void word(struct words *w, const char *text)
{
	w->items = xrealloc(w->items, (w->count + 2) * sizeof(*w->items));
	w->items[w->count++] = text;
	w->items[w->count] = NULL;
}

/*
 * Debian's resolvconf orders interfaces by patterns in a file; "tun." in front of the name lets ours be found
 * by the first of them. The one of systemd is a link to resolvectl, and has no such file.
 */
static char *resolvconf_name(const char *ifname)
{
	char path[PATH_MAX], *text = NULL, *line, *rest, *name = NULL;
	struct stat st;
	size_t len;

	if (!run_find("resolvconf", path, sizeof(path)) || lstat(path, &st) || S_ISLNK(st.st_mode) ||
	    file_read("/etc/resolvconf/interface-order", &text, &len, 65536, NULL))
		return xstrdup(ifname);
	for (line = strtok_r(text, "\n", &rest); line && !name; line = strtok_r(NULL, "\n", &rest)) {
		len = strspn(line, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-");
		if (len && !strcmp(line + len, "*"))
			name = xasprintf("%.*s.%s", (int)len, line, ifname);
	}
	free(text);
	return name ? name : xstrdup(ifname);
}

static int with_resolvconf(const char *name, const struct conf *c, struct run_outputs *o)
{
	const char *const argv[] = {"resolvconf", "-a", name, "-m", "0", "-x", NULL};
	struct strbuf input = {0};
	int status;

	for (size_t i = 0; i < c->dns_servers.count; i++)
		strbuf_add(&input, "nameserver %s\n", c->dns_servers.items[i]);
	for (size_t i = 0; i < c->dns_search.count; i++)
		strbuf_add(&input, "%s%s", i ? " " : "search ", c->dns_search.items[i]);
	if (c->dns_search.count)
		strbuf_add(&input, "\n");
	status = run_program(argv, input.text, c->ifname, "resolvconf", o);
	strbuf_clear(&input);
	return status;
}

/* "~." makes it the resolver of all names, which is what -x means to resolvconf. */
static int with_resolvectl(const struct conf *c, struct run_outputs *o)
{
	struct words dns = {0}, domain = {0};
	int status;

	word(&dns, "resolvectl");
	word(&dns, "dns");
	word(&dns, c->ifname);
	for (size_t i = 0; i < c->dns_servers.count; i++)
		word(&dns, c->dns_servers.items[i]);
	word(&domain, "resolvectl");
	word(&domain, "domain");
	word(&domain, c->ifname);
	word(&domain, "~.");
	for (size_t i = 0; i < c->dns_search.count; i++)
		if (strcmp(c->dns_search.items[i], "~."))
			word(&domain, c->dns_search.items[i]);
	status = run_program(dns.items, NULL, c->ifname, "resolvectl", o);
	if (!status)
		status = run_program(domain.items, NULL, c->ifname, "resolvectl", o);
	free(dns.items);
	free(domain.items);
	return status;
}

int dns_set(struct journal *j, const struct conf *c, struct run_outputs *o, struct error *e)
{
	bool resolvconf = run_find("resolvconf", NULL, 0);
	struct undo u = {.kind = UNDO_DNS};
	char *name;
	int r;

	if (!c->dns_servers.count)
		return 0;
	if (!resolvconf && !run_find("resolvectl", NULL, 0))
		return error_set(e, ENOENT,
				 "DNS is given, but neither resolvconf nor resolvectl is installed: install "
				 "openresolv or "
				 "systemd-resolved, or take the DNS line out");
	name = resolvconf ? resolvconf_name(c->ifname) : xstrdup(c->ifname);
	u.text = xasprintf("%s %s", resolvconf ? "resolvconf" : "resolvectl", name);
	r = journal_add(j, &u, e);
	if (!r) {
		int status = resolvconf ? with_resolvconf(name, c, o) : with_resolvectl(c, o);

		if (status)
			r = error_set(e, status < 0 ? -status : EIO,
				      "%s could not set the DNS servers (status %d)",
				      resolvconf ? "resolvconf" : "resolvectl", status);
		else
			log_info("system", "DNS of %s is %s%s through %s", c->ifname, c->dns_servers.items[0],
				 c->dns_servers.count > 1 ? " and more" : "",
				 resolvconf ? "resolvconf" : "resolvectl");
	}
	free(u.text);
	free(name);
	return r;
}

int dns_unset(const char *text, const char *ifname, struct run_outputs *o)
{
	const char *name = strchr(text, ' ');
	int status;

	if (!name)
		return -EINVAL;
	if (!strncmp(text, "resolvconf ", 11)) {
		const char *const argv[] = {"resolvconf", "-d", name + 1, "-f", NULL};

		status = run_program(argv, NULL, ifname, "resolvconf", o);
	} else {
		const char *const argv[] = {"resolvectl", "revert", name + 1, NULL};

		/* systemd-resolved forgets an interface that is gone by itself. */
		status = run_program(argv, NULL, ifname, "resolvectl", NULL) < 0 ? -EIO : 0;
	}
	log_info("system", "DNS of %s taken away", ifname);
	return status ? -EIO : 0;
}
