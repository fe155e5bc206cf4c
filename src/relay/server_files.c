/* What the relay server reads from disk, at the start and again at SIGHUP. */
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/key.h"
#include "crypto/primitives.h"
#include "relay/server_internal.h"

#define SECRET_MAX  4096
#define ALLOWED_MAX (16 << 20)

/* A file that cannot be read is as wrong a configuration as one with the wrong contents. */
static int read_text(const char *path, char **text, size_t *len, size_t max, struct error *e)
{
	int r = file_read(path, text, len, max, e);

	if (r)
		e->exit = EXIT_CONFIG;
	return r;
}

int server_read_secret(const char *path, struct relay_secret *secret, struct error *e)
{
	size_t len, end;
	char *text;
	int r = read_text(path, &text, &len, SECRET_MAX, e);

	if (r)
		return r;
	/* The line's end is the editor's, not the secret's. */
	for (end = len; end && strchr(" \t\r\n", text[end - 1]); end--)
		;
	if (end)
		relay_secret_set(secret, text, end);
	else
		r = error_exit(e, EXIT_CONFIG, EINVAL, "%s is empty: it should hold the relay's secret",
			       path);
	crypto_wipe(text, len);
	free(text);
	return r;
}

static int allow_line(const char *path, unsigned number, char *line, struct map *allowed, struct error *e)
{
	struct relay_id id;
	struct key key;

	line += strspn(line, " \t");
	line[strcspn(line, "# \t\r")] = '\0';
	if (!*line)
		return 0;
	if (!key_from_base64(&key, line))
		return error_exit(e, EXIT_CONFIG, EINVAL, "%s, line %u: a public key in base64 was expected",
				  path, number);
	relay_id_of(&id, &key);
	map_put(allowed, &id, allowed);
	return 0;
}

int server_read_allowed(const char *path, struct map **out, struct error *e)
{
	struct map *allowed;
	char *text, *line, *rest;
	unsigned number = 0;
	size_t len;
	int r = read_text(path, &text, &len, ALLOWED_MAX, e);

	if (r)
		return r;
	allowed = map_new(RELAY_ID_LEN);
	rest = text;
	while (!r && (line = strsep(&rest, "\n")))
		r = allow_line(path, ++number, line, allowed, e);
	free(text);
	if (r)
		map_free(allowed);
	else
		*out = allowed;
	return r;
}

static int tls_failed(const char *path, const char *what, struct error *e)
{
	char why[160] = "";
	unsigned long code = ERR_peek_last_error();

	if (code)
		ERR_error_string_n(code, why, sizeof(why));
	ERR_clear_error();
	return error_exit(e, EXIT_CONFIG, EINVAL, "%s: %s%s%s%s", path, what, *why ? " (" : "", why,
			  *why ? ")" : "");
}

/* OpenSSL's words for a file that is not there are its own. */
static int check_readable(const char *path, struct error *e)
{
	if (!access(path, R_OK))
		return 0;
	return error_exit(e, EXIT_CONFIG, errno, "cannot open %s: %s", path, strerror(errno));
}

int server_use_tls(struct ssl_ctx_st *ctx, const char *cert_file, const char *key_file, struct error *e)
{
	int r = check_readable(cert_file, e);

	if (!r)
		r = check_readable(key_file, e);
	if (r)
		return r;
	if (SSL_CTX_use_certificate_chain_file(ctx, cert_file) != 1)
		return tls_failed(cert_file, "no certificate (PEM) can be read here", e);
	if (SSL_CTX_use_PrivateKey_file(ctx, key_file, SSL_FILETYPE_PEM) != 1)
		return tls_failed(key_file, "no private key (PEM) can be read here that fits the certificate",
				  e);
	if (SSL_CTX_check_private_key(ctx) != 1)
		return tls_failed(key_file, "this key does not belong to the certificate", e);
	return 0;
}

void server_tune_tls(struct ssl_ctx_st *ctx)
{
	SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
	/* Sessions are resumed by tickets, which clients keep; a cache here would grow with every stranger.
	 */
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
}

int server_check_tls(const char *cert_file, const char *key_file, struct error *e)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	int r;

	if (!ctx)
		return tls_failed("OpenSSL", "no TLS context", e);
	r = server_use_tls(ctx, cert_file, key_file, e);
	SSL_CTX_free(ctx);
	return r;
}
