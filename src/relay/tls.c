#include "relay/tls.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/xalloc.h"

/* Where distributions keep all of their authorities in one file; OpenSSL's own default is often only a folder
 * of links, which is read again at each connection, when we may no longer be allowed to. */
static const char *const bundles[] = {
	"/etc/ssl/certs/ca-certificates.crt",
	"/etc/pki/tls/certs/ca-bundle.crt",
	"/etc/ssl/ca-bundle.pem",
	"/etc/ssl/cert.pem",
};

static void trust_system(SSL_CTX *ctx)
{
	SSL_CTX_set_default_verify_paths(ctx);
	if (getenv("SSL_CERT_FILE"))
		return;
	for (size_t i = 0; i < sizeof(bundles) / sizeof(bundles[0]); i++)
		if (access(bundles[i], R_OK) == 0 && SSL_CTX_load_verify_file(ctx, bundles[i]) == 1)
			return;
}

struct ssl_ctx_st *relay_tls_new(const char *ca_file, struct error *e)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());

	if (!ctx) {
		error_set(e, EIO, "TLS: OpenSSL gives no context");
		return NULL;
	}
	SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	/* The transport moves what could not be written at once, and writes it again from there. */
	SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
				      SSL_MODE_RELEASE_BUFFERS);
	if (!ca_file) {
		trust_system(ctx);
	} else if (SSL_CTX_load_verify_file(ctx, ca_file) != 1) {
		error_exit(e, EXIT_CONFIG, access(ca_file, R_OK) ? errno : EINVAL,
			   "%s: no certificates to trust in it (%s): it must be readable and in PEM form",
			   ca_file, access(ca_file, R_OK) ? strerror(errno) : "no PEM certificate");
		SSL_CTX_free(ctx);
		ctx = NULL;
	}
	ERR_clear_error();
	return ctx;
}

void relay_tls_free(struct ssl_ctx_st *ctx)
{
	SSL_CTX_free(ctx);
}

static void hash_key(X509 *cert, char out[TLS_PIN_TEXT])
{
	unsigned char *der = NULL, hash[EVP_MAX_MD_SIZE];
	int len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(cert), &der);

	out[0] = '\0';
	if (len > 0 && EVP_Digest(der, (size_t)len, hash, NULL, EVP_sha256(), NULL) == 1)
		EVP_EncodeBlock((unsigned char *)out, hash, 32);
	OPENSSL_free(der);
}

static bool is_for(X509 *cert, const char *host)
{
	return X509_check_ip_asc(cert, host, 0) == 1 || X509_check_host(cert, host, 0, 0, NULL) == 1;
}

/* The first name that a certificate has for servers, else its common name. */
static void name_of(X509 *cert, char *out, size_t size)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
	char common[128] = "";

	out[0] = '\0';
	for (int i = 0; i < sk_GENERAL_NAME_num(names) && !out[0]; i++) {
		const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
		const unsigned char *ip;

		if (name->type == GEN_DNS) {
			log_visible(out, size, (const char *)ASN1_STRING_get0_data(name->d.dNSName),
				    (size_t)ASN1_STRING_length(name->d.dNSName));
		} else if (name->type == GEN_IPADD && ASN1_STRING_length(name->d.iPAddress) == 4) {
			ip = ASN1_STRING_get0_data(name->d.iPAddress);
			snprintf(out, size, "%u.%u.%u.%u", ip[0], ip[1], ip[2], ip[3]);
		}
	}
	GENERAL_NAMES_free(names);
	if (!out[0] && X509_NAME_get_text_by_NID(X509_get_subject_name(cert), NID_commonName, common,
						 sizeof(common)) > 0)
		log_visible(out, size, common, strlen(common));
	if (!out[0])
		snprintf(out, size, "no name at all");
}

static void how_long(const ASN1_TIME *from, const ASN1_TIME *to, char *out, size_t size)
{
	int days = 0, seconds = 0;

	ASN1_TIME_diff(&days, &seconds, from, to); /* NULL: now */
	if (days)
		snprintf(out, size, "%d day%s", days, days == 1 ? "" : "s");
	else
		snprintf(out, size, "%d min", seconds / 60);
}

static void say_why(X509 *cert, int code, struct relay_tls_check *c)
{
	char ago[32], issuer[80] = "";

	switch (code) {
	case X509_V_ERR_CERT_HAS_EXPIRED:
		how_long(X509_get0_notAfter(cert), NULL, ago, sizeof(ago));
		snprintf(c->error, sizeof(c->error), "certificate expired %s ago", ago);
		break;
	case X509_V_ERR_CERT_NOT_YET_VALID:
		how_long(NULL, X509_get0_notBefore(cert), ago, sizeof(ago));
		snprintf(c->error, sizeof(c->error),
			 "certificate is not valid for %s yet: is this clock right?", ago);
		break;
	case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
	case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
		snprintf(c->error, sizeof(c->error),
			 "certificate is self-signed: trust it with CaFile, or its key with Pin");
		break;
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
	case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
		X509_NAME_get_text_by_NID(X509_get_issuer_name(cert), NID_commonName, issuer, sizeof(issuer));
		log_visible(ago, sizeof(ago), issuer, strlen(issuer));
		snprintf(c->error, sizeof(c->error),
			 "certificate is of an authority that is not trusted here (%s)", ago);
		break;
	default:
		snprintf(c->error, sizeof(c->error), "certificate refused: %s",
			 X509_verify_cert_error_string(code));
	}
}

bool relay_tls_verify(struct x509_store_ctx_st *store, bool so_far, struct relay_tls_check *c)
{
	X509 *leaf = X509_STORE_CTX_get0_cert(store), *at = X509_STORE_CTX_get_current_cert(store);
	char name[100];

	hash_key(leaf, c->certificate);
	if (c->pin[0]) {
		if (strcmp(c->pin, c->certificate) != 0) {
			snprintf(c->error, sizeof(c->error), "the server's key is %s, which is not the Pin",
				 c->certificate);
			return false;
		}
		X509_STORE_CTX_set_error(store, X509_V_OK);
		return true;
	}
	if (!so_far) {
		say_why(at ? at : leaf, X509_STORE_CTX_get_error(store), c);
		return false;
	}
	if (X509_STORE_CTX_get_error_depth(store) == 0 && !is_for(leaf, c->host)) {
		name_of(leaf, name, sizeof(name));
		snprintf(c->error, sizeof(c->error), "certificate is for %s, not for %s", name, c->host);
		return false;
	}
	return true;
}

void relay_tls_last_error(char *out, size_t size)
{
	unsigned long code = ERR_peek_last_error();
	const char *reason = code ? ERR_reason_error_string(code) : NULL;

	snprintf(out, size, "%s", reason ? reason : "");
}
