/*
 * Each function works on a transcript of its own, a copy where a handshake runs already, and only stores it
 * in the handshake once everything held. The names e, s, ee, es, se, ss and psk are those of the Noise
 * specification.
 */
#include "wg/noise.h"

#include <endian.h>
#include <string.h>

static const char construction[] = "Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s";
static const char identifier[] = "WireGuard v1 zx2c4 Jason@zx2c4.com";

#define TAI64_EPOCH 0x400000000000000aull /* 1970, with the 10 leap seconds that TAI was ahead then */

struct transcript {
	uint8_t hash[HASH_LEN];
	uint8_t chaining_key[HASH_LEN];
	struct key key; /* for the next sealed field */
};

static void mix_hash(struct transcript *t, const void *data, size_t len)
{
	uint8_t hash[HASH_LEN];

	blake2s_256(hash, t->hash, HASH_LEN, data, len);
	memcpy(t->hash, hash, HASH_LEN);
}

static void begin(struct transcript *t, const struct key *responder_static)
{
	memset(t, 0, sizeof(*t));
	blake2s_256(t->chaining_key, construction, strlen(construction), NULL, 0);
	blake2s_256(t->hash, t->chaining_key, HASH_LEN, identifier, strlen(identifier));
	mix_hash(t, responder_static->bytes, KEY_LEN);
}

static void resume(struct transcript *t, const uint8_t hash[HASH_LEN], const uint8_t chaining_key[HASH_LEN])
{
	memcpy(t->hash, hash, HASH_LEN);
	memcpy(t->chaining_key, chaining_key, HASH_LEN);
	memset(&t->key, 0, sizeof(t->key));
}

static void mix_key(struct transcript *t, const struct key *secret)
{
	kdf(t->chaining_key, t->key.bytes, NULL, t->chaining_key, secret->bytes, KEY_LEN);
}

static void mix_ephemeral(struct transcript *t, const uint8_t ephemeral[KEY_LEN])
{
	mix_hash(t, ephemeral, KEY_LEN);
	kdf(t->chaining_key, NULL, NULL, t->chaining_key, ephemeral, KEY_LEN);
}

static bool mix_dh(struct transcript *t, const struct key *secret, const struct key *public)
{
	struct key shared;
	bool ok = dh(&shared, secret, public);

	if (ok)
		mix_key(t, &shared);
	key_wipe(&shared);
	return ok;
}

static void mix_psk(struct transcript *t, const struct key *psk)
{
	uint8_t tau[HASH_LEN];

	kdf(t->chaining_key, tau, t->key.bytes, t->chaining_key, psk->bytes, KEY_LEN);
	mix_hash(t, tau, HASH_LEN);
	crypto_wipe(tau, sizeof(tau));
}

static void seal(struct transcript *t, uint8_t *out, const void *in, size_t len)
{
	aead_seal_small(out, in, len, t->hash, HASH_LEN, 0, &t->key);
	mix_hash(t, out, len + AEAD_TAG_LEN);
}

static bool open_sealed(struct transcript *t, uint8_t *out, const uint8_t *in, size_t len)
{
	if (!aead_open_small(out, in, len, t->hash, HASH_LEN, 0, &t->key))
		return false;
	mix_hash(t, in, len);
	return true;
}

static void store(struct handshake *h, const struct transcript *t, enum handshake_state state)
{
	memcpy(h->hash, t->hash, HASH_LEN);
	memcpy(h->chaining_key, t->chaining_key, HASH_LEN);
	h->state = state;
}

void noise_set_identity(struct noise_identity *id, const struct key *private_key)
{
	crypto_wipe(id, sizeof(*id));
	if (!private_key || key_is_zero(private_key))
		return;
	id->private_key = *private_key;
	dh_clamp(&id->private_key);
	dh_public(&id->public_key, &id->private_key);
	id->present = true;
}

void noise_change_identity(struct handshake *h, const struct noise_identity *id)
{
	noise_clear(h);
	h->has_static_static = id->present && dh(&h->static_static, &id->private_key, &h->remote_static);
	if (!h->has_static_static)
		key_wipe(&h->static_static);
}

void noise_init(struct handshake *h, const struct noise_identity *id, const struct key *remote_static)
{
	memset(h, 0, sizeof(*h));
	h->remote_static = *remote_static;
	noise_change_identity(h, id);
}

void noise_clear(struct handshake *h)
{
	key_wipe(&h->ephemeral_private);
	key_wipe(&h->remote_ephemeral);
	crypto_wipe(h->hash, sizeof(h->hash));
	crypto_wipe(h->chaining_key, sizeof(h->chaining_key));
	h->local_index = h->remote_index = 0;
	h->state = HANDSHAKE_ZEROED;
}

void noise_wipe(struct handshake *h)
{
	crypto_wipe(h, sizeof(*h));
}

/* -> e, es, s, ss, {timestamp} (paper 5.4.2) */
enum noise_result noise_create_initiation(struct handshake *h, const struct noise_identity *id,
					  struct message_initiation *out, uint32_t local_index,
					  const uint8_t timestamp[TAI64N_LEN])
{
	enum noise_result result = NOISE_NO_KEY;
	struct key ephemeral, public;
	struct transcript t;

	if (!id->present || !h->has_static_static)
		return NOISE_NO_KEY;
	memset(out, 0, sizeof(*out));
	begin(&t, &h->remote_static);
	dh_keypair(&ephemeral, &public);
	mix_ephemeral(&t, public.bytes);
	if (!mix_dh(&t, &ephemeral, &h->remote_static))
		goto out;
	out->type = htole32(MESSAGE_INITIATION);
	out->sender = htole32(local_index);
	memcpy(out->ephemeral, public.bytes, KEY_LEN);
	seal(&t, out->static_sealed, id->public_key.bytes, KEY_LEN);
	mix_key(&t, &h->static_static);
	seal(&t, out->timestamp_sealed, timestamp, TAI64N_LEN);

	noise_clear(h); /* of an initiation that came meanwhile nothing stays */
	h->local_index = local_index;
	h->ephemeral_private = ephemeral;
	store(h, &t, HANDSHAKE_CREATED_INITIATION);
	result = NOISE_OK;
out:
	key_wipe(&ephemeral);
	crypto_wipe(&t, sizeof(t));
	return result;
}

enum noise_result noise_open_static(struct noise_incoming *in, const struct noise_identity *id,
				    const struct message_initiation *m)
{
	enum noise_result result = NOISE_OK;
	struct transcript t;

	memset(in, 0, sizeof(*in));
	if (!id->present)
		return NOISE_NO_KEY;
	begin(&t, &id->public_key);
	memcpy(in->remote_ephemeral.bytes, m->ephemeral, KEY_LEN);
	mix_ephemeral(&t, m->ephemeral);
	if (!mix_dh(&t, &id->private_key, &in->remote_ephemeral))
		result = NOISE_LOW_ORDER;
	else if (!open_sealed(&t, in->remote_static.bytes, m->static_sealed, sizeof(m->static_sealed)))
		result = NOISE_STATIC_UNDECRYPTABLE;
	if (result == NOISE_OK) {
		memcpy(in->hash, t.hash, HASH_LEN);
		memcpy(in->chaining_key, t.chaining_key, HASH_LEN);
	} else {
		noise_incoming_wipe(in);
	}
	crypto_wipe(&t, sizeof(t));
	return result;
}

/* Only the peer itself could seal the timestamp, so what is judged after that is its doing, or a replay of
 * it. */
enum noise_result noise_consume_initiation(struct handshake *h, struct noise_incoming *in,
					   const struct message_initiation *m, uint64_t now)
{
	enum noise_result result = NOISE_OK;
	uint8_t stamp[TAI64N_LEN];
	struct transcript t;

	if (!key_equal(&h->remote_static, &in->remote_static))
		return NOISE_WRONG_PEER;
	if (!h->has_static_static)
		return NOISE_NO_KEY;
	resume(&t, in->hash, in->chaining_key);
	mix_key(&t, &h->static_static);
	if (!open_sealed(&t, stamp, m->timestamp_sealed, sizeof(m->timestamp_sealed))) {
		result = NOISE_TIMESTAMP_UNDECRYPTABLE;
		goto out;
	}
	memcpy(in->timestamp, stamp, TAI64N_LEN);
	if (tai64n_compare(stamp, h->latest_timestamp) <= 0)
		result = NOISE_REPLAYED_TIMESTAMP;
	else if (h->last_initiation && now < h->last_initiation + INITIATION_INTERVAL)
		result = NOISE_FLOOD;
	if (result != NOISE_OK)
		goto out;

	key_wipe(&h->ephemeral_private);
	memcpy(h->latest_timestamp, stamp, TAI64N_LEN);
	h->last_initiation = now;
	h->remote_ephemeral = in->remote_ephemeral;
	h->remote_index = le32toh(m->sender);
	store(h, &t, HANDSHAKE_CONSUMED_INITIATION);
out:
	crypto_wipe(&t, sizeof(t));
	return result;
}

void noise_incoming_wipe(struct noise_incoming *in)
{
	crypto_wipe(in, sizeof(*in));
}

/* <- e, ee, se, psk, {} (paper 5.4.3) */
enum noise_result noise_create_response(struct handshake *h, struct message_response *out,
					uint32_t local_index)
{
	enum noise_result result = NOISE_LOW_ORDER;
	struct key ephemeral, public;
	struct transcript t;

	if (h->state != HANDSHAKE_CONSUMED_INITIATION)
		return NOISE_WRONG_STATE;
	memset(out, 0, sizeof(*out));
	resume(&t, h->hash, h->chaining_key);
	dh_keypair(&ephemeral, &public);
	mix_ephemeral(&t, public.bytes);
	if (!mix_dh(&t, &ephemeral, &h->remote_ephemeral) || !mix_dh(&t, &ephemeral, &h->remote_static))
		goto out;
	mix_psk(&t, &h->psk);
	out->type = htole32(MESSAGE_RESPONSE);
	out->sender = htole32(local_index);
	out->receiver = htole32(h->remote_index);
	memcpy(out->ephemeral, public.bytes, KEY_LEN);
	seal(&t, out->empty_sealed, NULL, 0);

	/* The ephemeral has done its work, for the session keys follow from the chaining key alone; a key log
	 * may want it until noise_begin_session wipes it. */
	h->ephemeral_private = ephemeral;
	h->local_index = local_index;
	store(h, &t, HANDSHAKE_CREATED_RESPONSE);
	result = NOISE_OK;
out:
	key_wipe(&ephemeral);
	crypto_wipe(&t, sizeof(t));
	return result;
}

enum noise_result noise_consume_response(struct handshake *h, const struct noise_identity *id,
					 const struct message_response *m)
{
	enum noise_result result = NOISE_OK;
	struct transcript t;
	struct key remote;
	uint8_t nothing[1];

	if (!id->present)
		return NOISE_NO_KEY;
	if (h->state != HANDSHAKE_CREATED_INITIATION || le32toh(m->receiver) != h->local_index)
		return NOISE_WRONG_STATE;
	resume(&t, h->hash, h->chaining_key);
	memcpy(remote.bytes, m->ephemeral, KEY_LEN);
	mix_ephemeral(&t, m->ephemeral);
	if (!mix_dh(&t, &h->ephemeral_private, &remote) || !mix_dh(&t, &id->private_key, &remote)) {
		result = NOISE_LOW_ORDER;
		goto out;
	}
	mix_psk(&t, &h->psk);
	if (!open_sealed(&t, nothing, m->empty_sealed, sizeof(m->empty_sealed))) {
		result = NOISE_EMPTY_UNDECRYPTABLE;
		goto out;
	}
	h->remote_ephemeral = remote;
	h->remote_index = le32toh(m->sender);
	store(h, &t, HANDSHAKE_CONSUMED_RESPONSE);
out:
	crypto_wipe(&t, sizeof(t));
	return result;
}

bool noise_begin_session(struct handshake *h, struct noise_session *out)
{
	struct key first, second; /* initiator to responder, and back (paper 5.4.5) */

	if (h->state != HANDSHAKE_CREATED_RESPONSE && h->state != HANDSHAKE_CONSUMED_RESPONSE)
		return false;
	kdf(first.bytes, second.bytes, NULL, h->chaining_key, NULL, 0);
	out->initiator = h->state == HANDSHAKE_CONSUMED_RESPONSE;
	out->send = out->initiator ? first : second;
	out->receive = out->initiator ? second : first;
	out->local_index = h->local_index;
	out->remote_index = h->remote_index;
	key_wipe(&first);
	key_wipe(&second);
	noise_clear(h);
	return true;
}

void tai64n_encode(uint8_t out[TAI64N_LEN], uint64_t wall_ns)
{
	uint64_t seconds = htobe64(TAI64_EPOCH + wall_ns / NS_PER_SEC);
	uint32_t ns = htobe32((uint32_t)(wall_ns % NS_PER_SEC));

	memcpy(out, &seconds, sizeof(seconds));
	memcpy(out + sizeof(seconds), &ns, sizeof(ns));
}

uint64_t tai64n_decode(const uint8_t in[TAI64N_LEN])
{
	uint64_t seconds;
	uint32_t ns;

	memcpy(&seconds, in, sizeof(seconds));
	memcpy(&ns, in + sizeof(seconds), sizeof(ns));
	seconds = be64toh(seconds);
	if (seconds < TAI64_EPOCH)
		return 0;
	seconds -= TAI64_EPOCH;
	/* The nanoseconds can hold more than a second when a stranger wrote them: leave room for that. */
	if (seconds >= UINT64_MAX / NS_PER_SEC - 4)
		return UINT64_MAX;
	return seconds * NS_PER_SEC + be32toh(ns);
}

int tai64n_compare(const uint8_t a[TAI64N_LEN], const uint8_t b[TAI64N_LEN])
{
	return memcmp(a, b, TAI64N_LEN);
}
