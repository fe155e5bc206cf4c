#include "base/key.h"

#include <sodium.h>
#include <string.h>

bool key_from_base64(struct key *k, const char *text)
{
	uint8_t bytes[KEY_LEN];
	size_t len;
	bool good;

	/* libsodium wants the '=' and refuses set bits behind the 256th: each key has one spelling only. */
	if (strnlen(text, KEY_BASE64_LEN + 1) != KEY_BASE64_LEN)
		return false;
	good = sodium_base642bin(bytes, sizeof(bytes), text, KEY_BASE64_LEN, NULL, &len, NULL,
				 sodium_base64_VARIANT_ORIGINAL) == 0 &&
	       len == KEY_LEN;
	if (good)
		memcpy(k->bytes, bytes, KEY_LEN);
	sodium_memzero(bytes, sizeof(bytes));
	return good;
}

bool key_from_hex(struct key *k, const char *text)
{
	uint8_t bytes[KEY_LEN];
	size_t len;
	bool good;

	if (strnlen(text, KEY_HEX_LEN + 1) != KEY_HEX_LEN)
		return false;
	good = sodium_hex2bin(bytes, sizeof(bytes), text, KEY_HEX_LEN, NULL, &len, NULL) == 0 &&
	       len == KEY_LEN;
	if (good)
		memcpy(k->bytes, bytes, KEY_LEN);
	sodium_memzero(bytes, sizeof(bytes));
	return good;
}

void key_to_base64(char out[KEY_BASE64_LEN + 1], const struct key *k)
{
	sodium_bin2base64(out, KEY_BASE64_LEN + 1, k->bytes, KEY_LEN, sodium_base64_VARIANT_ORIGINAL);
}

void key_to_hex(char out[KEY_HEX_LEN + 1], const struct key *k)
{
	sodium_bin2hex(out, KEY_HEX_LEN + 1, k->bytes, KEY_LEN);
}

bool key_is_zero(const struct key *k)
{
	return sodium_is_zero(k->bytes, KEY_LEN);
}

bool key_equal(const struct key *a, const struct key *b)
{
	return sodium_memcmp(a->bytes, b->bytes, KEY_LEN) == 0;
}

void key_wipe(struct key *k)
{
	sodium_memzero(k, sizeof(*k));
}
