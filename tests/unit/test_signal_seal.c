/* Sealing, opening, and the guard against frames that were heard before. */
#include "test.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>

#include "crypto/primitives.h"
#include "hex.h"
#include "signal_help.h"
#include "vectors/signal_vectors.h"

#define STARTED (1767225600ull * 1000000000)
#define BOOT_A	0x1122334455667788ull
#define BOOT_B	0x99ull

static struct key low, high, shared;
static struct signal_pair a, b;
static struct signal_message message, back;
static uint8_t frame[SIGNAL_FRAME_MAX];
static bool fixed_nonce;

void __real_crypto_random(void *out, size_t len);
void __wrap_crypto_random(void *out, size_t len);
void __wrap_crypto_random(void *out, size_t len)
{
	if (fixed_nonce)
		from_hex(out, len, VECTOR_NONCE);
	else
		__real_crypto_random(out, len);
}

static void start_a(uint64_t boot, uint64_t started)
{
	signal_pair_init(&a, &shared, &low, &high, boot, started);
}

static void start_b(uint64_t boot, uint64_t started)
{
	signal_pair_init(&b, &shared, &high, &low, boot, started);
}

static int setup(void **state)
{
	(void)state;
	from_hex(&low, KEY_LEN, VECTOR_LOW_PUBLIC);
	from_hex(&high, KEY_LEN, VECTOR_HIGH_PUBLIC);
	from_hex(&shared, KEY_LEN, VECTOR_SHARED);
	start_a(BOOT_A, STARTED);
	start_b(BOOT_B, STARTED + 5);
	fixed_nonce = false;
	memset(&message, 0, sizeof(message));
	message.type = SIGNAL_HELLO;
	return 0;
}

static size_t seal(struct signal_pair *p)
{
	int len = signal_seal(p, &message, frame, sizeof(frame));

	assert_true(len > 0);
	return (size_t)len;
}

/* From memory of exactly this length; the frame stays as it is. */
static enum signal_verdict open_bytes(struct signal_pair *p, const uint8_t *bytes, size_t len)
{
	uint8_t *exact = malloc(len + !len);
	enum signal_verdict v;

	assert_non_null(exact);
	if (len)
		memcpy(exact, bytes, len);
	v = signal_open(p, exact, len, &back);
	if (len)
		assert_memory_equal(exact, bytes, len);
	free(exact);
	return v;
}

static void test_vectors(void **state)
{
	size_t len;

	(void)state;
	fixed_nonce = true;
	assert_hex(a.send_key.bytes, KEY_LEN, VECTOR_UP_KEY);
	assert_hex(a.receive_key.bytes, KEY_LEN, VECTOR_DOWN_KEY);
	assert_hex(b.send_key.bytes, KEY_LEN, VECTOR_DOWN_KEY);
	assert_hex(b.receive_key.bytes, KEY_LEN, VECTOR_UP_KEY);
	assert_hex(a.id, SIGNAL_PAIR_LEN, VECTOR_PAIR_ID);
	assert_hex(b.id, SIGNAL_PAIR_LEN, VECTOR_PAIR_ID);

	message.type = SIGNAL_PING;
	message.has = SIGNAL_HAS_ECHO | SIGNAL_HAS_COUNTS;
	message.generation = 7;
	message.data_sent = 300;
	message.data_received = 299;
	for (uint8_t i = 0; i < sizeof(message.echo); i++)
		message.echo[i] = i;
	len = seal(&a);
	assert_int_equal(len, strlen(VECTOR_PING_FRAME) / 2);
	assert_hex(frame, len, VECTOR_PING_FRAME);
	assert_int_equal(open_bytes(&b, frame, len), SIGNAL_NEW_BOOT);
	assert_int_equal(back.data_received, 299);

	len = strlen(VECTOR_OFFER_FRAME) / 2;
	from_hex(frame, len, VECTOR_OFFER_FRAME);
	assert_int_equal(open_bytes(&b, frame, len), SIGNAL_OK);
	assert_int_equal(back.type, SIGNAL_OFFER);
	assert_string_equal(back.relay, "rels://relay.example:443");
}

static void test_there_and_back(void **state)
{
	size_t len;

	(void)state;
	for (int i = 0; i < 3; i++) {
		fill_message(&message, SIGNAL_OFFER);
		len = seal(&a);
		assert_int_equal(message.boot, BOOT_A);
		assert_int_equal(message.sequence, i + 1);
		assert_int_equal(open_bytes(&b, frame, len), i ? SIGNAL_OK : SIGNAL_NEW_BOOT);
		assert_memory_equal(&back, &message, sizeof(back));
		fill_message(&message, SIGNAL_ANSWER);
		len = seal(&b);
		assert_int_equal(open_bytes(&a, frame, len), i ? SIGNAL_OK : SIGNAL_NEW_BOOT);
		assert_memory_equal(&back, &message, sizeof(back));
	}
}

static void test_frame_names_its_pair(void **state)
{
	uint8_t id[SIGNAL_PAIR_LEN];
	size_t len = seal(&a);

	(void)state;
	assert_true(signal_is_frame(frame, len));
	assert_true(signal_frame_pair(frame, len, id));
	assert_memory_equal(id, b.id, sizeof(id));
	assert_false(signal_frame_pair(frame, SIGNAL_HEADER_LEN - 1, id));
	assert_false(signal_is_frame(frame, 3));
	assert_false(signal_is_frame((const uint8_t *)"\1\0\0\0", 4));
	/* No two frames look alike, and the public keys are in none. */
	uint8_t other[SIGNAL_FRAME_MAX];

	memcpy(other, frame, len);
	seal(&a);
	assert_memory_not_equal(other + 16, frame + 16, 24);
	assert_memory_not_equal(frame + 8, low.bytes, 8);
	assert_memory_not_equal(frame + 8, high.bytes, 8);
}

static void test_every_bit_counts(void **state)
{
	size_t len;

	(void)state;
	message.type = SIGNAL_PING;
	message.has = SIGNAL_HAS_ECHO;
	len = seal(&a);
	for (size_t bit = 0; bit < 8 * len; bit++) {
		enum signal_verdict want = bit < 32   ? SIGNAL_MALFORMED
					   : bit < 40 ? SIGNAL_VERSION
						      : SIGNAL_FORGED;

		frame[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_equal(open_bytes(&b, frame, len), want);
		frame[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	assert_int_equal(b.remote_boot, 0); /* the guard has not moved */
	assert_int_equal(open_bytes(&b, frame, len), SIGNAL_NEW_BOOT);
}

static void test_every_truncation(void **state)
{
	size_t len = seal(&a);

	(void)state;
	for (size_t cut = 0; cut < len; cut++) {
		enum signal_verdict v = open_bytes(&b, frame, cut);

		assert_true(v == SIGNAL_MALFORMED || v == SIGNAL_FORGED);
	}
	frame[len] = 0;
	assert_int_equal(open_bytes(&b, frame, len + 1), SIGNAL_FORGED);
	memset(frame + len, 0, sizeof(frame) - len);
	assert_int_equal(open_bytes(&b, frame, sizeof(frame)), SIGNAL_FORGED);
}

static void test_oversize(void **state)
{
	static uint8_t bytes[SIGNAL_FRAME_MAX + 1];

	(void)state;
	message.pad_to = SIGNAL_FRAME_MAX;
	assert_int_equal(signal_seal(&a, &message, bytes, sizeof(bytes)), SIGNAL_FRAME_MAX);
	assert_int_equal(open_bytes(&b, bytes, SIGNAL_FRAME_MAX + 1), SIGNAL_MALFORMED);
	assert_int_equal(open_bytes(&b, bytes, SIGNAL_FRAME_MAX), SIGNAL_NEW_BOOT);
	message.pad_to = 200;
	for (size_t size = 0; size < 200; size++)
		assert_int_equal(signal_seal(&a, &message, bytes, size), -EMSGSIZE);
	assert_int_equal(signal_seal(&a, &message, bytes, 200), 200);
	assert_int_equal(message.sequence, 2); /* what was not sealed took no number */
}

/* One's own frame, sent back. */
static void test_reflection(void **state)
{
	size_t len = seal(&a);

	(void)state;
	assert_int_equal(open_bytes(&a, frame, len), SIGNAL_FORGED);
}

/* Another peer's pair, and the same shared secret with other public keys. */
static void test_other_pair(void **state)
{
	struct signal_pair other;
	struct key third;
	size_t len = seal(&a);

	(void)state;
	memset(&third, 7, sizeof(third));
	signal_pair_init(&other, &shared, &high, &third, 1, 1);
	assert_memory_not_equal(other.id, a.id, SIGNAL_PAIR_LEN);
	assert_int_equal(open_bytes(&other, frame, len), SIGNAL_FORGED);
	memcpy(other.id, a.id, SIGNAL_PAIR_LEN); /* even with the right name on it */
	assert_int_equal(open_bytes(&other, frame, len), SIGNAL_FORGED);
}

/* ---- the guard ---- */

#define KEPT 600
static uint8_t kept[KEPT + 1][200];
static size_t kept_len;

/* Frames 1 to KEPT of A's boot. */
static void keep_frames(void)
{
	for (int i = 1; i <= KEPT; i++) {
		kept_len = seal(&a);
		assert_in_range(kept_len, 1, sizeof(kept[i]));
		memcpy(kept[i], frame, kept_len);
	}
}

static enum signal_verdict open_kept(int i)
{
	return open_bytes(&b, kept[i], kept_len);
}

static void test_replay(void **state)
{
	(void)state;
	keep_frames();
	for (int i = 1; i <= KEPT; i++) {
		assert_int_equal(open_kept(i), i == 1 ? SIGNAL_NEW_BOOT : SIGNAL_OK);
		assert_int_equal(open_kept(i), SIGNAL_REPLAYED);
	}
	for (int i = 1; i <= KEPT; i++)
		assert_int_equal(open_kept(i), SIGNAL_REPLAYED);
}

static void test_reordering_within_the_window(void **state)
{
	(void)state;
	keep_frames();
	assert_int_equal(open_kept(300), SIGNAL_NEW_BOOT);
	for (int i = 300 - SIGNAL_WINDOW; i >= 1; i--)
		assert_int_equal(open_kept(i), SIGNAL_REPLAYED); /* too old to be told from a replay */
	for (int i = 299; i > 300 - SIGNAL_WINDOW; i--)
		assert_int_equal(open_kept(i), SIGNAL_OK);
	for (int i = 300; i > 300 - SIGNAL_WINDOW; i--)
		assert_int_equal(open_kept(i), SIGNAL_REPLAYED);
	/* Gaps on the way forward stay open, also across the window's end. */
	assert_int_equal(open_kept(310), SIGNAL_OK);
	assert_int_equal(open_kept(305), SIGNAL_OK);
	assert_int_equal(open_kept(310 + SIGNAL_WINDOW), SIGNAL_OK);
	assert_int_equal(open_kept(311), SIGNAL_OK);
	assert_int_equal(open_kept(309), SIGNAL_REPLAYED);
	assert_int_equal(open_kept(310), SIGNAL_REPLAYED);
	for (int i = 312; i < 310 + SIGNAL_WINDOW; i++)
		assert_int_equal(open_kept(i), SIGNAL_OK);
	assert_int_equal(open_kept(311), SIGNAL_REPLAYED);
}

static void test_new_boot(void **state)
{
	(void)state;
	keep_frames();
	assert_int_equal(open_kept(1), SIGNAL_NEW_BOOT);
	assert_int_equal(open_kept(2), SIGNAL_OK);
	start_a(0xabc, STARTED + 1);
	assert_int_equal(open_bytes(&b, frame, seal(&a)), SIGNAL_NEW_BOOT);
	assert_int_equal(b.remote_boot, 0xabc);
	assert_int_equal(open_bytes(&b, frame, seal(&a)), SIGNAL_OK);
	/* What was on its way from the boot that is over, seen before or not. */
	assert_int_equal(open_kept(2), SIGNAL_OLD_BOOT);
	assert_int_equal(open_kept(500), SIGNAL_OLD_BOOT);
	assert_int_equal(b.newest, 2);
	/* Another id that began no later. */
	start_a(0xdef, STARTED + 1);
	assert_int_equal(open_bytes(&b, frame, seal(&a)), SIGNAL_OLD_BOOT);
	start_a(0xdef, 0);
	assert_int_equal(open_bytes(&b, frame, seal(&a)), SIGNAL_OLD_BOOT);
	start_a(0xdef, STARTED + 2);
	assert_int_equal(open_bytes(&b, frame, seal(&a)), SIGNAL_NEW_BOOT);
}

/* A frame under the right key whose head cannot be: the guard is not moved by it. */
static void test_impossible_head(void **state)
{
	size_t len;

	(void)state;
	start_a(0, STARTED);
	len = seal(&a);
	assert_int_equal(open_bytes(&b, frame, len), SIGNAL_MALFORMED);
	start_a(BOOT_A, STARTED);
	a.sequence = UINT64_MAX; /* the next number is 0 */
	len = seal(&a);
	assert_int_equal(open_bytes(&b, frame, len), SIGNAL_MALFORMED);
	assert_int_equal(b.remote_boot, 0);
}

static void test_wipe(void **state)
{
	static const struct signal_pair nothing;

	(void)state;
	signal_pair_wipe(&a);
	assert_memory_equal(&a, &nothing, sizeof(a));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_vectors, setup),
		cmocka_unit_test_setup(test_there_and_back, setup),
		cmocka_unit_test_setup(test_frame_names_its_pair, setup),
		cmocka_unit_test_setup(test_every_bit_counts, setup),
		cmocka_unit_test_setup(test_every_truncation, setup),
		cmocka_unit_test_setup(test_oversize, setup),
		cmocka_unit_test_setup(test_reflection, setup),
		cmocka_unit_test_setup(test_other_pair, setup),
		cmocka_unit_test_setup(test_replay, setup),
		cmocka_unit_test_setup(test_reordering_within_the_window, setup),
		cmocka_unit_test_setup(test_new_boot, setup),
		cmocka_unit_test_setup(test_impossible_head, setup),
		cmocka_unit_test_setup(test_wipe, setup),
	};

	if (crypto_init())
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
