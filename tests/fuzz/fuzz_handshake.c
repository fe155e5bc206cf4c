/*
 * Handshake messages and cookie replies from a stranger or a damaging network. The first byte tells which
 * message (bits 0 and 1) and whether the rest is the message itself or is laid over a valid one by exclusive
 * or (bit 2). Nothing may be accepted that is not the valid one, and what is refused may change nothing.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "wg/cookie.h"
#include "wg/noise.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define NOW (1000 * NS_PER_SEC)

/* The initiator waits for its response, the responder for the initiation. */
static struct {
	struct noise_identity initiator_id, responder_id;
	struct handshake initiator, responder;
	struct cookie_checker checker;
	struct cookie_maker maker;
	union address from;
	struct message_initiation initiation;
	struct message_response response;
	struct message_cookie cookie;
} world;

static void require(bool truth)
{
	if (!truth)
		abort();
}

static void identity(struct noise_identity *id)
{
	struct key secret, public;

	dh_keypair(&secret, &public);
	noise_set_identity(id, &secret);
}

static void make_world(void)
{
	struct handshake answering;
	struct cookie_maker maker;
	struct noise_incoming in;
	uint8_t stamp[TAI64N_LEN];

	require(crypto_init() == 0);
	identity(&world.initiator_id);
	identity(&world.responder_id);
	noise_init(&world.initiator, &world.initiator_id, &world.responder_id.public_key);
	noise_init(&world.responder, &world.responder_id, &world.initiator_id.public_key);
	cookie_checker_init(&world.checker, &world.responder_id.public_key);
	cookie_maker_init(&world.maker, &world.responder_id.public_key);
	cookie_maker_init(&maker, &world.initiator_id.public_key);
	world.from.in.sin_family = AF_INET;

	tai64n_encode(stamp, 1700000000 * NS_PER_SEC);
	require(noise_create_initiation(&world.initiator, &world.initiator_id, &world.initiation, 1, stamp) ==
		NOISE_OK);
	cookie_add_macs(&world.maker, &world.initiation, sizeof(world.initiation), NOW);
	cookie_reply(&world.checker, &world.cookie, world.initiation.sender, &world.initiation,
		     sizeof(world.initiation), &world.from, NOW);
	answering = world.responder;
	require(noise_open_static(&in, &world.responder_id, &world.initiation) == NOISE_OK);
	require(noise_consume_initiation(&answering, &in, &world.initiation, NOW) == NOISE_OK);
	require(noise_create_response(&answering, &world.response, 2) == NOISE_OK);
	cookie_add_macs(&maker, &world.response, sizeof(world.response), NOW);
}

/* True when the bytes from..to are those of the valid message. */
static bool same(const void *a, const void *b, size_t from, size_t to)
{
	return !memcmp((const uint8_t *)a + from, (const uint8_t *)b + from, to - from);
}

static void take_initiation(const struct message_initiation *m)
{
	const size_t macs = offsetof(struct message_initiation, macs);
	struct handshake h = world.responder;
	struct noise_incoming in;
	enum noise_result result = noise_open_static(&in, &world.responder_id, m);
	enum cookie_verdict verdict = cookie_check(&world.checker, m, sizeof(*m), &world.from, true, NOW);

	require(verdict != COOKIE_VALID);
	require((verdict != COOKIE_BAD_MAC1) == same(m, &world.initiation, 0, macs + MAC_LEN));
	if (result == NOISE_OK)
		result = noise_consume_initiation(&h, &in, m, NOW);
	require((result == NOISE_OK) ==
		same(m, &world.initiation, offsetof(struct message_initiation, ephemeral), macs));
	require(result == NOISE_OK || !memcmp(&h, &world.responder, sizeof(h)));
}

static void take_response(const struct message_response *m)
{
	struct handshake h = world.initiator;
	enum noise_result result = noise_consume_response(&h, &world.initiator_id, m);

	require((result == NOISE_OK) == same(m, &world.response, offsetof(struct message_response, receiver),
					     offsetof(struct message_response, macs)));
	require(result == NOISE_OK || !memcmp(&h, &world.initiator, sizeof(h)));
}

static void take_cookie(const struct message_cookie *m)
{
	struct cookie_maker maker = world.maker;
	bool taken = cookie_consume(&maker, m, NOW);

	require(taken == same(m, &world.cookie, offsetof(struct message_cookie, nonce), sizeof(*m)));
	require(taken || !memcmp(&maker, &world.maker, sizeof(maker)));
}

/* Messages of any length, as they come from the network. */
static void take_any(const uint8_t *data, size_t size)
{
	if (size != sizeof(world.initiation) || memcmp(data, &world.initiation, size))
		require(cookie_check(&world.checker, data, size, &world.from, true, NOW) != COOKIE_VALID);
}

static void fill(void *message, size_t len, const void *valid, bool over, const uint8_t *data, size_t size)
{
	uint8_t *out = message;

	memset(out, 0, len);
	if (over)
		memcpy(out, valid, len);
	for (size_t i = 0; i < len && i < size; i++)
		out[i] ^= data[i];
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static bool made;
	struct message_initiation initiation;
	struct message_response response;
	struct message_cookie cookie;
	bool over;

	if (!made)
		make_world();
	made = true;
	if (!size)
		return 0;
	over = data[0] & 4;
	switch (data[0] & 3) {
	case 0:
		fill(&initiation, sizeof(initiation), &world.initiation, over, data + 1, size - 1);
		take_initiation(&initiation);
		break;
	case 1:
		fill(&response, sizeof(response), &world.response, over, data + 1, size - 1);
		take_response(&response);
		break;
	case 2:
		fill(&cookie, sizeof(cookie), &world.cookie, over, data + 1, size - 1);
		take_cookie(&cookie);
		break;
	default:
		take_any(data + 1, size - 1);
	}
	return 0;
}
