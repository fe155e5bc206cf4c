/* Messages between engine and steward: a head, then a body. Bodies may hold keys: they are wiped when freed.
 */
#ifndef WEIR_SYSTEM_STEWARD_WIRE_H
#define WEIR_SYSTEM_STEWARD_WIRE_H

#include <stddef.h>
#include <stdint.h>

#include "base/log.h"
#include "config/conf.h"

enum wire_type {
	/* to the steward */
	WIRE_UP,     /* body: conf_encode */
	WIRE_CONFIG, /* body: path */
	WIRE_CHANGE,
	WIRE_DOWN,
	WIRE_STOP, /* number: undo */
	/* to the engine */
	WIRE_DONE,	 /* result, number: mark; body: error text */
	WIRE_CONFIGURED, /* body: number: length of the messages, which come first; then conf_encode or
			    nothing */
	WIRE_LOG,	 /* number: level; body: room, NUL, text */
};

struct wire_head {
	uint32_t type, len;
	int32_t result;
	uint32_t number;
};

struct wire_message {
	struct wire_head head;
	uint8_t *body; /* NUL behind its last byte */
};

/* Whole messages, blocking. -EPIPE when the other side is gone, -EBADMSG for a length out of bounds. */
int wire_send(int fd, const struct wire_head *head, const void *a, size_t a_len, const void *b, size_t b_len);
int wire_receive(int fd, struct wire_message *m);
void wire_free(struct wire_message *m);

/* Never waits: a line that has no room is dropped. */
void wire_send_log(int fd, const struct log_record *record);

void wire_put_messages(const struct conf_messages *m, uint8_t **bytes, size_t *len);
void wire_get_messages(const uint8_t *bytes, size_t len, struct conf_messages *m);

#endif
