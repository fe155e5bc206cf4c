/*
 * Pseudonyms of addresses that keep prefixes: two addresses share as many leading bits afterwards as before
 * (the scheme of Xu, Fan, Ammar, Moon, "Prefix-preserving IP address anonymization", 2002), except that what
 * tells the kind of an address stays as it is, and that public addresses stay public.
 */
#include <string.h>

#include "cmd/bundle_hide.h"
#include "crypto/primitives.h"

static const struct {
	uint8_t bytes[2];
	uint8_t bits; /* that tell the kind */
	uint8_t kept; /* that are not changed; 32: all */
} kinds[] = {
	{{0, 0}, 8, 32},      {{127, 0}, 8, 32},    {{10, 0}, 8, 8},
	{{172, 16}, 12, 12},  {{192, 168}, 16, 16}, {{100, 64}, 10, 10},
	{{169, 254}, 16, 16}, {{224, 0}, 3, 32}, /* multicast, reserved, broadcast */
};

static bool begins(const uint8_t *bytes, const uint8_t *with, unsigned bits)
{
	for (unsigned i = 0; i < bits; i++)
		if ((bytes[i / 8] ^ with[i / 8]) & (0x80 >> i % 8))
			return false;
	return true;
}

/* Octets that begin nothing but public addresses. */
static bool public_octet(unsigned octet)
{
	static const uint8_t mixed[] = {0, 10, 100, 127, 169, 172, 192, 198, 203};

	return octet < 224 && !memchr(mixed, (int)octet, sizeof(mixed));
}

static uint8_t octet_pseudonym(struct addresses *a, uint8_t octet)
{
	uint8_t drawn[32];

	while (!a->octets[octet]) {
		crypto_random(drawn, sizeof(drawn));
		for (size_t i = 0; i < sizeof(drawn) && !a->octets[octet]; i++) {
			if (!public_octet(drawn[i]) || a->used[drawn[i]])
				continue;
			a->used[drawn[i]] = true;
			a->octets[octet] = drawn[i];
		}
		/* All are taken once two hundred networks were seen: from there on some share one. */
		if (!a->octets[octet])
			memset(a->used, 0, sizeof(a->used));
	}
	return a->octets[octet];
}

/* Each bit is turned or not, by a keyed hash of the bits before it as they were. */
static void turn_bits(const struct addresses *a, uint8_t *bytes, size_t len, unsigned from, unsigned to)
{
	uint8_t before[18] = {(uint8_t)len}, mac[MAC_LEN], was[16];

	memcpy(was, bytes, len);
	for (unsigned i = 0; i < to; i++) {
		uint8_t bit = 0x80 >> i % 8;

		if (i >= from) {
			before[1] = (uint8_t)i;
			blake2s_mac(mac, a->salt, sizeof(a->salt), before, sizeof(before));
			if (mac[0] & 1)
				bytes[i / 8] ^= bit;
		}
		before[2 + i / 8] |= was[i / 8] & bit;
	}
}

static void pseudonym_v4(struct addresses *a, uint8_t *bytes, unsigned bits)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (!begins(bytes, kinds[i].bytes, kinds[i].bits))
			continue;
		if (kinds[i].kept < bits)
			turn_bits(a, bytes, 4, kinds[i].kept, bits);
		return;
	}
	if (bits < 8)
		return;
	turn_bits(a, bytes, 4, 8, bits);
	bytes[0] = octet_pseudonym(a, bytes[0]);
}

void address_pseudonym(struct addresses *a, uint8_t *bytes, size_t len, unsigned bits)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff}, none[15];
	unsigned kept = 4; /* global unicast stays that */

	if (len == 4) {
		pseudonym_v4(a, bytes, bits);
		return;
	}
	if (!memcmp(bytes, mapped, sizeof(mapped))) {
		if (bits > 96)
			pseudonym_v4(a, bytes + 12, bits - 96);
		return;
	}
	if (bytes[0] == 0xff || (!memcmp(bytes, none, sizeof(none)) && bytes[15] <= 1))
		return; /* multicast, unspecified, loopback */
	if (bytes[0] == 0xfe && (bytes[1] & 0xc0) == 0x80)
		kept = 64;
	else if ((bytes[0] & 0xfe) == 0xfc)
		kept = 8;
	if (kept < bits)
		turn_bits(a, bytes, 16, kept, bits);
}
