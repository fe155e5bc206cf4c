/* 32-byte keys and their two spellings. Parsing and formatting run in constant time (libsodium). */
#ifndef WEIR_BASE_KEY_H
#define WEIR_BASE_KEY_H

#include <stdbool.h>
#include <stdint.h>

#define KEY_LEN	       32
#define KEY_BASE64_LEN 44 /* without the terminator */
#define KEY_HEX_LEN    64

struct key {
	uint8_t bytes[KEY_LEN];
};

bool key_from_base64(struct key *k, const char *text);
bool key_from_hex(struct key *k, const char *text);
void key_to_base64(char out[KEY_BASE64_LEN + 1], const struct key *k);
void key_to_hex(char out[KEY_HEX_LEN + 1], const struct key *k);
bool key_is_zero(const struct key *k);			    /* constant time */
bool key_equal(const struct key *a, const struct key *b);   /* constant time */
void key_wipe(struct key *k);

#endif
