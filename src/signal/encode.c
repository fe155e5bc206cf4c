/* A message as the bytes of a body. */
#include <errno.h>
#include <string.h>

#include "signal/internal.h"

struct writer {
	uint8_t *out;
	size_t len, size; /* len goes on counting when nothing fits any more */
	size_t count_at;
	uint16_t fields;
};

static void put(struct writer *w, const void *bytes, size_t len)
{
	if (len && w->len <= w->size && len <= w->size - w->len)
		memcpy(w->out + w->len, bytes, len);
	w->len += len;
}

static void put_number(struct writer *w, uint64_t n, unsigned bytes)
{
	uint8_t be[8];

	for (unsigned i = 0; i < bytes; i++)
		be[i] = (uint8_t)(n >> 8 * (bytes - 1 - i));
	put(w, be, bytes);
}

static void put_tag(struct writer *w, enum tag tag, size_t len)
{
	put_number(w, tag, 1);
	put_number(w, len, 2);
	w->fields++;
}

static void put_field(struct writer *w, enum tag tag, const void *value, size_t len)
{
	put_tag(w, tag, len);
	put(w, value, len);
}

static void put_number_field(struct writer *w, enum tag tag, uint64_t n, unsigned bytes)
{
	put_tag(w, tag, bytes);
	put_number(w, n, bytes);
}

/* A length byte and the text. */
static void put_text(struct writer *w, const char *text)
{
	size_t len = strlen(text);

	put_number(w, len, 1);
	put(w, text, len);
}

bool signal_text_is_good(const char *text, size_t len, size_t max, bool spaces)
{
	if (!len || len >= max)
		return false;
	for (size_t i = 0; i < len; i++)
		if (text[i] < (spaces ? ' ' : '!') || text[i] > '~')
			return false;
	return true;
}

static bool text_is_good(const char *text, size_t max, bool spaces)
{
	const char *end = memchr(text, 0, max);

	return end && signal_text_is_good(text, (size_t)(end - text), max, spaces);
}

/* Nothing leaves that the other end would refuse. */
static bool message_is_good(const struct signal_message *m)
{
	if (m->type < SIGNAL_HELLO || m->type > SIGNAL_BYE || m->candidate_count > SIGNAL_CANDIDATES)
		return false;
	if ((m->has & SIGNAL_HAS_CREDENTIALS) && (!text_is_good(m->ufrag, sizeof(m->ufrag), false) ||
						  !text_is_good(m->pwd, sizeof(m->pwd), false)))
		return false;
	if ((m->has & SIGNAL_HAS_RELAY) && m->relay[0] && !text_is_good(m->relay, sizeof(m->relay), false))
		return false;
	if ((m->has & SIGNAL_HAS_VERSION) && m->version[0] &&
	    !text_is_good(m->version, sizeof(m->version), true))
		return false;
	for (unsigned i = 0; i < m->candidate_count; i++)
		if (!text_is_good(m->candidates[i], sizeof(m->candidates[i]), true))
			return false;
	return true;
}

static void put_address(struct writer *w, const union address *a)
{
	if (a->sa.sa_family == AF_INET) {
		put_tag(w, TAG_OBSERVED, ADDRESS4_LEN);
		put_number(w, 4, 1);
		put(w, &a->in.sin_port, 2); /* in network order already */
		put(w, &a->in.sin_addr, 4);
	} else if (a->sa.sa_family == AF_INET6) {
		put_tag(w, TAG_OBSERVED, ADDRESS6_LEN);
		put_number(w, 6, 1);
		put(w, &a->in6.sin6_port, 2);
		put(w, &a->in6.sin6_addr, 16);
	}
}

static void put_report(struct writer *w, const struct signal_report *r)
{
	const uint64_t numbers[] = {
		r->wall,
		r->initiations_sent,
		r->initiations_received,
		r->responses_sent,
		r->responses_received,
		r->handshakes,
		r->data_sent,
		r->data_received,
		r->rejected_mac1,
		r->rejected_timestamp,
		r->rejected_response,
		r->rejected_unknown_index,
		r->rejected_undecryptable,
		r->rejected_source,
		r->rejected_other,
		r->last_received_age,
		r->last_handshake_age,
		r->packets_lost,
	};

	put_tag(w, TAG_REPORT, REPORT_LEN);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		put_number(w, numbers[i], 8);
	put_number(w, r->path, 1);
	put_number(w, r->mtu, 2);
}

static void put_candidates(struct writer *w, const struct signal_message *m)
{
	size_t len = 0;

	for (unsigned i = 0; i < m->candidate_count; i++)
		len += 1 + strlen(m->candidates[i]);
	put_tag(w, TAG_CANDIDATES, len);
	for (unsigned i = 0; i < m->candidate_count; i++)
		put_text(w, m->candidates[i]);
}

static void put_head(struct writer *w, const struct signal_message *m)
{
	put_number(w, m->type, 1);
	put_number(w, m->flags & KNOWN_FLAGS, 1);
	w->count_at = w->len;
	put_number(w, 0, 2);
	put_number(w, m->boot, 8);
	put_number(w, m->started, 8);
	put_number(w, m->sequence, 8);
	put(w, m->session, SIGNAL_SESSION_LEN);
	put_number(w, m->generation, 4);
}

static void put_fields(struct writer *w, const struct signal_message *m)
{
	if (m->has & SIGNAL_HAS_REASON)
		put_number_field(w, TAG_REASON, m->reason, 1);
	if (m->has & SIGNAL_HAS_CREDENTIALS) {
		put_tag(w, TAG_CREDENTIALS, 2 + strlen(m->ufrag) + strlen(m->pwd));
		put_text(w, m->ufrag);
		put_text(w, m->pwd);
	}
	if ((m->has & SIGNAL_HAS_RELAY) && m->relay[0])
		put_field(w, TAG_RELAY, m->relay, strlen(m->relay));
	if (m->has & SIGNAL_HAS_ANSWERED)
		put_field(w, TAG_ANSWERED, m->answered, sizeof(m->answered));
	if (m->has & SIGNAL_HAS_ECHO)
		put_field(w, TAG_ECHO, m->echo, sizeof(m->echo));
	if (m->has & SIGNAL_HAS_OBSERVED)
		put_address(w, &m->observed);
	if (m->has & SIGNAL_HAS_SIZE)
		put_number_field(w, TAG_SIZE, m->size, 2);
	if (m->has & SIGNAL_HAS_COUNTS) {
		put_tag(w, TAG_COUNTS, 16);
		put_number(w, m->data_sent, 8);
		put_number(w, m->data_received, 8);
	}
	if (m->has & SIGNAL_HAS_REPORT)
		put_report(w, &m->report);
	if (m->has & SIGNAL_HAS_BACK_IN)
		put_number_field(w, TAG_BACK_IN, m->back_in_ms, 4);
	if (m->has & SIGNAL_HAS_PATH)
		put_number_field(w, TAG_PATH, m->path, 1);
	if ((m->has & SIGNAL_HAS_VERSION) && m->version[0])
		put_field(w, TAG_VERSION, m->version, strlen(m->version));
	if (m->has & SIGNAL_HAS_NAT)
		put_number_field(w, TAG_NAT, m->nat, 1);
	if (m->candidate_count)
		put_candidates(w, m);
}

/* A padding field needs three bytes of its own: a gap of one or two stays. */
static void put_padding(struct writer *w, size_t frame_len)
{
	size_t around = SIGNAL_HEADER_LEN + SIGNAL_TAG_LEN, zeros;

	if (frame_len < around + w->len + FIELD_HEAD_LEN)
		return;
	zeros = frame_len - around - w->len - FIELD_HEAD_LEN;
	put_tag(w, TAG_PADDING, zeros);
	if (w->len <= w->size && zeros <= w->size - w->len)
		memset(w->out + w->len, 0, zeros);
	w->len += zeros;
}

int signal_encode(const struct signal_message *m, uint8_t *out, size_t size)
{
	struct writer w = {.out = out, .size = size};

	if (!message_is_good(m))
		return -EINVAL;
	if (m->pad_to > SIGNAL_FRAME_MAX)
		return -EMSGSIZE;
	put_head(&w, m);
	put_fields(&w, m);
	put_padding(&w, m->pad_to);
	if (w.len > size || w.len > SIGNAL_FRAME_MAX - SIGNAL_HEADER_LEN - SIGNAL_TAG_LEN)
		return -EMSGSIZE;
	out[w.count_at] = (uint8_t)(w.fields >> 8);
	out[w.count_at + 1] = (uint8_t)w.fields;
	return (int)w.len;
}
