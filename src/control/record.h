/*
 * A bounded memory of text: chunks of deflated bytes, the oldest dropped whole when all together are too
 * large. Each chunk begins with something that needs nothing before it (a full snapshot), so that what is
 * left after a drop can be read from its start. No I/O, no clock, one thread.
 */
#ifndef WEIR_CONTROL_RECORD_H
#define WEIR_CONTROL_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct record;
struct record_reader;

struct record *record_new(size_t max_bytes); /* of deflated bytes, the newest chunk excepted */
void record_free(struct record *r);

/* Begins a chunk; `at` is what readers ask by. */
void record_begin(struct record *r, uint64_t at);
void record_put(struct record *r, const char *bytes, size_t len); /* into the chunk begun last */

/* Is the newest chunk alone too large to be kept? It is dropped then, and all that came before. */
bool record_overflown(struct record *r);

size_t record_bytes(const struct record *r);  /* deflated, of all chunks */
size_t record_newest(const struct record *r); /* deflated, of the newest chunk */
size_t record_chunks(const struct record *r);
uint64_t record_oldest(const struct record *r); /* `at` of the oldest chunk, 0: none */
size_t record_held(const struct record *r);	/* deflated, of dropped chunks that readers hold */

/*
 * Reads what is there now, from the chunk in which `from` lies (0: the oldest) to the one in which `to` lies
 * (0: the newest). What is dropped meanwhile stays readable for this reader. Its record must outlive it.
 * Readers share the chunks: whatever their number, what they hold beside the ring is a ring's size at most,
 * if each is let in only while nothing is held, and so much more as was held when the last one was let in.
 */
struct record_reader *record_read(struct record *r, uint64_t from, uint64_t to);
size_t record_next(struct record_reader *reader, char *out, size_t room); /* 0: the end */
void record_close(struct record_reader *reader);

#endif
