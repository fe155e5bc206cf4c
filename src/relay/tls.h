/* Whom a TLS relay server must be, and what is wrong with the certificate that it shows, in words. */
#ifndef WEIR_RELAY_TLS_H
#define WEIR_RELAY_TLS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

struct ssl_ctx_st;
struct x509_store_ctx_st;

#define TLS_PIN_TEXT 45 /* base64 of a SHA-256, with the terminator */

/* Trusts the certificates of ca_file, or the system's when NULL. NULL with *e; SSL_CTX_free by its owner. */
struct ssl_ctx_st *relay_tls_new(const char *ca_file, struct error *e);
void relay_tls_free(struct ssl_ctx_st *ctx);

struct relay_tls_check {
	const char *host;		/* that it must be for */
	const char *pin;		/* "": the chain and the name count; else this key and nothing more */
	char certificate[TLS_PIN_TEXT]; /* out: SHA-256 of the server's public key */
	char error[160];		/* out: why not */
};

/* OpenSSL's verify callback, called once and more for each certificate of the chain: is it still good? */
bool relay_tls_verify(struct x509_store_ctx_st *store, bool so_far, struct relay_tls_check *c);

/* What OpenSSL complained about last in this thread, "" if nothing. */
void relay_tls_last_error(char *out, size_t size);

#endif
