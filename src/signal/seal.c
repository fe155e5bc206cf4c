/* Keys of a pair; sealing and opening frames with them. */
#include <errno.h>
#include <string.h>

#include "crypto/primitives.h"
#include "signal/internal.h"

static const uint8_t magic[4] = {'w', 'e', 'i', 'r'};
static const char context[] = "weir sealed control frames v1";

#define VERSION	 1
#define PAIR_AT	 8
#define NONCE_AT 16
#define BODY_MAX (SIGNAL_FRAME_MAX - SIGNAL_HEADER_LEN - SIGNAL_TAG_LEN)

/*
 * The two public keys in the order of their bytes, low and high, say the same at both ends:
 *   C = HASH(context), C = KDF1(C, low || high), (low to high, high to low, id) = KDF3(C, shared)
 * The id is made with the shared secret, so that somebody who knows public keys does not see whose frames
 * these are.
 */
void signal_pair_init(struct signal_pair *p, const struct key *shared, const struct key *own_public,
		      const struct key *peer_public, uint64_t boot, uint64_t started)
{
	bool own_is_low = memcmp(own_public->bytes, peer_public->bytes, KEY_LEN) < 0;
	struct key up, down;
	uint8_t chain[HASH_LEN], id[HASH_LEN], keys[2 * KEY_LEN];

	memcpy(keys, own_is_low ? own_public : peer_public, KEY_LEN);
	memcpy(keys + KEY_LEN, own_is_low ? peer_public : own_public, KEY_LEN);
	blake2s_256(chain, context, sizeof(context) - 1, NULL, 0);
	kdf(chain, NULL, NULL, chain, keys, sizeof(keys));
	kdf(up.bytes, down.bytes, id, chain, shared->bytes, KEY_LEN);

	*p = (struct signal_pair){
		.send_key = own_is_low ? up : down,
		.receive_key = own_is_low ? down : up,
		.boot = boot,
		.started = started,
	};
	memcpy(p->id, id, SIGNAL_PAIR_LEN);
	crypto_wipe(&up, sizeof(up));
	crypto_wipe(&down, sizeof(down));
	crypto_wipe(id, sizeof(id));
}

void signal_pair_wipe(struct signal_pair *p)
{
	crypto_wipe(p, sizeof(*p));
}

int signal_seal(struct signal_pair *p, struct signal_message *m, uint8_t *out, size_t size)
{
	uint8_t body[BODY_MAX];
	int len;

	if (size < SIGNAL_HEADER_LEN + SIGNAL_TAG_LEN)
		return -EMSGSIZE;
	if (size > SIGNAL_FRAME_MAX)
		size = SIGNAL_FRAME_MAX;
	m->boot = p->boot;
	m->started = p->started;
	m->sequence = p->sequence + 1;
	len = signal_encode(m, body, size - SIGNAL_HEADER_LEN - SIGNAL_TAG_LEN);
	if (len >= 0) {
		p->sequence++;
		memset(out, 0, SIGNAL_HEADER_LEN);
		memcpy(out, magic, sizeof(magic));
		out[sizeof(magic)] = VERSION;
		memcpy(out + PAIR_AT, p->id, SIGNAL_PAIR_LEN);
		crypto_random(out + NONCE_AT, XAEAD_NONCE_LEN);
		xaead_seal(out + SIGNAL_HEADER_LEN, body, (size_t)len, out, SIGNAL_HEADER_LEN, out + NONCE_AT,
			   &p->send_key);
		len += SIGNAL_HEADER_LEN + SIGNAL_TAG_LEN;
	}
	crypto_wipe(body, sizeof(body)); /* ICE passwords */
	return len;
}

bool signal_is_frame(const uint8_t *frame, size_t len)
{
	return len >= sizeof(magic) && !memcmp(frame, magic, sizeof(magic));
}

bool signal_frame_pair(const uint8_t *frame, size_t len, uint8_t pair[SIGNAL_PAIR_LEN])
{
	if (!signal_is_frame(frame, len) || len < SIGNAL_HEADER_LEN)
		return false;
	memcpy(pair, frame + PAIR_AT, SIGNAL_PAIR_LEN);
	return true;
}

/* What a verdict other than OK and NEW_BOOT leaves in *m is nobody's to read. */
static enum signal_verdict open_body(struct signal_pair *p, const uint8_t *body, size_t len,
				     struct signal_message *m)
{
	enum signal_verdict v;

	if (signal_decode(body, len, m) || !m->boot || !m->sequence)
		v = SIGNAL_MALFORMED;
	else
		v = signal_guard(p, m->boot, m->started, m->sequence);
	if (v != SIGNAL_OK && v != SIGNAL_NEW_BOOT)
		crypto_wipe(m, sizeof(*m));
	return v;
}

enum signal_verdict signal_open(struct signal_pair *p, const uint8_t *frame, size_t len,
				struct signal_message *m)
{
	uint8_t body[BODY_MAX];
	enum signal_verdict v = SIGNAL_FORGED;

	if (!signal_is_frame(frame, len) || len > SIGNAL_FRAME_MAX || len <= sizeof(magic))
		return SIGNAL_MALFORMED;
	if (frame[sizeof(magic)] != VERSION)
		return SIGNAL_VERSION;
	if (len < SIGNAL_HEADER_LEN + BODY_HEAD_LEN + SIGNAL_TAG_LEN)
		return SIGNAL_MALFORMED;
	if (memcmp(frame + PAIR_AT, p->id, SIGNAL_PAIR_LEN))
		return SIGNAL_FORGED;
	if (xaead_open(body, frame + SIGNAL_HEADER_LEN, len - SIGNAL_HEADER_LEN, frame, SIGNAL_HEADER_LEN,
		       frame + NONCE_AT, &p->receive_key))
		v = open_body(p, body, len - SIGNAL_HEADER_LEN - SIGNAL_TAG_LEN, m);
	crypto_wipe(body, sizeof(body));
	return v;
}
