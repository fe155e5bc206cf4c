#include "control/record.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "base/list.h"
#include "base/strbuf.h"
#include "base/xalloc.h"

/* The fastest: what is recorded repeats itself so much that more work gains little. */
#define LEVEL 1
#define PIECE 4096

struct chunk {
	struct list link;
	unsigned refs; /* the record, and readers */
	bool dropped;
	uint64_t at;
	struct strbuf bytes;
};

struct record {
	struct list chunks; /* oldest first */
	size_t count, max, bytes, held;
	z_stream deflate; /* of the newest chunk */
	bool open;
};

struct record_reader {
	struct record *record;
	struct chunk **chunks;
	size_t *lengths; /* what was there when the reading began */
	size_t count, next;
	z_stream inflate;
	bool open;
};

static struct chunk *newest(const struct record *r)
{
	return r->count ? container_of(r->chunks.prev, struct chunk, link) : NULL;
}

static void release(struct record *r, struct chunk *c)
{
	if (--c->refs)
		return;
	if (c->dropped)
		r->held -= c->bytes.len;
	strbuf_clear(&c->bytes);
	free(c);
}

static void drop_oldest(struct record *r)
{
	struct chunk *c = container_of(r->chunks.next, struct chunk, link);

	list_remove(&c->link);
	r->count--;
	r->bytes -= c->bytes.len;
	c->dropped = true;
	r->held += c->bytes.len;
	release(r, c);
}

struct record *record_new(size_t max_bytes)
{
	struct record *r = xcalloc(1, sizeof(*r));

	list_init(&r->chunks);
	r->max = max_bytes;
	return r;
}

/* Only the memory: what is still inside is given up, or was flushed. */
static void end_deflate(struct record *r)
{
	if (r->open)
		deflateEnd(&r->deflate);
	r->open = false;
}

void record_free(struct record *r)
{
	if (!r)
		return;
	end_deflate(r);
	while (r->count)
		drop_oldest(r);
	free(r);
}

static void run_deflate(struct record *r, int flush)
{
	struct chunk *c = newest(r);
	unsigned char piece[PIECE];

	do {
		size_t n;

		r->deflate.next_out = piece;
		r->deflate.avail_out = sizeof(piece);
		deflate(&r->deflate, flush);
		n = sizeof(piece) - r->deflate.avail_out;
		strbuf_append(&c->bytes, piece, n);
		r->bytes += n;
	} while (!r->deflate.avail_out);
}

static void keep_bounds(struct record *r)
{
	while (r->bytes > r->max && r->count > 1)
		drop_oldest(r);
}

void record_begin(struct record *r, uint64_t at)
{
	struct chunk *c = xcalloc(1, sizeof(*c));

	if (r->open)
		run_deflate(r, Z_FINISH);
	end_deflate(r);
	c->refs = 1;
	c->at = at;
	list_append(&r->chunks, &c->link);
	r->count++;
	memset(&r->deflate, 0, sizeof(r->deflate));
	r->open = deflateInit(&r->deflate, LEVEL) == Z_OK;
	keep_bounds(r);
}

void record_put(struct record *r, const char *bytes, size_t len)
{
	if (!r->open)
		return;
	r->deflate.next_in = (unsigned char *)bytes;
	r->deflate.avail_in = (unsigned)len;
	run_deflate(r, Z_NO_FLUSH);
	keep_bounds(r);
}

bool record_overflown(struct record *r)
{
	if (r->bytes <= r->max)
		return false;
	end_deflate(r);
	while (r->count)
		drop_oldest(r);
	return true;
}

size_t record_bytes(const struct record *r)
{
	return r->bytes;
}

size_t record_newest(const struct record *r)
{
	return r->count ? newest(r)->bytes.len : 0;
}

size_t record_chunks(const struct record *r)
{
	return r->count;
}

uint64_t record_oldest(const struct record *r)
{
	return r->count ? container_of(r->chunks.next, struct chunk, link)->at : 0;
}

size_t record_held(const struct record *r)
{
	return r->held;
}

/* ---- reading ---- */

struct record_reader *record_read(struct record *r, uint64_t from, uint64_t to)
{
	struct record_reader *reader = xcalloc(1, sizeof(*reader));

	reader->record = r;
	if (r->open)
		run_deflate(r, Z_SYNC_FLUSH);
	reader->chunks = xcalloc(r->count + 1, sizeof(struct chunk *));
	reader->lengths = xcalloc(r->count + 1, sizeof(*reader->lengths));
	list_for_each (pos, &r->chunks) {
		struct chunk *c = container_of(pos, struct chunk, link);
		const struct chunk *after =
			pos->next == &r->chunks ? NULL : container_of(pos->next, struct chunk, link);

		if ((after && after->at <= from) || (to && c->at > to && reader->count))
			continue;
		c->refs++;
		reader->lengths[reader->count] = c->bytes.len;
		reader->chunks[reader->count++] = c;
	}
	return reader;
}

/* The bytes of a chunk can move while it grows: they are found anew for each piece. */
static size_t read_some(struct record_reader *reader, char *out, size_t room)
{
	const struct chunk *c = reader->chunks[reader->next];
	z_stream *z = &reader->inflate;
	int r;

	if (!reader->open) {
		memset(z, 0, sizeof(*z));
		if (inflateInit(z) != Z_OK)
			return 0;
		reader->open = true;
	}
	z->next_in = (unsigned char *)c->bytes.text + z->total_in;
	z->avail_in = (unsigned)(reader->lengths[reader->next] - z->total_in);
	z->next_out = (unsigned char *)out;
	z->avail_out = (unsigned)room;
	r = inflate(z, Z_SYNC_FLUSH);
	return r == Z_OK || r == Z_STREAM_END ? room - z->avail_out : 0;
}

size_t record_next(struct record_reader *reader, char *out, size_t room)
{
	while (reader->next < reader->count) {
		size_t n = read_some(reader, out, room);

		if (n)
			return n;
		if (reader->open)
			inflateEnd(&reader->inflate);
		reader->open = false;
		release(reader->record, reader->chunks[reader->next++]);
	}
	return 0;
}

void record_close(struct record_reader *reader)
{
	if (!reader)
		return;
	if (reader->open)
		inflateEnd(&reader->inflate);
	while (reader->next < reader->count)
		release(reader->record, reader->chunks[reader->next++]);
	free(reader->chunks);
	free(reader->lengths);
	free(reader);
}
