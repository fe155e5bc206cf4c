/*
 * What must not be in a bundle. Secrets are taken out of every file; to make it anonymous, public keys,
 * addresses and names are replaced as well, the same thing by the same pseudonym in all files: prefixes of
 * addresses stay prefixes, private ranges stay what they are, a pseudonym of a key is a key. No I/O.
 */
#ifndef WEIR_CMD_BUNDLE_HIDE_H
#define WEIR_CMD_BUNDLE_HIDE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/strbuf.h"

struct hide;

/* Knows nothing yet. anonymise: names, addresses and public keys get pseudonyms, else only secrets go. */
struct hide *hide_new(bool anonymise);
void hide_free(struct hide *h); /* wipes */

/* A secret as text, and its bytes in base64 and hexadecimal. Shorter ones than 4 bytes cannot be told from
 * other text: they are only taken out where a keyword says what they are. */
void hide_secret(struct hide *h, const void *secret, size_t len);

/* What looks like a key and is none of these is taken for a secret one. */
void hide_public_key(struct hide *h, const char *base64);

void hide_peer_name(struct hide *h, const char *name);
void hide_host_name(struct hide *h, const char *name); /* with or without a port */

/* Finds names, hosts and public keys in objects of weir-control(7). */
void hide_learn(struct hide *h, const char *json, size_t len);

/* A configuration without the values of secret keywords, in comments too; and learns from it. The result is
 * still to go through hide_text, as everything. */
void hide_config(struct hide *h, const char *text, size_t len, struct strbuf *out);

/* Appends what may be shown of the text; call it once everything has been learnt. */
void hide_text(struct hide *h, const char *text, size_t len, struct strbuf *out);

/* Is a secret still in it? */
bool hide_leaks(const struct hide *h, const char *text, size_t len);

/* bundle_address.c: an address of 4 or 16 bytes, of which the first `bits` count. */
struct addresses {
	uint8_t salt[16];
	uint8_t octets[256]; /* pseudonyms of first octets, 0: none yet */
	bool used[256];
};
void address_pseudonym(struct addresses *a, uint8_t *bytes, size_t len, unsigned bits);

#endif
