/* The bytes of a body as a message. They come from a peer that has our trust in nothing but being that peer.
 */
#include <errno.h>
#include <string.h>

#include "base/path.h"
#include "signal/internal.h"

/* What is left to read. A read past the end gives zeros and sets `bad`. */
struct reader {
	const uint8_t *at;
	size_t left;
	bool bad;
};

static const uint8_t *take(struct reader *r, size_t len)
{
	const uint8_t *at = r->at;

	if (r->bad || len > r->left) {
		r->bad = true;
		return NULL;
	}
	r->at += len;
	r->left -= len;
	return at;
}

static void get(struct reader *r, void *out, size_t len)
{
	const uint8_t *at = take(r, len);

	if (at)
		memcpy(out, at, len);
	else
		memset(out, 0, len);
}

static uint64_t get_number(struct reader *r, unsigned bytes)
{
	uint8_t be[8];
	uint64_t n = 0;

	get(r, be, bytes);
	for (unsigned i = 0; i < bytes; i++)
		n = n << 8 | be[i];
	return n;
}

/* The next len bytes as a string in an array of max. */
static void get_text(struct reader *r, size_t len, char *out, size_t max, bool spaces)
{
	const char *at = (const char *)take(r, len);

	if (!at || !signal_text_is_good(at, len, max, spaces)) {
		r->bad = true;
		return;
	}
	memcpy(out, at, len);
	out[len] = 0;
}

/* A path kind of a later version is none that we know. */
static uint8_t known_path(uint64_t kind)
{
	return kind < PATH_KINDS ? (uint8_t)kind : PATH_KIND_NONE;
}

static uint8_t known_nat(uint64_t nat)
{
	return nat < SIGNAL_NATS ? (uint8_t)nat : SIGNAL_NAT_UNKNOWN;
}

static enum signal_reason known_reason(uint64_t number)
{
	switch (number) {
#define X(name, value, text) case SIGNAL_REASON_##name:
		SIGNAL_REASON_TABLE(X)
#undef X
		return (enum signal_reason)number;
	}
	return SIGNAL_REASON_none;
}

static void get_credentials(struct reader *r, struct signal_message *m)
{
	get_text(r, get_number(r, 1), m->ufrag, sizeof(m->ufrag), false);
	get_text(r, get_number(r, 1), m->pwd, sizeof(m->pwd), false);
}

static void get_address(struct reader *r, union address *a)
{
	memset(a, 0, sizeof(*a));
	switch (get_number(r, 1)) {
	case 4:
		a->in.sin_family = AF_INET;
		get(r, &a->in.sin_port, 2);
		get(r, &a->in.sin_addr, 4);
		return;
	case 6:
		a->in6.sin6_family = AF_INET6;
		get(r, &a->in6.sin6_port, 2);
		get(r, &a->in6.sin6_addr, 16);
		return;
	default:
		r->bad = true;
	}
}

static void get_report(struct reader *r, struct signal_report *out)
{
	uint64_t *const numbers[] = {
		&out->wall,
		&out->initiations_sent,
		&out->initiations_received,
		&out->responses_sent,
		&out->responses_received,
		&out->handshakes,
		&out->data_sent,
		&out->data_received,
		&out->rejected_mac1,
		&out->rejected_timestamp,
		&out->rejected_response,
		&out->rejected_unknown_index,
		&out->rejected_undecryptable,
		&out->rejected_source,
		&out->rejected_other,
		&out->last_received_age,
		&out->last_handshake_age,
		&out->packets_lost,
	};

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		*numbers[i] = get_number(r, 8);
	out->path = known_path(get_number(r, 1));
	out->mtu = (uint16_t)get_number(r, 2);
	take(r, r->left);
}

static void get_candidates(struct reader *r, struct signal_message *m)
{
	do {
		if (m->candidate_count == SIGNAL_CANDIDATES) {
			r->bad = true;
			return;
		}
		get_text(r, get_number(r, 1), m->candidates[m->candidate_count++], SIGNAL_CANDIDATE_MAX,
			 true);
	} while (!r->bad && r->left);
}

/* The bit that says that a field is there; 0: candidates are counted, and what is not known has none. */
static unsigned has_of(unsigned tag)
{
	static const unsigned bits[] = {
		[TAG_REASON] = SIGNAL_HAS_REASON, [TAG_CREDENTIALS] = SIGNAL_HAS_CREDENTIALS,
		[TAG_RELAY] = SIGNAL_HAS_RELAY,	  [TAG_ANSWERED] = SIGNAL_HAS_ANSWERED,
		[TAG_ECHO] = SIGNAL_HAS_ECHO,	  [TAG_OBSERVED] = SIGNAL_HAS_OBSERVED,
		[TAG_SIZE] = SIGNAL_HAS_SIZE,	  [TAG_COUNTS] = SIGNAL_HAS_COUNTS,
		[TAG_REPORT] = SIGNAL_HAS_REPORT, [TAG_BACK_IN] = SIGNAL_HAS_BACK_IN,
		[TAG_PATH] = SIGNAL_HAS_PATH,	  [TAG_VERSION] = SIGNAL_HAS_VERSION,
		[TAG_NAT] = SIGNAL_HAS_NAT,
	};

	return tag < sizeof(bits) / sizeof(bits[0]) ? bits[tag] : 0;
}

/* Reads one field's value; all of it must be used up. False: malformed. */
static bool get_field(struct signal_message *m, unsigned tag, struct reader r)
{
	m->has |= has_of(tag);
	switch (tag) {
	case TAG_REASON:
		m->reason = known_reason(get_number(&r, 1));
		break;
	case TAG_CREDENTIALS:
		get_credentials(&r, m);
		break;
	case TAG_RELAY:
		get_text(&r, r.left, m->relay, sizeof(m->relay), false);
		break;
	case TAG_ANSWERED:
		get(&r, m->answered, sizeof(m->answered));
		break;
	case TAG_ECHO:
		get(&r, m->echo, sizeof(m->echo));
		break;
	case TAG_OBSERVED:
		get_address(&r, &m->observed);
		break;
	case TAG_SIZE:
		m->size = (uint16_t)get_number(&r, 2);
		break;
	case TAG_COUNTS:
		m->data_sent = get_number(&r, 8);
		m->data_received = get_number(&r, 8);
		break;
	case TAG_REPORT:
		get_report(&r, &m->report);
		break;
	case TAG_BACK_IN:
		m->back_in_ms = (uint32_t)get_number(&r, 4);
		break;
	case TAG_PATH:
		m->path = known_path(get_number(&r, 1));
		break;
	case TAG_VERSION:
		get_text(&r, r.left, m->version, sizeof(m->version), true);
		break;
	case TAG_NAT:
		m->nat = known_nat(get_number(&r, 1));
		break;
	case TAG_CANDIDATES:
		get_candidates(&r, m);
		break;
	default: /* padding, or of a later version */
		take(&r, r.left);
	}
	return !r.bad && !r.left;
}

static uint16_t get_head(struct reader *r, struct signal_message *m)
{
	uint16_t fields;

	m->type = (enum signal_type)get_number(r, 1);
	m->flags = get_number(r, 1) & KNOWN_FLAGS;
	fields = (uint16_t)get_number(r, 2);
	m->boot = get_number(r, 8);
	m->started = get_number(r, 8);
	m->sequence = get_number(r, 8);
	get(r, m->session, SIGNAL_SESSION_LEN);
	m->generation = (uint32_t)get_number(r, 4);
	return fields;
}

int signal_decode(const uint8_t *body, size_t len, struct signal_message *m)
{
	struct reader r = {.at = body, .left = len};
	uint8_t seen[256 / 8] = {0};
	uint16_t fields;

	memset(m, 0, sizeof(*m));
	fields = get_head(&r, m);
	if (r.bad || m->type < SIGNAL_HELLO || m->type > SIGNAL_BYE)
		return -EBADMSG;
	while (fields--) {
		unsigned tag = (unsigned)get_number(&r, 1);
		size_t value_len = get_number(&r, 2);
		const uint8_t *value = take(&r, value_len);

		if (!value || seen[tag / 8] & 1 << tag % 8)
			return -EBADMSG;
		seen[tag / 8] |= (uint8_t)(1 << tag % 8);
		if (!get_field(m, tag, (struct reader){.at = value, .left = value_len}))
			return -EBADMSG;
	}
	return r.left ? -EBADMSG : 0;
}
