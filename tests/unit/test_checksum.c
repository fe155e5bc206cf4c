/* Checksums against RFC 1071 done slowly. */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "net/checksum.h"
#include "net_help.h"
#include "test.h"

/* Every length around the vector path's steps, at every alignment, in memory that ends where the data ends.
 */
static void agrees_with_naive(void **state)
{
	(void)state;
	for (size_t len = 0; len < 1600; len += len < 400 ? 1 : 13) {
		for (size_t shift = 0; shift < 4; shift++) {
			uint8_t *from = malloc(len + shift), *to = malloc(len + shift);
			uint16_t expected;

			random_fill(from, len + shift);
			expected = htons(naive_checksum(from + shift, len, 0));
			assert_int_equal(checksum_finish(checksum_add(0, from + shift, len)), expected);
			assert_int_equal(checksum_finish(checksum_copy(0, to + shift, from + shift, len)),
					 expected);
			assert_memory_equal(to + shift, from + shift, len);
			free(from);
			free(to);
		}
	}
}

/* All ones is where carries are lost, if they are. */
static void carries_wrap(void **state)
{
	uint8_t ones[65535];

	(void)state;
	memset(ones, 0xff, sizeof(ones));
	for (size_t len = 1; len <= sizeof(ones); len = len * 2 + 1)
		assert_int_equal(checksum_finish(checksum_add(UINT64_MAX, ones, len)),
				 htons(naive_checksum(ones, len, 0xffff)));
}

static void parts_add_up(void **state)
{
	uint8_t data[4096];

	(void)state;
	random_fill(data, sizeof(data));
	for (int i = 0; i < 1000; i++) {
		size_t len = random_below(sizeof(data)), cut = random_below((uint32_t)len / 2 + 1) * 2;
		uint64_t sum = checksum_add(checksum_add(0, data, cut), data + cut, len - cut);

		assert_int_equal(checksum_finish(sum), htons(naive_checksum(data, len, 0)));
	}
}

static void pseudo_headers(void **state)
{
	uint8_t packet[2048], payload[1000];
	const int versions[] = {4, 6}, protocols[] = {IPPROTO_TCP, IPPROTO_UDP};

	(void)state;
	random_fill(payload, sizeof(payload));
	for (int i = 0; i < 4; i++) {
		struct packet_spec s = {.version = versions[i / 2],
					.protocol = protocols[i % 2],
					.host = 7,
					.payload = payload,
					.payload_len = 1 + random_below(sizeof(payload) - 1)};
		size_t len = packet_build(packet, &s), ip_len = s.version == 4 ? 20 : 40;
		uint64_t sum = checksum_pseudo(packet, (unsigned)s.protocol, len - ip_len);

		assert_int_equal(checksum_finish(checksum_add(sum, packet + ip_len, len - ip_len)), 0);
		packet[len - 1] ^= 1;
		assert_int_not_equal(checksum_finish(checksum_add(sum, packet + ip_len, len - ip_len)), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(agrees_with_naive),
		cmocka_unit_test(carries_wrap),
		cmocka_unit_test(parts_add_up),
		cmocka_unit_test(pseudo_headers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
