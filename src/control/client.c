#include "control/client.h"

#include <dirent.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/xalloc.h"

#define FOLDER	    "/run/weir"
#define READ_SIZE   (256u << 10)
#define MESSAGE_MAX (256u << 20) /* a snapshot of 100,000 peers; more is not ours */

struct client {
	int fd;
	struct strbuf in;
	size_t used;	/* of `in`: lines that were returned */
	size_t scanned; /* no newline before this */
	json_int_t next_id;
};

/* ---- connecting ---- */

static bool socket_path(struct sockaddr_un *at, const char *folder, const char *ifname)
{
	int n;

	*at = (struct sockaddr_un){.sun_family = AF_UNIX};
	n = snprintf(at->sun_path, sizeof(at->sun_path), "%s/%s.sock", folder ? folder : FOLDER, ifname);
	return n > 0 && (size_t)n < sizeof(at->sun_path);
}

/* A descriptor or -errno. */
static int connect_to(const struct sockaddr_un *at)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), r;

	if (fd < 0)
		return -errno;
	if (!connect(fd, (const struct sockaddr *)at, sizeof(*at)))
		return fd;
	r = -errno;
	close(fd);
	return r;
}

struct client *client_connect(const char *folder, const char *ifname, struct error *e)
{
	struct sockaddr_un at;
	int fd;

	if (strlen(ifname) >= IFNAMSIZ || strchr(ifname, '/') || !socket_path(&at, folder, ifname)) {
		error_exit(e, EXIT_USAGE, EINVAL, "\"%s\" is not an interface name", ifname);
		return NULL;
	}
	fd = connect_to(&at);
	if (fd >= 0)
		return client_adopt(fd);
	if (fd == -ENOENT || fd == -ECONNREFUSED)
		error_exit(e, EXIT_NOT_RUNNING, -fd, "no engine runs on %s: start one with `weir %s`", ifname,
			   ifname);
	else if (fd == -EACCES || fd == -EPERM)
		error_exit(e, EXIT_NOT_PERMITTED, -fd, "no permission to use %s: become root, or its owner",
			   at.sun_path);
	else
		error_set(e, -fd, "%s: %s", at.sun_path, strerror(-fd));
	return NULL;
}

struct client *client_adopt(int fd)
{
	struct client *c = xcalloc(1, sizeof(*c));

	c->fd = fd;
	return c;
}

void client_close(struct client *c)
{
	if (!c)
		return;
	close(c->fd);
	strbuf_clear(&c->in);
	free(c);
}

int client_fd(const struct client *c)
{
	return c->fd;
}

int client_release(struct client *c, struct strbuf *rest)
{
	int fd = c->fd;

	strbuf_consume(&c->in, c->used);
	*rest = c->in;
	free(c);
	return fd;
}

/* ---- lines ---- */

static int send_all(struct client *c, const char *text, size_t len, struct error *e)
{
	while (len) {
		ssize_t n = send(c->fd, text, len, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return error_exit(e, EXIT_NOT_RUNNING, errno, "the engine hung up: %s",
					  strerror(errno));
		text += n;
		len -= (size_t)n;
	}
	return 0;
}

/* Bytes added, 0 at the end of the connection, -errno. */
static ssize_t read_more(struct client *c, struct error *e)
{
	static const char too_long[] = "the engine sent a line without an end";
	char *buffer;
	ssize_t n;

	if (c->in.len > MESSAGE_MAX)
		return error_set(e, EMSGSIZE, "%s", too_long);
	buffer = xmalloc(READ_SIZE);
	do
		n = recv(c->fd, buffer, READ_SIZE, 0);
	while (n < 0 && errno == EINTR);
	if (n > 0)
		strbuf_append(&c->in, buffer, (size_t)n);
	else if (n < 0)
		n = error_set(e, errno, "cannot read from the engine: %s", strerror(errno));
	free(buffer);
	return n;
}

/* The next line, without its newline, valid until the next call. 0 with *line NULL at the end. */
static int next_line(struct client *c, char **line, size_t *len, struct error *e)
{
	*line = NULL;
	if (c->used) {
		strbuf_consume(&c->in, c->used);
		c->scanned = c->used = 0;
	}
	for (;;) {
		char *from = c->in.len ? c->in.text + c->scanned : NULL;
		char *newline = from ? memchr(from, '\n', c->in.len - c->scanned) : NULL;
		ssize_t n;

		if (newline) {
			*line = c->in.text;
			*len = (size_t)(newline - c->in.text);
			c->used = *len + 1;
			return 0;
		}
		c->scanned = c->in.len;
		n = read_more(c, e);
		if (n <= 0)
			return (int)n;
	}
}

/* The next message (new reference); NULL with 0 at the end. */
static int next_message(struct client *c, json_t **message, struct error *e)
{
	json_error_t where;
	char *line;
	size_t len;
	int r = next_line(c, &line, &len, e);

	*message = NULL;
	if (r || !line)
		return r;
	*message = json_loadb(line, len, 0, &where);
	if (!json_is_object(*message)) {
		json_decref(*message);
		*message = NULL;
		return error_set(e, EPROTO, "the engine sent what is no JSON object: %s", where.text);
	}
	return 0;
}

/* ---- calls ---- */

static enum exit_code exit_of(const char *code)
{
	if (!strcmp(code, "not-permitted"))
		return EXIT_NOT_PERMITTED;
	if (!strcmp(code, "config"))
		return EXIT_CONFIG;
	if (!strcmp(code, "not-found") || !strcmp(code, "ambiguous") || !strcmp(code, "bad-request"))
		return EXIT_USAGE;
	return EXIT_FAIL;
}

static json_t *answer(const json_t *message, struct error *e)
{
	json_t *result = json_object_get(message, "result");
	json_t *error = json_object_get(message, "error");
	const char *code = json_string_value(json_object_get(error, "code"));
	const char *text = json_string_value(json_object_get(error, "message"));

	if (result)
		return json_incref(result);
	error_exit(e, exit_of(code ? code : ""), 0, "%s", text ? text : "the engine gave no reason");
	return NULL;
}

/* Why the engine hangs up on us is in its last notification. */
static void note_bye(const json_t *message, struct error *e, bool *told)
{
	const char *event = json_string_value(json_object_get(message, "event"));
	const char *reason = json_string_value(json_object_get(message, "reason"));

	if (!event || strcmp(event, "bye") || !reason)
		return;
	*told = true;
	error_exit(e, strcmp(reason, "not permitted") ? EXIT_NOT_RUNNING : EXIT_NOT_PERMITTED, 0,
		   "the engine hung up: %s", reason);
}

static int send_request(struct client *c, json_int_t id, const char *method, json_t *params, struct error *e)
{
	json_t *request = json_pack("{s:I, s:s, s:o*}", "id", id, "method", method, "params", params);
	char *line = request ? json_dumps(request, JSON_COMPACT) : NULL;
	size_t len;
	int r;

	json_decref(request);
	if (!line)
		return error_set(e, EINVAL, "cannot write request \"%s\" as JSON", method);
	len = strlen(line);
	line[len] = '\n'; /* in place of the terminator */
	r = send_all(c, line, len + 1, e);
	free(line);
	return r;
}

json_t *client_call(struct client *c, const char *method, json_t *params, struct error *e)
{
	json_int_t id = ++c->next_id;
	bool told = false;
	int r = send_request(c, id, method, params, e);

	/* Even then there may be a word of why: the engine says it before it hangs up. */
	for (;;) {
		json_t *message, *result;
		bool ours;

		if (next_message(c, &message, told || r ? NULL : e))
			return NULL;
		if (!message) {
			if (!told && !r)
				error_exit(e, EXIT_NOT_RUNNING, ECONNRESET, "the engine hung up");
			return NULL;
		}
		note_bye(message, e, &told);
		ours = !json_object_get(message, "event") &&
		       json_integer_value(json_object_get(message, "id")) == id;
		if (!ours) {
			json_decref(message);
			continue;
		}
		result = answer(message, e);
		json_decref(message);
		return result;
	}
}

json_t *client_next(struct client *c, struct error *e)
{
	for (;;) {
		json_t *message;

		if (next_message(c, &message, e))
			return NULL;
		if (!message) {
			error_exit(e, EXIT_NOT_RUNNING, ECONNRESET, "the engine hung up");
			return NULL;
		}
		if (json_object_get(message, "event"))
			return message;
		json_decref(message);
	}
}

/* ---- finding engines ---- */

static int compare_names(const void *a, const void *b)
{
	return strcmp(a, b);
}

static bool alive(const char *folder, const char *ifname)
{
	struct sockaddr_un at;
	int fd;

	if (!socket_path(&at, folder, ifname))
		return false;
	fd = connect_to(&at);
	if (fd >= 0)
		close(fd);
	/* One that we may not use is alive too. */
	return fd >= 0 || fd == -EACCES || fd == -EPERM;
}

size_t client_interfaces(const char *folder, char (**names)[16])
{
	DIR *d = opendir(folder ? folder : FOLDER);
	const struct dirent *entry;
	size_t count = 0;

	*names = NULL;
	while (d && (entry = readdir(d))) {
		const char *dot = strrchr(entry->d_name, '.');
		char name[16];

		if (!dot || strcmp(dot, ".sock") || (size_t)(dot - entry->d_name) >= sizeof(name))
			continue;
		snprintf(name, sizeof(name), "%.*s", (int)(dot - entry->d_name), entry->d_name);
		if (!alive(folder, name))
			continue;
		*names = xrealloc(*names, (count + 1) * sizeof(**names));
		memcpy((*names)[count++], name, sizeof(name));
	}
	if (d)
		closedir(d);
	if (count)
		qsort(*names, count, sizeof(**names), compare_names);
	return count;
}
