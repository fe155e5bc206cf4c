/*
 * Any bytes as a configuration file. What is read survives being stripped and read again, and being encoded
 * and decoded; lint does not stumble over it.
 */
#include <sodium.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/conf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int truth)
{
	if (!truth)
		abort();
}

static char *strip(const struct conf *c, size_t *len)
{
	char *text = NULL;
	FILE *f = open_memstream(&text, len);

	require(f != NULL);
	conf_strip(c, f);
	fclose(f);
	return text;
}

/* The plain form says the same when it is read: it prints itself. A hook may have been all that stood for a
 * private key; then the plain form has none, and is rightly refused. */
static void check_strip(const struct conf *c)
{
	struct conf_messages m = {0};
	size_t len, again_len;
	char *text = strip(c, &len), *again;
	struct conf *reread = conf_parse(text, len, NULL, "wg0", &m);

	require((reread != NULL) == c->has_private_key);
	if (reread) {
		again = strip(reread, &again_len);
		require(len == again_len && !memcmp(text, again, len));
		free(again);
	}
	conf_free(reread);
	conf_messages_clear(&m);
	free(text);
}

static void check_encode(const struct conf *c)
{
	uint8_t *bytes, *again;
	size_t len, again_len;
	struct conf *copy;

	conf_encode(c, &bytes, &len);
	copy = conf_decode(bytes, len);
	require(copy != NULL);
	conf_encode(copy, &again, &again_len);
	require(len == again_len && !memcmp(bytes, again, len));
	conf_free(copy);
	free(bytes);
	free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct conf_messages m = {0};
	struct conf *c;

	require(sodium_init() >= 0);
	/* Also as what the other process might send. */
	conf_free(conf_decode(data, size));
	c = conf_parse((const char *)data, size, NULL, "wg0", &m);
	require((c == NULL) == (m.errors > 0));
	if (c) {
		conf_lint(c, &m);
		require(m.errors == 0);
		check_strip(c);
		check_encode(c);
	}
	conf_messages_clear(&m);
	conf_free(c);
	return 0;
}
