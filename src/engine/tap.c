/* Sessions of the tap, and what the engine does while there are some: key log lines, and ears for STUN. */
#include "engine/tap.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/epoch.h"
#include "base/xalloc.h"
#include "crypto/primitives.h"
#include "engine/tap_taps.h"

#define KEY_LINE 80

/* ---- who listens ---- */

static void on_end(void *arg)
{
	struct engine *g = arg;

	atomic_store(&g->taps->ended, true);
	worker_wake_control(g);
}

static void changed(struct engine *g)
{
	wg_tell_ephemerals(g->wg, atomic_load(&g->tapped->keys));
	tap_stun_listen(g, tap_wanted(g->tapped, TAP_WIRE));
}

void taps_open(struct engine *g)
{
	g->control_thread = pthread_self();
	g->tap = tap_new(g->worker_count + 2);
	g->tapped = tap_get_switch(g->tap);
	g->taps = xcalloc(1, sizeof(*g->taps));
	g->taps->relay = epoch_reader_add(wg_epoch(g->wg));
	tap_on_end(g->tap, on_end, g);
	tap_stun_open(g);
}

void taps_close(struct engine *g)
{
	if (!g->taps)
		return;
	tap_stun_close(g);
	tap_free(g->tap);
	strbuf_clear(&g->taps->held);
	free(g->taps);
	g->taps = NULL;
}

void taps_turn(struct engine *g)
{
	if (!atomic_load_explicit(&g->taps->ended, memory_order_relaxed) ||
	    !atomic_exchange(&g->taps->ended, false))
		return;
	tap_reap(g->tap);
	changed(g);
}

int engine_tap_resolve(struct engine *g, struct tap_filter *f, struct error *e)
{
	for (unsigned i = 0; f && i < f->count; i++) {
		struct tap_node *n = &f->nodes[i];
		struct engine_peer *p;
		int r;

		if (n->kind != TAP_NODE_PEER)
			continue;
		r = engine_pick_peer(g, n->peer, &p, e);
		if (r)
			return r;
		wg_peer_public_key(p->wg, &n->key);
	}
	return 0;
}

/* ---- keys ---- */

static size_t key_line(char *out, const char *name, const struct key *k)
{
	char base64[KEY_BASE64_LEN + 1];
	int n;

	key_to_base64(base64, k);
	n = snprintf(out, KEY_LINE, "%s = %s\n", name, base64);
	crypto_wipe(base64, sizeof(base64));
	return (size_t)n;
}

/* What Wireshark needs to open the handshake that follows, in the format of its WireGuard key log. */
void tap_ephemeral(struct engine *g, struct wg_peer *wg, const struct key *private_key)
{
	char lines[4 * KEY_LINE];
	struct key own, peer, psk;
	size_t len = 0;

	wg_get_private_key(g->wg, &own);
	wg_peer_public_key(wg, &peer);
	wg_peer_get_psk(wg, &psk);
	len += key_line(lines + len, "LOCAL_STATIC_PRIVATE_KEY", &own);
	len += key_line(lines + len, "REMOTE_STATIC_PUBLIC_KEY", &peer);
	len += key_line(lines + len, "LOCAL_EPHEMERAL_PRIVATE_KEY", private_key);
	if (wg_peer_has_psk(wg))
		len += key_line(lines + len, "PRESHARED_KEY", &psk);
	tap_put_keys(g->tap, g->worker_count, &peer, lines, len);
	key_wipe(&own);
	key_wipe(&psk);
	crypto_wipe(lines, sizeof(lines));
}

static void begin_handshakes(struct engine *g, const struct tap_filter *f)
{
	for (struct engine_peer *p = engine_first_peer(g); p; p = engine_next_peer(p)) {
		struct key key;

		wg_peer_public_key(p->wg, &key);
		if (tap_filter_may_mean(f, &key))
			wg_peer_handshake(p->wg, clock_now(), WG_REASON_user, true);
	}
	engine_kick(g);
}

/* ---- sessions ---- */

int engine_tap_stream(struct engine *g, const struct tap_options *o, int fd, const char *who, struct error *e)
{
	struct tap_session *s = tap_open_stream(g->tap, o, fd, e);

	if (!s)
		return -(e->code ? e->code : EINVAL);
	changed(g);
	if (!o->keys)
		return 0;
	log_warn("engine", "%s captures packets with the keys that open them", who);
	engine_note(g, NULL, LOG_WARN, "keys", "%s captures packets with the keys that open them", who);
	begin_handshakes(g, o->filter);
	return 0;
}

struct tap_session *engine_tap_queue(struct engine *g, const struct tap_options *o, size_t bytes,
				     void (*ready)(void *arg), void *arg, struct error *e)
{
	struct tap_session *s = tap_open_queue(g->tap, o, bytes, ready, arg, e);

	changed(g);
	return s;
}

void engine_tap_close(struct engine *g, struct tap_session *s)
{
	tap_close(s);
	changed(g);
}

int engine_keep(struct engine *g, const struct tap_options *o, uint64_t ns, size_t bytes, struct error *e)
{
	int r = tap_keep(g->tap, o, ns, bytes, e);

	changed(g);
	return r;
}

void engine_keep_off(struct engine *g)
{
	tap_keep_off(g->tap);
	changed(g);
}

int engine_kept(struct engine *g, int fd, uint64_t ns, const void *preface, size_t preface_len,
		struct error *e)
{
	return tap_keep_send(g->tap, fd, ns, preface, preface_len, e);
}

void engine_look_tap(struct engine *g, struct engine_tap_view *out)
{
	*out = (struct engine_tap_view){.sessions = tap_sessions(g->tap),
					.points = tap_points(g),
					.stun = tap_stun_heard(g),
					.stalled = tap_keep_stalled(g->tap)};
	/* The lock is asked for only while there is something behind it. */
	if (!out->points)
		return;
	tap_look(g->tap, &out->counts);
	out->keeps = tap_keeps(g->tap, &out->keep_ns, &out->kept_bytes, &out->kept_from);
}
