/*
 * Any text as a filter: it is refused in printable words, or becomes a filter that is valid, and that every
 * packet can be held against. Names are looked up nowhere.
 */
#include <netdb.h>
#include <stdlib.h>
#include <string.h>

#include "tap/filter.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* libpcap asks these; what a fuzzer types must not leave this process. */
int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **out)
{
	(void)node;
	(void)service;
	(void)hints;
	*out = NULL;
	return EAI_NONAME;
}

struct netent *getnetbyname(const char *name)
{
	(void)name;
	return NULL;
}

static void require(int truth)
{
	if (!truth)
		abort();
}

static void try_packets(const struct tap_filter *f)
{
	struct tap_meta m = {.length = 60};
	uint8_t *packet = calloc(1, 60);

	require(packet != NULL);
	for (unsigned i = 0; i < TAP_POINTS * 4u; i++) {
		m.point = (uint8_t)(i % TAP_POINTS);
		m.out = i & 4;
		m.remote.sa.sa_family = i & 8 ? AF_INET6 : AF_INET;
		packet[0] = i & 8 ? 0x60 : 0x45;
		for (size_t len = 0; len <= 60; len += 15)
			tap_filter_match(f, &m, packet, len);
	}
	free(packet);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tap_filter *f = NULL;
	struct error e = {0};
	char *text = calloc(1, size + 1);

	require(text != NULL);
	if (size)
		memcpy(text, data, size);
	if (tap_filter_parse(&f, text, &e)) {
		require(!f && *e.text);
		for (const char *c = e.text; *c; c++)
			require(*c >= ' ' && *c <= '~');
	} else {
		require(tap_filter_valid(f));
		try_packets(f);
		tap_filter_free(f);
	}
	free(text);
	return 0;
}
