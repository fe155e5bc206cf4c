/* Bytes of a terminal into keys. What the keys send comes in as a table. */
#ifndef WEIR_TUI_INPUT_H
#define WEIR_TUI_INPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define INPUT_SEQUENCES 96

struct input_sequence {
	char bytes[12];
	uint32_t code;
};

struct input {
	struct input_sequence sequences[INPUT_SEQUENCES];
	size_t count;
	unsigned char bytes[256];
	size_t len;
};

/* The sequences that nearly all terminals send. */
void input_init(struct input *in);

/* One more, for instance from terminfo; NULL, empty and single-byte ones are ignored. */
void input_add(struct input *in, const char *bytes, uint32_t code);

/* Appends bytes; what has no room is dropped. */
void input_feed(struct input *in, const void *bytes, size_t len);

/*
 * The next key, or 0 when there is none, or when more bytes may belong to it: after some 25 ms without any,
 * ask again with `late`. A sequence that nobody knows is swallowed.
 */
uint32_t input_next(struct input *in, bool late);

#endif
