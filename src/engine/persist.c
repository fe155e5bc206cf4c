/*
 * What survives a restart, in state_dir/IFACE.state (mode 0600): the timestamp floor and the last good
 * endpoint of each peer. Lines of "floor NANOSECONDS" and "peer PUBLICKEY ADDRESS". A thread of its own
 * writes, because fsync can take long; it always writes the newest state and skips those in between.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "base/map.h"
#include "base/strbuf.h"
#include "base/xalloc.h"
#include "engine/internal.h"

#define STATE_MAX     (64u << 20)
#define FIRST_RESERVE (10 * NS_PER_SEC)

struct persist {
	char *path;
	struct map *endpoints; /* public key to union address, as read at the start */
	union address *addresses;
	size_t address_count, address_room;

	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t work;
	uint64_t first_floor; /* as read: stamps go on from here */
	uint64_t floor;
	char *text; /* lines to write, NULL: only the floor changed */
	size_t text_len;
	bool dirty, stop;
};

static void read_line(struct persist *s, char *line)
{
	char *space = strchr(line + 5, ' ');
	struct key key;
	union address a;

	if (!strncmp(line, "floor ", 6)) {
		s->floor = strtoull(line + 6, NULL, 10);
		return;
	}
	if (strncmp(line, "peer ", 5) || !space)
		return;
	*space = '\0';
	if (!key_from_base64(&key, line + 5) || !address_parse(&a, space + 1))
		return;
	if (s->address_count == s->address_room)
		return;
	s->addresses[s->address_count] = a;
	map_put(s->endpoints, key.bytes, &s->addresses[s->address_count++]);
}

static void keep_peer_lines(struct persist *s, const char *text)
{
	struct strbuf lines = {0};

	for (const char *at = text; *at;) {
		size_t len = strcspn(at, "\n");

		if (!strncmp(at, "peer ", 5)) {
			strbuf_append(&lines, at, len);
			strbuf_append(&lines, "\n", 1);
		}
		at += len + (at[len] == '\n');
	}
	s->text = lines.text;
	s->text_len = lines.len;
}

static void read_state(struct persist *s)
{
	char *text, *save = NULL;
	size_t len, lines = 1;
	struct error e;

	if (file_read(s->path, &text, &len, STATE_MAX, &e)) {
		if (e.code != ENOENT)
			log_warn("engine", "%s", e.text);
		return;
	}
	for (size_t i = 0; i < len; i++)
		lines += text[i] == '\n';
	s->address_room = lines;
	s->addresses = xcalloc(lines, sizeof(*s->addresses));
	/* Until persist_save knows better, a write for the floor's sake repeats what was there. */
	keep_peer_lines(s, text);
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		if (strlen(line) > 6)
			read_line(s, line);
	free(text);
}

static void write_state(const char *path, uint64_t floor, const char *peers, size_t len)
{
	struct strbuf out = {0};
	struct error e;

	strbuf_add(&out, "floor %" PRIu64 "\n", floor);
	strbuf_append(&out, peers, len);
	if (file_replace(path, out.text, out.len, 0600, &e))
		log_warn("engine", "state is not kept: %s", e.text);
	strbuf_clear(&out);
}

static void *writer(void *arg)
{
	struct persist *s = arg;
	char *peers = NULL;
	size_t len = 0;

	pthread_mutex_lock(&s->lock);
	for (;;) {
		uint64_t floor;

		while (!s->dirty && !s->stop)
			pthread_cond_wait(&s->work, &s->lock);
		if (!s->dirty)
			break;
		s->dirty = false;
		floor = s->floor;
		if (s->text) {
			free(peers);
			peers = s->text;
			len = s->text_len;
			s->text = NULL;
		}
		pthread_mutex_unlock(&s->lock);
		write_state(s->path, floor, peers, len);
		pthread_mutex_lock(&s->lock);
	}
	pthread_mutex_unlock(&s->lock);
	free(peers);
	return NULL;
}

/* Hands the lines to the writer; takes them. */
static void submit(struct persist *s, char *text, size_t len)
{
	pthread_mutex_lock(&s->lock);
	if (text) {
		free(s->text);
		s->text = text;
		s->text_len = len;
	}
	s->dirty = true;
	pthread_cond_signal(&s->work);
	pthread_mutex_unlock(&s->lock);
}

static void append_peer(struct strbuf *lines, const uint8_t *public_key, const union address *a)
{
	char base64[KEY_BASE64_LEN + 1], text[ADDRESS_TEXT];
	struct key key;

	memcpy(key.bytes, public_key, KEY_LEN);
	key_to_base64(base64, &key);
	strbuf_add(lines, "peer %s %s\n", base64, address_format(text, a));
}

/*
 * The first stamps of this run lie just above the floor that was read. A new floor must be on disk before one
 * of them is sent, or a crash right after it would make the next run repeat it; so this one write is waited
 * for.
 */
static void reserve_first(struct persist *s)
{
	s->first_floor = s->floor;
	if (!s->floor)
		return;
	s->floor += FIRST_RESERVE;
	write_state(s->path, s->floor, s->text ? s->text : "", s->text_len);
}

struct persist *persist_open(const char *folder, const char *ifname)
{
	struct persist *s;
	struct error e;
	sigset_t all, old;
	int r;

	if (file_make_folder(folder, 0700, &e)) {
		log_warn("engine", "state is not kept: %s", e.text);
		return NULL;
	}
	s = xcalloc(1, sizeof(*s));
	s->path = xasprintf("%s/%s.state", folder, ifname);
	s->endpoints = map_new(KEY_LEN);
	read_state(s);
	reserve_first(s);
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->work, NULL);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = pthread_create(&s->thread, NULL, writer, s);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (r) {
		log_warn("engine", "state is not kept: no thread to write it: %s", strerror(r));
		map_free(s->endpoints);
		free(s->addresses);
		free(s->path);
		free(s);
		return NULL;
	}
	return s;
}

void persist_close(struct persist *s)
{
	pthread_mutex_lock(&s->lock);
	s->stop = true;
	pthread_cond_signal(&s->work);
	pthread_mutex_unlock(&s->lock);
	pthread_join(s->thread, NULL);
	pthread_mutex_destroy(&s->lock);
	pthread_cond_destroy(&s->work);
	map_free(s->endpoints);
	free(s->addresses);
	free(s->text);
	free(s->path);
	free(s);
}

uint64_t persist_floor(const struct persist *s)
{
	return s->first_floor;
}

bool persist_endpoint(const struct persist *s, const struct key *public_key, union address *out)
{
	const union address *a = map_get(s->endpoints, public_key->bytes);

	if (!a)
		return false;
	*out = *a;
	return true;
}

void persist_set_floor(struct persist *s, uint64_t floor_ns)
{
	pthread_mutex_lock(&s->lock);
	if (floor_ns > s->floor)
		s->floor = floor_ns;
	pthread_mutex_unlock(&s->lock);
	submit(s, NULL, 0);
}

/* Peers with a completed handshake have a good endpoint; of the others, what was known before stays known. */
void persist_save(struct persist *s, struct engine *g)
{
	struct strbuf lines = {0};

	for (struct engine_peer *p = engine_first_peer(g); p; p = engine_next_peer(p)) {
		struct endpoint e = paths_direct(p);
		struct key key;
		union address before;

		wg_peer_public_key(p->wg, &key);
		if (endpoint_known(&e) && wg_peer_ever_connected(p->wg))
			append_peer(&lines, key.bytes, &e.remote);
		else if (persist_endpoint(s, &key, &before))
			append_peer(&lines, key.bytes, &before);
	}
	if (!lines.text)
		strbuf_append(&lines, "", 0);
	submit(s, lines.text, lines.len);
}
