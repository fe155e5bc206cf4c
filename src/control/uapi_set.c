/*
 * A set request: each line takes effect at once, as in wireguard-go. A line that cannot be obeyed changes
 * nothing and ends the request; what the lines before it did stays done.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "control/uapi_internal.h"

void uapi_set_begin(struct uapi_set *s, struct engine *g, const char *who)
{
	memset(s, 0, sizeof(*s));
	s->engine = g;
	snprintf(s->who, sizeof(s->who), "%s", who);
}

void uapi_set_resume(struct uapi_set *s)
{
	if (s->peer)
		s->peer = engine_find_peer(s->engine, &s->public_key);
}

/* ---- sections ---- */

static void section_create(struct uapi_set *s)
{
	if (!s->to_create)
		return;
	s->to_create = false;
	s->peer = engine_add_peer(s->engine, &s->public_key);
	s->created = s->peer != NULL;
}

/* The keepalive comes last, so that the packet which it may send goes to the endpoint of this section. */
static void section_end(struct uapi_set *s)
{
	section_create(s);
	if (s->peer && s->keepalive_set)
		wg_peer_set_keepalive(engine_peer_wg(s->peer), s->keepalive, clock_now());
	if (s->peer && s->changes && !s->created)
		engine_note(s->engine, s->peer, LOG_DEBUG, "configured", "configured by %s: %u settings",
			    s->who, s->changes);
	s->peer = NULL;
	s->created = s->keepalive_set = false;
	s->changes = 0;
}

/* The device's own key is no peer: its lines are checked and have no effect. */
static void section_begin(struct uapi_set *s, const struct key *public_key)
{
	struct key own;

	section_end(s);
	s->peer_scope = true;
	s->public_key = *public_key;
	wg_get_public_key(engine_wg(s->engine), &own);
	if (wg_has_private_key(engine_wg(s->engine)) && key_equal(&own, public_key))
		return;
	s->peer = engine_find_peer(s->engine, public_key);
	s->to_create = !s->peer;
}

void uapi_set_end(struct uapi_set *s)
{
	section_end(s);
	s->peer_scope = false;
}

/* ---- device lines ---- */

static int set_private_key(struct uapi_set *s, struct key *k)
{
	struct key now;
	bool same;
	int r = 0;

	/* Setting the same key again must not cost the sessions. */
	wg_get_private_key(engine_wg(s->engine), &now);
	same = wg_has_private_key(engine_wg(s->engine)) && key_equal(&now, k);
	key_wipe(&now);
	if (!same)
		r = engine_set_private_key(s->engine, k);
	key_wipe(k);
	return r;
}

/* wireguard-go has one errno for whatever goes wrong with the socket, and wg(8) a fitting text for it. */
static int socket_failed(int r, const struct error *e)
{
	if (!r)
		return 0;
	log_warn("uapi", "%s", e->text);
	return -EADDRINUSE;
}

static int apply_device(struct uapi_set *s, struct uapi_item *item)
{
	struct error e = {0};

	switch (item->key) {
	case UAPI_PRIVATE_KEY:
		return set_private_key(s, &item->value.bytes);
	case UAPI_LISTEN_PORT:
		return socket_failed(engine_set_listen_port(s->engine, (uint16_t)item->value.number, &e), &e);
	case UAPI_FWMARK:
		return socket_failed(engine_set_fwmark(s->engine, item->value.number, &e), &e);
	case UAPI_REPLACE_PEERS:
		engine_remove_all_peers(s->engine);
		return 0;
	case UAPI_DRAIN_ALL:
		engine_drain_all(s->engine, WG_REASON_drain, s->who);
		return 0;
	default:
		return -EINVAL;
	}
}

/* ---- peer lines ---- */

static int set_allowed_ip(struct uapi_set *s, const struct uapi_prefix *p)
{
	struct wg_peer *wg = engine_peer_wg(s->peer);
	int r;

	if (!p->remove)
		return wg_allow(wg, p->family, p->addr, p->len, NULL);
	r = wg_disallow(wg, p->family, p->addr, p->len);
	return r == -ENOENT ? 0 : r;
}

static int apply_existing(struct uapi_set *s, struct uapi_item *item)
{
	struct wg_peer *wg = engine_peer_wg(s->peer);

	s->changes++;
	switch (item->key) {
	case UAPI_PRESHARED_KEY:
		wg_peer_set_psk(wg, &item->value.bytes);
		return 0;
	case UAPI_ENDPOINT:
		engine_peer_set_endpoint(s->peer, &item->value.endpoint);
		return 0;
	case UAPI_KEEPALIVE:
		s->keepalive = (uint16_t)item->value.number;
		s->keepalive_set = true;
		return 0;
	case UAPI_REPLACE_ALLOWED_IPS:
		wg_disallow_all(wg);
		return 0;
	case UAPI_ALLOWED_IP:
		return set_allowed_ip(s, &item->value.prefix);
	case UAPI_DRAIN:
		return engine_peer_drain(s->peer, s->who);
	default:
		return -EINVAL;
	}
}

static void remove_peer(struct uapi_set *s)
{
	if (s->peer)
		engine_remove_peer(s->peer);
	s->peer = NULL;
	s->to_create = false;
}

static int apply_peer(struct uapi_set *s, struct uapi_item *item)
{
	int r = 0;

	switch (item->key) {
	case UAPI_PROTOCOL_VERSION:
		return 0;
	case UAPI_UPDATE_ONLY:
		if (s->to_create || s->created)
			remove_peer(s);
		return 0;
	case UAPI_REMOVE:
		remove_peer(s);
		return 0;
	default:
		section_create(s);
		if (s->peer)
			r = apply_existing(s, item);
		if (item->key == UAPI_PRESHARED_KEY)
			key_wipe(&item->value.bytes);
		return r;
	}
}

static int refuse(const struct uapi_set *s, int r, const char *name)
{
	if (r == -EPROTO)
		log_warn("uapi", "set, line %u: no '=' in it", s->line);
	else
		log_warn("uapi", "set, line %u: %s key \"%.48s\" or its value is not valid", s->line,
			 s->peer_scope ? "peer" : "device", name ? name : "");
	return r;
}

int uapi_set_line(struct uapi_set *s, char *line, size_t len)
{
	struct uapi_item item;
	const char *name = NULL;
	int r;

	s->line++;
	r = uapi_parse(line, len, s->peer_scope, &item, &name);
	if (r) {
		key_wipe(&item.value.bytes); /* half of a key may be in it */
		return refuse(s, r, name);
	}
	if (item.key == UAPI_PUBLIC_KEY)
		section_begin(s, &item.value.bytes);
	else
		r = s->peer_scope ? apply_peer(s, &item) : apply_device(s, &item);
	return r;
}
