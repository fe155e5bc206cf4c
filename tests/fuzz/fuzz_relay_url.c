/* Any text as a relay URL, as a proxy and as a list of hosts without one: what was read is whole, and reads
 * the same. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "relay/proxy.h"
#include "relay/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int truth)
{
	if (!truth)
		abort();
}

static void check_url(const char *text)
{
	struct relay_url u, again;
	char out[RELAY_URL_MAX];
	bool literal;

	if (!relay_url_parse(&u, text))
		return;
	require(u.port && u.host[0] && strlen(u.host) < sizeof(u.host));
	literal = strchr(u.host, ':') != NULL || strchr(u.host, '%') != NULL;
	snprintf(out, sizeof(out), "%s://%s%s%s:%u", u.tls ? "rels" : "rel", literal ? "[" : "", u.host,
		 literal ? "]" : "", u.port);
	require(relay_url_parse(&again, out));
	require(again.tls == u.tls && again.port == u.port && !strcmp(again.host, u.host));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct relay_proxy proxy;
	char *text = malloc(size + 1);

	require(text != NULL);
	memcpy(text, data, size);
	text[size] = '\0';
	check_url(text);
	if (relay_proxy_parse(&proxy, text))
		require(proxy.port && proxy.host[0] && strlen(proxy.user) < sizeof(proxy.user));
	relay_proxy_exempt(text, "relay.example.org");
	free(text);
	return 0;
}
