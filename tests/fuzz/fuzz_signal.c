/*
 * Sealed control frames. First byte even: the rest is a body. Odd: the rest is taken for a frame as it is,
 * then as bodies (each with two bytes of length before it) that come one after the other under the right key.
 */
#include <stdlib.h>
#include <string.h>

#include "crypto/primitives.h"
#include "signal/signal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int truth)
{
	if (!truth)
		abort();
}

static uint8_t *copy(const uint8_t *data, size_t size) /* of its own, so that one byte too far is seen */
{
	uint8_t *bytes = malloc(size + !size);

	require(bytes != NULL);
	if (size)
		memcpy(bytes, data, size);
	return bytes;
}

/* What was read can be written, and reads the same again. */
static void check_message(const struct signal_message *m)
{
	static uint8_t bytes[SIGNAL_FRAME_MAX];
	static struct signal_message again;
	int len = signal_encode(m, bytes, sizeof(bytes));

	require(len > 0);
	require(!signal_decode(bytes, (size_t)len, &again));
	require(!memcmp(m, &again, sizeof(again)));
}

static void try_body(const uint8_t *data, size_t size)
{
	static struct signal_message m;
	uint8_t *body = copy(data, size);

	if (!signal_decode(body, size, &m))
		check_message(&m);
	free(body);
}

static void try_sealed(struct signal_pair *from, struct signal_pair *to, const uint8_t *body, size_t size)
{
	static struct signal_message m;
	size_t len = SIGNAL_HEADER_LEN + size + SIGNAL_TAG_LEN;
	struct signal_pair before = *to;
	uint8_t *frame = calloc(1, len), nonce[XAEAD_NONCE_LEN] = {0};
	enum signal_verdict v;

	require(frame != NULL);
	memcpy(frame, "weir\1", 5);
	memcpy(frame + 8, from->id, SIGNAL_PAIR_LEN);
	xaead_seal(frame + SIGNAL_HEADER_LEN, body, size, frame, SIGNAL_HEADER_LEN, nonce, &from->send_key);
	v = signal_open(to, frame, len, &m);
	require(v != SIGNAL_FORGED && v != SIGNAL_VERSION);
	if (v == SIGNAL_OK || v == SIGNAL_NEW_BOOT) {
		check_message(&m);
		require(m.boot == to->remote_boot && m.sequence <= to->newest);
		require(v == SIGNAL_OK || before.remote_boot != m.boot);
		require(signal_open(to, frame, len, &m) == SIGNAL_REPLAYED);
	} else {
		require(!memcmp(&before, to, sizeof(before)));
	}
	free(frame);
}

static void try_frames(const uint8_t *data, size_t size)
{
	static const struct key low = {{1}}, high = {{2}}, shared = {{3}};
	static struct signal_message m;
	struct signal_pair from, to;
	uint8_t *frame = copy(data, size);

	signal_pair_init(&from, &shared, &low, &high, 1, 1);
	signal_pair_init(&to, &shared, &high, &low, 1, 1);
	require(signal_open(&to, frame, size, &m) >= SIGNAL_MALFORMED);
	free(frame);
	while (size >= 2) {
		size_t len = (size_t)data[0] << 8 | data[1];

		data += 2;
		size -= 2;
		if (len > size)
			len = size;
		try_sealed(&from, &to, data, len);
		data += len;
		size -= len;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!size)
		return 0;
	if (data[0] & 1)
		try_frames(data + 1, size - 1);
	else
		try_body(data + 1, size - 1);
	return 0;
}
