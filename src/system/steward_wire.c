#include "system/steward_wire.h"

#include <errno.h>
#include <linux/sockios.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "base/strbuf.h"
#include "base/xalloc.h"

#define BODY_MAX    (256u << 20)
#define LOG_BACKLOG 65536 /* bytes that the engine has not read yet; the socket takes three times that */

static int send_all(int fd, const void *bytes, size_t len)
{
	const char *at = bytes;

	while (len) {
		ssize_t n = send(fd, at, len, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		at += n;
		len -= (size_t)n;
	}
	return 0;
}

int wire_send(int fd, const struct wire_head *head, const void *a, size_t a_len, const void *b, size_t b_len)
{
	struct wire_head whole = *head;
	int r;

	if (a_len > BODY_MAX || b_len > BODY_MAX - a_len)
		return -EMSGSIZE;
	whole.len = (uint32_t)(a_len + b_len);
	r = send_all(fd, &whole, sizeof(whole));
	if (!r)
		r = send_all(fd, a, a_len);
	return r ? r : send_all(fd, b, b_len);
}

static int receive_all(int fd, void *to, size_t len)
{
	char *at = to;

	while (len) {
		ssize_t n = recv(fd, at, len, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 && errno != ECONNRESET ? -errno : -EPIPE;
		at += n;
		len -= (size_t)n;
	}
	return 0;
}

int wire_receive(int fd, struct wire_message *m)
{
	int r = receive_all(fd, &m->head, sizeof(m->head));

	m->body = NULL;
	if (r)
		return r;
	if (m->head.len > BODY_MAX)
		return -EBADMSG;
	m->body = xmalloc((size_t)m->head.len + 1);
	r = receive_all(fd, m->body, m->head.len);
	m->body[m->head.len] = 0;
	if (r)
		wire_free(m);
	return r;
}

void wire_free(struct wire_message *m)
{
	if (m->body)
		sodium_memzero(m->body, m->head.len);
	free(m->body);
	m->body = NULL;
}

void wire_send_log(int fd, const struct log_record *record)
{
	struct wire_head head = {.type = WIRE_LOG, .number = record->level};
	int waiting = 0;

	/* Blocking here could meet an engine that waits for us to read. */
	if (ioctl(fd, SIOCOUTQ, &waiting) || waiting > LOG_BACKLOG)
		return;
	(void)wire_send(fd, &head, record->room, strlen(record->room) + 1, record->text,
			strlen(record->text));
}

/* ---- complaints about a file ---- */

struct packed {
	uint8_t severity, has_hint;
	int32_t line, column;
};

void wire_put_messages(const struct conf_messages *m, uint8_t **bytes, size_t *len)
{
	struct strbuf s = {0};

	for (size_t i = 0; i < m->count; i++) {
		const struct conf_message *x = &m->items[i];
		struct packed p;

		memset(&p, 0, sizeof(p));
		p.severity = x->severity;
		p.has_hint = x->hint != NULL;
		p.line = x->line;
		p.column = x->column;
		strbuf_append(&s, &p, sizeof(p));
		strbuf_append(&s, x->text, strlen(x->text) + 1);
		if (x->hint)
			strbuf_append(&s, x->hint, strlen(x->hint) + 1);
	}
	*bytes = (uint8_t *)s.text;
	*len = s.len;
}

/* The next string, NULL when it does not end. */
static const char *next_text(const uint8_t **at, size_t *left)
{
	const char *text = (const char *)*at;
	const uint8_t *end = memchr(*at, 0, *left);

	if (!end)
		return NULL;
	*left -= (size_t)(end + 1 - *at);
	*at = end + 1;
	return text;
}

void wire_get_messages(const uint8_t *at, size_t left, struct conf_messages *m)
{
	while (left >= sizeof(struct packed)) {
		const char *text, *hint = NULL;
		struct packed p;

		memcpy(&p, at, sizeof(p));
		at += sizeof(p);
		left -= sizeof(p);
		text = next_text(&at, &left);
		if (text && p.has_hint)
			hint = next_text(&at, &left);
		if (!text || (p.has_hint && !hint))
			return;
		conf_complain(m, p.severity ? CONF_WARNING : CONF_ERROR, p.line, p.column, hint, "%s", text);
	}
}
