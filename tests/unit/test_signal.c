/* The body of sealed control frames: every field there and back, and nothing else is taken for one. */
#include "test.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>

#include "hex.h"
#include "seeded.h"
#include "signal_help.h"
#include "vectors/signal_vectors.h"

#define BODY_HEAD 40
#define COUNT_AT  2 /* of the fields, in the head */

static struct signal_message message, back;
static uint8_t body[SIGNAL_FRAME_MAX];

static int encode(const struct signal_message *m)
{
	return signal_encode(m, body, sizeof(body));
}

/* Decodes from memory of exactly this length, so that one byte too far is seen by a sanitizer. */
static int decode(const uint8_t *bytes, size_t len)
{
	uint8_t *exact = malloc(len + !len);
	int r;

	assert_non_null(exact);
	if (len)
		memcpy(exact, bytes, len);
	r = signal_decode(exact, len, &back);
	free(exact);
	return r;
}

/* A hello with the fields of `fields`, given as bytes. */
static int decode_fields(const void *fields, size_t len, unsigned count)
{
	uint8_t bytes[9000] = {SIGNAL_HELLO};

	bytes[COUNT_AT] = (uint8_t)(count >> 8);
	bytes[COUNT_AT + 1] = (uint8_t)count;
	assert_in_range(len, 0, sizeof(bytes) - BODY_HEAD);
	if (len)
		memcpy(bytes + BODY_HEAD, fields, len);
	return decode(bytes, BODY_HEAD + len);
}

static void test_every_type_and_field(void **state)
{
	(void)state;
	for (unsigned type = SIGNAL_HELLO; type <= SIGNAL_BYE; type++) {
		fill_message(&message, type);
		int len = encode(&message);

		assert_true(len > 0);
		assert_int_equal(decode(body, (size_t)len), 0);
		assert_memory_equal(&back, &message, sizeof(back));
	}
}

static void test_each_field_alone(void **state)
{
	static struct signal_message whole;

	(void)state;
	fill_message(&whole, SIGNAL_PONG);
	for (uint32_t bit = 1; bit <= SIGNAL_HAS_NAT; bit <<= 1) {
		message = whole;
		message.has = bit;
		message.candidate_count = 0;
		int len = encode(&message);

		assert_true(len > BODY_HEAD);
		assert_int_equal(body[COUNT_AT + 1], 1);
		assert_int_equal(decode(body, (size_t)len), 0);
		assert_int_equal(back.has, bit);
		assert_int_equal(back.candidate_count, 0);
	}
	message.has = 0;
	assert_int_equal(encode(&message), BODY_HEAD);
	message.candidate_count = 1;
	assert_int_equal(decode(body, (size_t)encode(&message)), 0);
	assert_int_equal(back.has, 0);
	assert_string_equal(back.candidates[0], whole.candidates[0]);
}

static void test_vectors(void **state)
{
	uint8_t bytes[512];
	size_t len = strlen(VECTOR_OFFER_BODY) / 2;

	(void)state;
	from_hex(bytes, len, VECTOR_OFFER_BODY);
	assert_int_equal(decode(bytes, len), 0);
	assert_int_equal(back.type, SIGNAL_OFFER);
	assert_int_equal(back.boot, 0x1122334455667788);
	assert_int_equal(back.sequence, 2);
	assert_int_equal(back.generation, 3);
	assert_int_equal(back.reason, SIGNAL_REASON_retry_direct);
	assert_string_equal(back.ufrag, "Ab+/");
	assert_string_equal(back.pwd, "0123456789abcdefghijkl");
	assert_string_equal(back.relay, "rels://relay.example:443");
	assert_int_equal(back.observed.in.sin_port, htons(51820));
	assert_int_equal(back.candidate_count, 2);
	assert_string_equal(back.candidates[1], "2 1 UDP 1694498815 198.51.100.7 40000 typ srflx");
	assert_int_equal(encode(&back), (int)len);
	assert_hex(body, len, VECTOR_OFFER_BODY);
}

static void test_every_truncation(void **state)
{
	(void)state;
	fill_message(&message, SIGNAL_OFFER);
	int len = encode(&message);

	for (int cut = 0; cut < len; cut++)
		assert_int_equal(decode(body, (size_t)cut), -EBADMSG);
	body[len] = 0;
	assert_int_equal(decode(body, (size_t)len + 1), -EBADMSG); /* nor may anything follow */
}

/* Each field's length one less and one more than it should be, the value cut or stretched with it. */
static void test_wrong_lengths(void **state)
{
	static const struct {
		uint8_t tag, len;
	} fixed[] = {{1, 1}, {4, 8}, {5, 16}, {7, 2}, {8, 16}, {10, 4}, {11, 1}};
	uint8_t field[64] = {0};

	(void)state;
	for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++)
		for (int more = -1; more <= 1; more++) {
			size_t len = (size_t)(fixed[i].len + more);

			field[0] = fixed[i].tag;
			field[2] = (uint8_t)len;
			assert_int_equal(decode_fields(field, 3 + len, 1), more ? -EBADMSG : 0);
		}
}

/* A report of a later version has more in it; one of a few bytes is none. */
static void test_report_may_grow(void **state)
{
	uint8_t field[256] = {9, 0, 147};

	(void)state;
	assert_int_equal(decode_fields(field, 3 + 147, 1), 0);
	field[2] = 146;
	assert_int_equal(decode_fields(field, 3 + 146, 1), -EBADMSG);
	field[2] = 200;
	field[3 + 7] = 42; /* wall */
	assert_int_equal(decode_fields(field, 3 + 200, 1), 0);
	assert_int_equal(back.report.wall, 42);
}

static void test_addresses(void **state)
{
	(void)state;
	assert_int_equal(decode_fields("\6\0\7\4\xca\x6c\300\0\2\1", 10, 1), 0);
	assert_int_equal(back.observed.in.sin_port, htons(51820));
	assert_int_equal(back.observed.in.sin_addr.s_addr, htonl(0xc0000201));
	assert_int_equal(decode_fields("\6\0\6\4\xca\x6c\300\0\2", 9, 1), -EBADMSG);
	assert_int_equal(decode_fields("\6\0\7\6\xca\x6c\300\0\2\1", 10, 1), -EBADMSG);
	assert_int_equal(decode_fields("\6\0\7\5\xca\x6c\300\0\2\1", 10, 1), -EBADMSG);
	assert_int_equal(decode_fields("\6\0\0", 3, 1), -EBADMSG);
}

static void test_unknown_is_skipped(void **state)
{
	(void)state;
	assert_int_equal(decode_fields("\310\0\3abc\7\0\2\5\300\311\0\0", 14, 3), 0);
	assert_int_equal(back.has, SIGNAL_HAS_SIZE);
	assert_int_equal(back.size, 0x05c0);
	/* What has a name here keeps it; what has none is none. */
	assert_int_equal(decode_fields("\1\0\1\310\13\0\1\310", 8, 2), 0);
	assert_int_equal(back.reason, SIGNAL_REASON_none);
	assert_int_equal(back.path, PATH_KIND_NONE);
	memset(body, 0, BODY_HEAD);
	body[0] = SIGNAL_HELLO;
	body[1] = 0xff;
	assert_int_equal(decode(body, BODY_HEAD), 0);
	assert_int_equal(back.flags, SIGNAL_ASK | SIGNAL_NO_ICE | SIGNAL_RESTARTS);
	body[0] = SIGNAL_BYE + 1;
	assert_int_equal(decode(body, BODY_HEAD), -EBADMSG);
	body[0] = 0;
	assert_int_equal(decode(body, BODY_HEAD), -EBADMSG);
}

static void test_duplicates(void **state)
{
	(void)state;
	assert_int_equal(decode_fields("\7\0\2\1\1\7\0\2\1\1", 10, 2), -EBADMSG);
	assert_int_equal(decode_fields("\310\0\0\310\0\0", 6, 2), -EBADMSG);
	assert_int_equal(decode_fields("\377\0\0\377\0\0", 6, 2), -EBADMSG);
	assert_int_equal(decode_fields("\7\0\2\1\1\310\0\0", 8, 1), -EBADMSG); /* more than counted */
	assert_int_equal(decode_fields("\7\0\2\1\1", 5, 2), -EBADMSG);	       /* fewer */
}

static void test_texts(void **state)
{
	uint8_t field[512] = {3, 0, 0};

	(void)state;
	for (unsigned c = 0; c < 256; c++) {
		field[2] = 2;
		field[3] = 'a';
		field[4] = (uint8_t)c;
		field[0] = 3; /* relay */
		assert_int_equal(decode_fields(field, 5, 1), c > ' ' && c < 127 ? 0 : -EBADMSG);
		field[0] = 12; /* version */
		assert_int_equal(decode_fields(field, 5, 1), c >= ' ' && c < 127 ? 0 : -EBADMSG);
	}
	memset(field + 3, 'x', sizeof(field) - 3);
	field[0] = 3;
	field[1] = SIGNAL_URL_MAX >> 8;
	field[2] = SIGNAL_URL_MAX & 0xff;
	assert_int_equal(decode_fields(field, 3 + SIGNAL_URL_MAX, 1), -EBADMSG);
	field[1] = (SIGNAL_URL_MAX - 1) >> 8;
	field[2] = (SIGNAL_URL_MAX - 1) & 0xff;
	assert_int_equal(decode_fields(field, 3 + SIGNAL_URL_MAX - 1, 1), 0);
	assert_int_equal(strlen(back.relay), SIGNAL_URL_MAX - 1);
	assert_int_equal(decode_fields("\3\0\0", 3, 1), -EBADMSG);
	assert_int_equal(decode_fields("\14\0\0", 3, 1), -EBADMSG);
}

static void test_credentials(void **state)
{
	uint8_t field[256] = {2, 0, 2 + SIGNAL_CREDENTIAL_MAX};

	(void)state;
	assert_int_equal(decode_fields("\2\0\6\2ab\2cd", 9, 1), 0);
	assert_string_equal(back.ufrag, "ab");
	assert_string_equal(back.pwd, "cd");
	assert_int_equal(decode_fields("\2\0\4\2ab\0", 7, 1), -EBADMSG);
	assert_int_equal(decode_fields("\2\0\4\0\2cd", 7, 1), -EBADMSG);
	assert_int_equal(decode_fields("\2\0\3\2ab", 6, 1), -EBADMSG);
	assert_int_equal(decode_fields("\2\0\6\2a \2cd", 9, 1), -EBADMSG);
	assert_int_equal(decode_fields("\2\0\7\2ab\2cde", 10, 1), -EBADMSG);
	field[3] = 1;
	field[4] = 'u';
	field[5] = SIGNAL_CREDENTIAL_MAX - 1;
	memset(field + 6, 'p', SIGNAL_CREDENTIAL_MAX);
	assert_int_equal(decode_fields(field, 3 + 2 + SIGNAL_CREDENTIAL_MAX, 1), 0);
	field[2]++;
	field[5]++;
	assert_int_equal(decode_fields(field, 3 + 3 + SIGNAL_CREDENTIAL_MAX, 1), -EBADMSG);
}

static void test_candidates(void **state)
{
	uint8_t field[3 + 300] = {13};

	(void)state;
	for (unsigned n = 0; n <= SIGNAL_CANDIDATES + 1; n++) {
		field[2] = (uint8_t)(2 * n);
		for (unsigned i = 0; i < n; i++)
			memcpy(field + 3 + 2 * i, "\1x", 2);
		assert_int_equal(decode_fields(field, 3 + 2 * n, 1),
				 n && n <= SIGNAL_CANDIDATES ? 0 : -EBADMSG);
	}
	assert_int_equal(decode_fields("\15\0\4\1a\0b", 7, 1), -EBADMSG); /* empty */
	assert_int_equal(decode_fields("\15\0\3\1a\2", 6, 1), -EBADMSG);  /* cut */
	assert_int_equal(decode_fields("\15\0\3\2a\n", 6, 1), -EBADMSG);  /* a second line in it */
	field[2] = SIGNAL_CANDIDATE_MAX + 1;
	field[3] = SIGNAL_CANDIDATE_MAX;
	memset(field + 4, 'c', SIGNAL_CANDIDATE_MAX);
	assert_int_equal(decode_fields(field, 3 + 1 + SIGNAL_CANDIDATE_MAX, 1), -EBADMSG);
}

static void test_padding(void **state)
{
	const size_t around = SIGNAL_HEADER_LEN + SIGNAL_TAG_LEN;

	(void)state;
	memset(&message, 0, sizeof(message));
	message.type = SIGNAL_PING;
	message.has = SIGNAL_HAS_ECHO;
	size_t bare = (size_t)encode(&message) + around;

	for (message.pad_to = 1; message.pad_to < 2000; message.pad_to++) {
		size_t want = message.pad_to < bare + 3 ? bare : message.pad_to;

		memset(body, 0xee, sizeof(body));
		assert_int_equal(encode(&message), (int)(want - around));
		assert_int_equal(body[want - around], 0xee);
		assert_int_equal(decode(body, want - around), 0);
		assert_int_equal(back.has, SIGNAL_HAS_ECHO);
	}
	message.pad_to = SIGNAL_FRAME_MAX;
	assert_int_equal(encode(&message), SIGNAL_FRAME_MAX - (int)around);
	assert_int_equal(decode(body, SIGNAL_FRAME_MAX - around), 0);
	message.pad_to = SIGNAL_FRAME_MAX + 1;
	assert_int_equal(encode(&message), -EMSGSIZE);
}

/* Every size that is too small is refused, and no byte behind it is touched. */
static void test_room(void **state)
{
	(void)state;
	fill_message(&message, SIGNAL_OFFER);
	int len = encode(&message);

	assert_in_range(len, 1, SIGNAL_FRAME_MAX - SIGNAL_HEADER_LEN - SIGNAL_TAG_LEN);
	for (int size = 0; size < len; size++) {
		memset(body, 0xee, sizeof(body));
		assert_int_equal(signal_encode(&message, body, (size_t)size), -EMSGSIZE);
		assert_int_equal(body[size], 0xee);
	}
	assert_int_equal(signal_encode(&message, body, (size_t)len), len);
}

/* What no receiver would take is not sent; what is empty is left out. */
static void test_encode_refuses(void **state)
{
	(void)state;
#define REFUSED(change)                                                                                      \
	do {                                                                                                 \
		fill_message(&message, SIGNAL_OFFER);                                                        \
		change;                                                                                      \
		assert_int_equal(encode(&message), -EINVAL);                                                 \
	} while (0)
	REFUSED(message.type = 0);
	REFUSED(message.type = SIGNAL_BYE + 1);
	REFUSED(message.candidate_count = SIGNAL_CANDIDATES + 1);
	REFUSED(message.ufrag[0] = 0);
	REFUSED(message.pwd[3] = ' ');
	REFUSED(memset(message.pwd, 'x', sizeof(message.pwd)));
	REFUSED(memset(message.relay, 'x', sizeof(message.relay)));
	REFUSED(message.relay[2] = '\n');
	REFUSED(message.version[2] = '\x1b');
	REFUSED(message.candidates[4][0] = 0);
	REFUSED(message.candidates[4][9] = '\n');
	fill_message(&message, SIGNAL_OFFER);
	message.relay[0] = message.version[0] = 0;
	message.observed.sa.sa_family = AF_UNSPEC;
	assert_int_equal(decode(body, (size_t)encode(&message)), 0);
	assert_int_equal(back.has, EVERY_FIELD & ~(uint32_t)(SIGNAL_HAS_RELAY | SIGNAL_HAS_VERSION |
							     SIGNAL_HAS_OBSERVED));
}

/* Random damage is either refused or gives a message that can be sent again. */
static void test_damage(void **state)
{
	static uint8_t damaged[SIGNAL_FRAME_MAX], again[SIGNAL_FRAME_MAX];

	(void)state;
	seeded_start("damage");
	fill_message(&message, SIGNAL_OFFER);
	size_t len = (size_t)encode(&message);

	for (int i = 0; i < 20000; i++) {
		memcpy(damaged, body, len);
		for (uint64_t flips = 1 + seeded_below(4); flips; flips--)
			damaged[seeded_below(len)] = (uint8_t)seeded_next();
		if (!decode(damaged, len))
			assert_true(signal_encode(&back, again, sizeof(again)) > 0);
	}
}

static void test_names(void **state)
{
	(void)state;
	assert_string_equal(signal_type_name(SIGNAL_RELAY_OPENED), "relay-opened");
	assert_string_equal(signal_type_name(99), "unknown");
	assert_string_equal(signal_reason_name(SIGNAL_REASON_tunnel_timeout), "tunnel_timeout");
	assert_string_equal(signal_reason_text(SIGNAL_REASON_tunnel_timeout), "the tunnel timed out");
	assert_string_equal(signal_reason_text(99), "no reason given");
	assert_string_equal(signal_verdict_name(SIGNAL_OLD_BOOT), "old-boot");
	assert_string_equal(signal_verdict_name(SIGNAL_VERDICTS), "unknown");
}

/* The manual has every number with its name, and the worked example. */
static void test_manual(void **state)
{
	static char page[1 << 16];
	FILE *f = fopen(SOURCE_FOLDER "/man/weir-protocol.7", "r");
	char line[200], *to = page;
	size_t len;

	(void)state;
	assert_non_null(f);
	len = fread(page, 1, sizeof(page) - 1, f);
	fclose(f);
	assert_in_range(len, 1, sizeof(page) - 2);
#define X(name, number, text)                                                                                \
	assert_int_equal(SIGNAL_##name, number);                                                             \
	snprintf(line, sizeof(line), "\n.It %d Ta %s Ta ", number, text);                                    \
	assert_non_null(strstr(page, line));
	SIGNAL_TYPE_TABLE(X)
#undef X
#define X(name, number, text)                                                                                \
	snprintf(line, sizeof(line), "\n.It %d Ta %s Ta %s\n", number, #name, text);                         \
	assert_non_null(strstr(page, line));
	SIGNAL_REASON_TABLE(X)
#undef X
	for (const char *from = page; *from; from++)
		if (*from != ' ' && *from != '\n')
			*to++ = *from;
	*to = '\0';
	assert_non_null(strstr(page, "low" VECTOR_LOW_PUBLIC "high" VECTOR_HIGH_PUBLIC "shared" VECTOR_SHARED
				     "up" VECTOR_UP_KEY "down" VECTOR_DOWN_KEY "id" VECTOR_PAIR_ID "."));
	assert_non_null(strstr(page, VECTOR_PING_BODY "."));
	assert_non_null(strstr(page, VECTOR_PING_FRAME "."));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_type_and_field),
		cmocka_unit_test(test_each_field_alone),
		cmocka_unit_test(test_vectors),
		cmocka_unit_test(test_every_truncation),
		cmocka_unit_test(test_wrong_lengths),
		cmocka_unit_test(test_report_may_grow),
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_unknown_is_skipped),
		cmocka_unit_test(test_duplicates),
		cmocka_unit_test(test_texts),
		cmocka_unit_test(test_credentials),
		cmocka_unit_test(test_candidates),
		cmocka_unit_test(test_padding),
		cmocka_unit_test(test_room),
		cmocka_unit_test(test_encode_refuses),
		cmocka_unit_test(test_damage),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_manual),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
