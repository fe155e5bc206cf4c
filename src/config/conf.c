/* The configuration as an object: where it is, its life, and the complaints about it. */
#include "config/conf.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/strbuf.h"
#include "base/xalloc.h"
#include "config/parse.h"

#define CONF_BYTES_MAX (64u << 20)

/* ---- complaints ---- */

void conf_complain(struct conf_messages *m, enum conf_severity severity, int line, int column,
		   const char *hint, const char *fmt, ...)
{
	struct conf_message *message;
	char text[400];
	va_list ap;

	if (severity == CONF_ERROR)
		m->errors++;
	if (m->count >= CONF_MESSAGES_MAX)
		return;
	if (m->count == CONF_MESSAGES_MAX - 1) {
		severity = CONF_WARNING;
		line = column = 0;
		hint = NULL;
		fmt = "and more, not shown";
	}
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	m->items = conf_grow(m->items, m->count, sizeof(*m->items));
	message = &m->items[m->count++];
	*message = (struct conf_message){severity, line, column, xstrdup(text), hint ? xstrdup(hint) : NULL};
}

void conf_messages_clear(struct conf_messages *m)
{
	for (size_t i = 0; i < m->count; i++) {
		free(m->items[i].text);
		free(m->items[i].hint);
	}
	free(m->items);
	*m = (struct conf_messages){0};
}

char *conf_message_line(const struct conf_message *message, const char *path)
{
	struct strbuf s = {0};

	strbuf_add(&s, "%s", path);
	if (message->line)
		strbuf_add(&s, ":%d:%d", message->line, message->column ? message->column : 1);
	strbuf_add(&s, ": %s: %s", message->severity == CONF_ERROR ? "error" : "warning", message->text);
	if (message->hint)
		strbuf_add(&s, ": %s", message->hint);
	return s.text;
}

void conf_messages_print(const struct conf_messages *m, const char *path, FILE *to)
{
	for (size_t i = 0; i < m->count; i++) {
		char *line = conf_message_line(&m->items[i], path);

		fprintf(to, "%s\n", line);
		free(line);
	}
}

/* ---- life ---- */

void *conf_grow(void *items, size_t count, size_t size)
{
	if (count & (count - 1))
		return items;
	return xrealloc(items, (count ? 2 * count : 1) * size);
}

void conf_list_add(struct conf_list *list, const char *item)
{
	list->items = conf_grow(list->items, list->count, sizeof(*list->items));
	list->items[list->count++] = xstrdup(item);
}

static void list_free(struct conf_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		free(list->items[i]);
	free(list->items);
}

void conf_free(struct conf *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < c->peer_count; i++) {
		struct conf_peer *p = &c->peers[i];

		free(p->name);
		free(p->allowed);
		free(p->host);
		free(p->port);
		free(p->relay);
		key_wipe(&p->psk);
	}
	free(c->peers);
	free(c->addresses);
	list_free(&c->dns_servers);
	list_free(&c->dns_search);
	list_free(&c->pre_up);
	list_free(&c->post_up);
	list_free(&c->pre_down);
	list_free(&c->post_down);
	engine_network_clear(&c->network);
	free(c->path);
	free(c->metrics);
	key_wipe(&c->private_key);
	free(c);
}

/* ---- where ---- */

bool conf_name_is_good(const char *ifname)
{
	size_t len = strlen(ifname);

	return len > 0 && len < IFNAMSIZ && strcmp(ifname, ".") && strcmp(ifname, "..") &&
	       strspn(ifname, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_=+.-") == len;
}

static int locate_path(const char *argument, char **path, char ifname[IFNAMSIZ], struct error *e)
{
	const char *slash = strrchr(argument, '/'), *base = slash ? slash + 1 : argument;
	size_t len = strlen(base);
	char folder[PATH_MAX], name[IFNAMSIZ];

	if (len < 6 || strcmp(base + len - 5, ".conf") || len - 5 >= IFNAMSIZ)
		goto bad_name;
	memcpy(name, base, len - 5);
	name[len - 5] = '\0';
	if (!conf_name_is_good(name))
		goto bad_name;
	if (access(argument, F_OK))
		return error_exit(e, EXIT_CONFIG, errno, "%s: %s", argument, strerror(errno));
	if (*argument == '/')
		*path = xstrdup(argument);
	else if (getcwd(folder, sizeof(folder)))
		*path = xasprintf("%s/%s", folder, argument);
	else
		return error_set(e, errno, "cannot tell the current folder: %s", strerror(errno));
	strcpy(ifname, name);
	return 0;
bad_name:
	return error_exit(
		e, EXIT_USAGE, EINVAL,
		"%s: a configuration file is named after its interface: 1 to 15 of a-z A-Z 0-9 _=+.- and "
		"then .conf",
		argument);
}

int conf_locate(const char *argument, char **path, char ifname[IFNAMSIZ], struct error *e)
{
	static const char *const folders[] = {SYSCONFDIR "/weir", SYSCONFDIR "/wireguard", "/etc/weir",
					      "/etc/wireguard"};
	size_t len = strlen(argument);

	if (strchr(argument, '/') || (len > 5 && !strcmp(argument + len - 5, ".conf")))
		return locate_path(argument, path, ifname, e);
	if (!conf_name_is_good(argument))
		return error_exit(e, EXIT_USAGE, EINVAL,
				  "\"%.40s\" is no interface name: 1 to 15 of a-z A-Z 0-9 _=+.- are",
				  argument);
	for (size_t i = 0; i < sizeof(folders) / sizeof(*folders); i++) {
		char *try = xasprintf("%s/%s.conf", folders[i], argument);

		/* A file that we may not see (EACCES) is the one that is meant: reading it will say so. */
		if (!access(try, F_OK) || errno == EACCES) {
			*path = try;
			strcpy(ifname, argument);
			return 0;
		}
		free(try);
	}
	return error_exit(e, EXIT_CONFIG, ENOENT,
			  "no configuration of \"%s\": neither weir/%s.conf nor wireguard/%s.conf is in %s%s",
			  argument, argument, argument, strcmp(SYSCONFDIR, "/etc") ? SYSCONFDIR " or " : "",
			  "/etc");
}

/* ---- reading ---- */

/* As wg-quick(8) has it: what lies in a closed folder is closed. */
bool open_to_all(const char *path, const struct stat *st)
{
	const char *slash = strrchr(path, '/');
	char *folder = slash ? xasprintf("%.*s/", (int)(slash - path), path) : xstrdup(".");
	struct stat above;
	bool open = st->st_mode & S_IRWXO && !stat(folder, &above) && above.st_mode & S_IXOTH;

	free(folder);
	return open;
}

/* A key or another secret in the file itself, not in one that it names. */
static bool holds_secret(const char *text)
{
	static const char *const words[] = {"PrivateKey", "PresharedKey", "Secret", "Token", "TurnPassword"};

	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
		for (const char *at = text; (at = strcasestr(at, words[i]));) {
			at += strlen(words[i]);
			if (at[strspn(at, " \t")] == '=')
				return true;
		}
	}
	return false;
}

struct conf *conf_read(const char *path, const char *ifname, struct conf_messages *m)
{
	struct conf *c = NULL;
	struct error e = {0};
	struct stat st;
	char *text;
	size_t len;

	if (stat(path, &st)) {
		conf_complain(m, CONF_ERROR, 0, 0, NULL, "cannot be read: %s", strerror(errno));
		return NULL;
	}
	/* A pipe or a device could make us wait for ever, and could not be read again at a reload. */
	if (!S_ISREG(st.st_mode)) {
		conf_complain(m, CONF_ERROR, 0, 0, NULL, "is not a regular file");
		return NULL;
	}
	if (file_read(path, &text, &len, CONF_BYTES_MAX, &e)) {
		const char *why = e.code == EFBIG ? "is longer than 64 MiB" : strerror(e.code);

		conf_complain(m, CONF_ERROR, 0, 0, NULL, "cannot be read: %s", why);
		return NULL;
	}
	c = conf_parse(text, len, path, ifname, m);
	if (open_to_all(path, &st) && holds_secret(text))
		conf_complain(m, CONF_WARNING, 0, 0, "chmod o= takes that from them",
			      "holds secrets and every user may read it (mode %04o)",
			      (unsigned)(st.st_mode & 07777));
	sodium_memzero(text, len);
	free(text);
	return c;
}
