#include "system/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/xalloc.h"

#define JOURNAL_BYTES_MAX (1u << 20)

static const char *const kind_names[UNDO_KINDS] = {"rule", "suppress", "nft", "iptables", "dns", "sysctl"};

void journal_init(struct journal *j, const char *path, const char *ifname)
{
	*j = (struct journal){.path = xstrdup(path), .fd = -1, .next_id = 1};
	snprintf(j->ifname, sizeof(j->ifname), "%s", ifname);
}

static void free_item(struct undo *u)
{
	free(u->name);
	free(u->text);
}

void journal_clear(struct journal *j)
{
	for (unsigned i = 0; i < j->count; i++)
		free_item(&j->items[i]);
	free(j->items);
	free(j->path);
	if (j->fd >= 0)
		close(j->fd);
	*j = (struct journal){.fd = -1};
}

/* ---- writing ---- */

static int write_line(struct journal *j, json_t *object)
{
	char *text = json_dumps(object, JSON_COMPACT | JSON_ENSURE_ASCII), *line;
	int r = 0;

	json_decref(object);
	if (!text)
		return -ENOMEM;
	line = xasprintf("%s\n", text);
	free(text);
	/* One write: a line is there whole or cut, never mixed. */
	if (write(j->fd, line, strlen(line)) != (ssize_t)strlen(line) || fsync(j->fd))
		r = errno ? -errno : -EIO;
	free(line);
	return r;
}

static int open_file(struct journal *j)
{
	if (j->fd >= 0)
		return 0;
	j->fd = open(j->path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (j->fd < 0)
		return -errno;
	return write_line(j, json_pack("{s:i, s:s}", "journal", 1, "interface", j->ifname));
}

static void keep_item(struct journal *j, const struct undo *u)
{
	struct undo *copy;

	j->items = xrealloc(j->items, (j->count + 1) * sizeof(*j->items));
	copy = &j->items[j->count++];
	*copy = *u;
	copy->name = u->name ? xstrdup(u->name) : NULL;
	copy->text = u->text ? xstrdup(u->text) : NULL;
}

int journal_add(struct journal *j, const struct undo *u, struct error *e)
{
	struct undo numbered = *u;
	json_t *object;
	int r = open_file(j);

	numbered.id = j->next_id++;
	if (!r) {
		object = json_pack("{s:i, s:s, s:i, s:I, s:I, s:s*, s:s*}", "id", (int)numbered.id, "undo",
				   kind_names[u->kind], "family", u->family == AF_INET6 ? 6 : 4, "mark",
				   (json_int_t)u->mark, "table", (json_int_t)u->table, "name", u->name,
				   "text", u->text);
		r = write_line(j, object);
	}
	if (r)
		return error_set(e, -r, "cannot write the undo journal %s: %s", j->path, strerror(-r));
	keep_item(j, &numbered);
	return 0;
}

void journal_done(struct journal *j, unsigned index)
{
	unsigned id = j->items[index].id;

	free_item(&j->items[index]);
	memmove(&j->items[index], &j->items[index + 1], (--j->count - index) * sizeof(*j->items));
	if (!j->count) {
		unlink(j->path);
		if (j->fd >= 0)
			close(j->fd);
		j->fd = -1;
	} else if (j->fd >= 0) {
		/* If this is lost, the thing is undone once more. */
		(void)write_line(j, json_pack("{s:i}", "undone", (int)id));
	}
}

/* ---- reading ---- */

static enum undo_kind find_kind(const char *name)
{
	for (int i = 0; i < UNDO_KINDS; i++)
		if (name && !strcmp(name, kind_names[i]))
			return i;
	return UNDO_KINDS;
}

static void forget_id(struct journal *j, unsigned id)
{
	for (unsigned i = 0; i < j->count; i++) {
		if (j->items[i].id != id)
			continue;
		free_item(&j->items[i]);
		memmove(&j->items[i], &j->items[i + 1], (--j->count - i) * sizeof(*j->items));
		return;
	}
}

static void load_line(struct journal *j, const char *line, size_t len)
{
	json_t *o = json_loadb(line, len, 0, NULL);
	const char *ifname = json_string_value(json_object_get(o, "interface"));
	struct undo u = {
		.id = (unsigned)json_integer_value(json_object_get(o, "id")),
		.kind = find_kind(json_string_value(json_object_get(o, "undo"))),
		.family = json_integer_value(json_object_get(o, "family")) == 6 ? AF_INET6 : AF_INET,
		.mark = (uint32_t)json_integer_value(json_object_get(o, "mark")),
		.table = (uint32_t)json_integer_value(json_object_get(o, "table")),
		.name = (char *)json_string_value(json_object_get(o, "name")),
		.text = (char *)json_string_value(json_object_get(o, "text")),
	};

	if (ifname)
		snprintf(j->ifname, sizeof(j->ifname), "%s", ifname);
	if (u.kind != UNDO_KINDS)
		keep_item(j, &u);
	if (u.id >= j->next_id)
		j->next_id = u.id + 1;
	forget_id(j, (unsigned)json_integer_value(json_object_get(o, "undone")));
	json_decref(o);
}

int journal_load(struct journal *j, const char *path, struct error *e)
{
	struct error read_error = {0};
	char *text, *at, *end;
	size_t len;

	journal_init(j, path, "");
	if (file_read(path, &text, &len, JOURNAL_BYTES_MAX, &read_error)) {
		if (read_error.code == ENOENT)
			return 0;
		journal_clear(j);
		if (e)
			*e = read_error;
		return -read_error.code;
	}
	for (at = text; (end = memchr(at, '\n', len - (size_t)(at - text))); at = end + 1)
		load_line(j, at, (size_t)(end - at));
	free(text);
	/* Further lines go behind those that are there. */
	j->fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW);
	return 0;
}
