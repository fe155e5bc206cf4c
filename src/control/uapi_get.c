/*
 * The reply to a get request, made piece by piece as the client reads it. Peers are walked by a list of their
 * keys and allowed IPs by a copy, so that others may add and remove either between two pieces; memory is
 * bounded by 32 bytes a peer and 18 bytes an allowed IP of one peer.
 */
#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/xalloc.h"
#include "control/uapi_internal.h"

struct prefix {
	uint8_t family, len;
	uint8_t addr[16];
};

struct uapi_get {
	struct engine *engine;
	bool device_done;
	struct key *peers;
	size_t peer_count, next_peer;
	struct prefix *prefixes; /* of the peer at hand */
	size_t prefix_count, prefix_room, next_prefix;
};

struct uapi_get *uapi_get_new(struct engine *g)
{
	struct uapi_get *get = xcalloc(1, sizeof(*get));

	get->engine = g;
	get->peers = xmalloc((engine_peer_count(g) + 1) * sizeof(*get->peers));
	for (struct engine_peer *p = engine_first_peer(g); p; p = engine_next_peer(p))
		wg_peer_public_key(engine_peer_wg(p), &get->peers[get->peer_count++]);
	return get;
}

void uapi_get_free(struct uapi_get *get)
{
	if (!get)
		return;
	free(get->peers);
	free(get->prefixes);
	free(get);
}

static size_t device_piece(struct uapi_get *get, char out[UAPI_PIECE_MAX])
{
	struct engine *g = get->engine;
	char hex[KEY_HEX_LEN + 1];
	struct key key;
	int n = 0;

	get->device_done = true;
	if (wg_has_private_key(engine_wg(g))) {
		wg_get_private_key(engine_wg(g), &key);
		key_to_hex(hex, &key);
		n += snprintf(out, UAPI_PIECE_MAX, "private_key=%s\n", hex);
		key_wipe(&key);
		explicit_bzero(hex, sizeof(hex));
	}
	if (engine_listen_port(g))
		n += snprintf(out + n, UAPI_PIECE_MAX - (size_t)n, "listen_port=%u\n", engine_listen_port(g));
	if (engine_fwmark(g))
		n += snprintf(out + n, UAPI_PIECE_MAX - (size_t)n, "fwmark=%" PRIu32 "\n", engine_fwmark(g));
	return (size_t)n;
}

static void keep_prefix(void *arg, int family, const uint8_t *addr, unsigned len)
{
	struct uapi_get *get = arg;
	struct prefix *p;

	if (get->prefix_count == get->prefix_room) {
		get->prefix_room = get->prefix_room ? get->prefix_room * 2 : 16;
		get->prefixes = xrealloc(get->prefixes, get->prefix_room * sizeof(*get->prefixes));
	}
	p = &get->prefixes[get->prefix_count++];
	p->family = (uint8_t)family;
	p->len = (uint8_t)len;
	memcpy(p->addr, addr, family == AF_INET ? 4 : 16);
}

static int keys_text(struct wg_peer *wg, const struct key *public_key, char *out, size_t size)
{
	char hex[KEY_HEX_LEN + 1], psk_hex[KEY_HEX_LEN + 1];
	struct key psk;
	int n;

	key_to_hex(hex, public_key);
	wg_peer_get_psk(wg, &psk);
	key_to_hex(psk_hex, &psk);
	key_wipe(&psk);
	n = snprintf(out, size, "public_key=%s\npreshared_key=%s\nprotocol_version=1\n", hex, psk_hex);
	explicit_bzero(psk_hex, sizeof(psk_hex));
	return n;
}

static size_t peer_piece(struct uapi_get *get, struct engine_peer *p, const struct key *public_key,
			 char out[UAPI_PIECE_MAX])
{
	struct wg_peer *wg = engine_peer_wg(p);
	struct endpoint e = wg_peer_endpoint(wg);
	struct wg_peer_view view;
	uint64_t seconds, rest;
	int n = keys_text(wg, public_key, out, UAPI_PIECE_MAX);

	wg_peer_look(wg, &view, clock_boot_ns());
	if (endpoint_known(&e)) {
		char text[ADDRESS_TEXT];

		n += snprintf(out + n, UAPI_PIECE_MAX - (size_t)n, "endpoint=%s\n",
			      address_format(text, &e.remote));
	}
	seconds = view.last_handshake_wall / NS_PER_SEC;
	rest = view.last_handshake_wall % NS_PER_SEC;
	/* Readers take a handshake time without nanoseconds for "never". */
	if (seconds && !rest)
		rest = 1;
	n += snprintf(out + n, UAPI_PIECE_MAX - (size_t)n,
		      "last_handshake_time_sec=%" PRIu64 "\nlast_handshake_time_nsec=%" PRIu64
		      "\ntx_bytes=%" PRIu64 "\nrx_bytes=%" PRIu64 "\npersistent_keepalive_interval=%u\n",
		      seconds, rest, view.tx_bytes, view.rx_bytes, wg_peer_keepalive(wg));
	get->prefix_count = get->next_prefix = 0;
	wg_each_allowed(wg, keep_prefix, get);
	return (size_t)n;
}

static size_t prefix_piece(struct uapi_get *get, char out[UAPI_PIECE_MAX])
{
	const struct prefix *p = &get->prefixes[get->next_prefix++];
	char text[INET6_ADDRSTRLEN];

	inet_ntop(p->family, p->addr, text, sizeof(text));
	return (size_t)snprintf(out, UAPI_PIECE_MAX, "allowed_ip=%s/%u\n", text, p->len);
}

size_t uapi_get_next(struct uapi_get *get, char out[UAPI_PIECE_MAX])
{
	if (!get->device_done) {
		size_t n = device_piece(get, out);

		if (n)
			return n;
	}
	if (get->next_prefix < get->prefix_count)
		return prefix_piece(get, out);
	while (get->next_peer < get->peer_count) {
		const struct key *key = &get->peers[get->next_peer++];
		struct engine_peer *p = engine_find_peer(get->engine, key);

		if (p)
			return peer_piece(get, p, key, out);
	}
	return 0;
}
