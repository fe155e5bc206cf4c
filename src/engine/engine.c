/*
 * The engine's control side: it owns the WireGuard device, starts and stops the workers, and gives the
 * protocol its turns. Everything that wants a turn calls engine_kick; the turn itself is control_turn.
 */
#include "engine/engine.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/xalloc.h"
#include "engine/diagnosis.h"
#include "engine/network.h"
#include "engine/tap_hooks.h"

#define RECLAIM_INTERVAL (50 * NS_PER_MS)
#define PERSIST_DELAY	 (1 * NS_PER_SEC)

/* ---- what the protocol asks for ---- */

static void send_datagram(void *ctx, struct wg_peer *wg, const struct endpoint *to, uint8_t ecn,
			  const void *data, size_t len)
{
	struct engine *g = ctx;
	bool lost = false;
	int r;

	if (!g->up)
		return;
	r = channel_send(g, to, ecn, data, len, &lost);
	tap_sent(g, wg ? peer_of(wg) : NULL, to, data, len, r);
	/* Not that of a cookie reply: it is for an address, not for a peer. */
	if (!wg)
		return;
	path_sent(g, peer_of(wg), to->via, 1, len, clock_boot_ns());
	if (r) {
		atomic_store_explicit(&peer_of(wg)->send_error, -r, memory_order_relaxed);
		wg_send_failed(wg, 1);
	}
	if (lost) {
		atomic_store(&peer_of(wg)->source_lost, true);
		atomic_store(&g->any_source_lost, true);
		engine_kick(g);
	}
}

static void wg_happened(void *ctx, struct wg_peer *wg, const struct wg_event *event)
{
	struct engine *g = ctx;
	struct engine_peer *p = wg ? peer_of(wg) : NULL;

	timeline_wg_event(g, p, event);
	if (!p)
		return;
	paths_wg_event(p, event);
	diagnosis_event(p, event);
	switch (event->type) {
	case WG_EVENT_ROAMED:
		if (!event->from->via)
			p->origin = ORIGIN_ROAMED;
		g->persist_due = earlier(g->persist_due, event->at_boot + PERSIST_DELAY);
		break;
	case WG_EVENT_HANDSHAKE_DONE:
		g->persist_due = earlier(g->persist_due, event->at_boot + PERSIST_DELAY);
		break;
	case WG_EVENT_SILENCE:
	case WG_EVENT_GAVE_UP:
		names_silent(p, event->at_boot);
		break;
	case WG_EVENT_INITIATION_SENT:
		if (event->a >= 3)
			names_silent(p, event->at_boot);
		break;
	default:
		break;
	}
	word_update(p, event->at_boot);
}

static void wake(void *ctx)
{
	worker_wake_control(ctx);
}

static void floor_moved(void *ctx, uint64_t floor_ns)
{
	struct engine *g = ctx;

	if (g->persist)
		persist_set_floor(g->persist, floor_ns);
}

static void peer_gone(void *ctx, struct wg_peer *wg)
{
	(void)ctx;
	wg_peer_set_owner(wg, NULL);
}

static struct wg_peer *via_peer(void *ctx, uint32_t via)
{
	struct engine_peer *p = channel_peer(ctx, via);

	return p ? p->wg : NULL;
}

static void ephemeral(void *ctx, struct wg_peer *wg, const struct key *private_key)
{
	tap_ephemeral(ctx, wg, private_key);
}

static const struct wg_ops wg_ops = {
	.send = send_datagram,
	.event = wg_happened,
	.peer_gone = peer_gone,
	.wake = wake,
	.via_peer = via_peer,
	.persist_floor = floor_moved,
	.ephemeral = ephemeral,
};

/* ---- turns ---- */

static void take_handshake(struct engine *g, const struct handshake_slot *s, unsigned waiting,
			   struct instant now)
{
	struct wg_peer *wg;

	tap_handshake_begins(g);
	wg = wg_receive_handshake(g->wg, s->data, s->len, &s->from, waiting, now);
	tap_handshake_ends(g, s, wg);
	if (wg)
		path_received(g, peer_of(wg), s->from.via, 1, s->len, now.boot);
}

/* True when handshake messages are left over for the next turn. */
static bool serve_handshakes(struct engine *g, struct instant now)
{
	unsigned served = 0, waiting, rest = 0;

	for (unsigned i = 0; i < g->worker_count; i++) {
		/* Rings take turns, so that a flood on one cannot starve another. */
		struct worker *w = g->workers[(g->next_ring + i) % g->worker_count];
		const struct handshake_slot *slot;

		while (served < HANDSHAKE_BATCH && (slot = handshake_peek(&w->ring, &waiting))) {
			take_handshake(g, slot, waiting - 1, now);
			handshake_pop(&w->ring);
			served++;
		}
		handshake_peek(&w->ring, &waiting);
		rest += waiting;
	}
	if (g->worker_count)
		g->next_ring = (g->next_ring + 1) % g->worker_count;
	return rest > 0;
}

static void forget_lost_sources(struct engine *g)
{
	if (!atomic_exchange(&g->any_source_lost, false))
		return;
	list_for_each (pos, &g->peers) {
		struct engine_peer *p = container_of(pos, struct engine_peer, link);
		struct endpoint e;

		if (!atomic_exchange(&p->source_lost, false))
			continue;
		e = wg_peer_endpoint(p->wg);
		endpoint_forget_source(&e);
		wg_peer_set_endpoint(p->wg, &e);
	}
}

static void start_wanted_handshakes(struct engine *g, struct instant now)
{
	if (!g->up)
		return;
	list_for_each (pos, &g->peers) {
		struct engine_peer *p = container_of(pos, struct engine_peer, link);

		if (!p->handshake_wanted)
			continue;
		p->handshake_wanted = false;
		wg_peer_handshake(p->wg, now, WG_REASON_endpoint_changed, false);
	}
}

static void device_gone(struct engine *g, const char *why)
{
	if (g->gone)
		return;
	g->gone = true;
	engine_down(g);
	if (g->on_gone)
		g->on_gone(g->on_gone_arg, why);
}

static void control_turn(struct engine *g)
{
	struct instant now = clock_now();
	uint64_t due;
	bool more;

	if (atomic_load(&g->tun_failed)) {
		device_gone(g, "the TUN device was deleted");
		return;
	}
	taps_turn(g);
	more = serve_handshakes(g, now);
	forget_lost_sources(g);
	channels_serve(g);
	if (g->wanted) {
		g->wanted = false;
		start_wanted_handshakes(g, now);
	}
	wg_service(g->wg, now, SERVICE_BUDGET);
	paths_turn(g);
	due = earlier(wg_deadline(g->wg), names_service(g, now.boot));
	if (g->words_due && g->words_due <= now.boot)
		words_service(g, now.boot);
	due = earlier(due, g->words_due);
	due = earlier(due, diagnosis_service(g, now.boot));
	if (g->persist_due && g->persist_due <= now.boot) {
		g->persist_due = 0;
		if (g->persist)
			persist_save(g->persist, g);
	}
	due = earlier(due, g->persist_due);
	if (epoch_reclaim(wg_epoch(g->wg)))
		due = earlier(due, now.boot + RECLAIM_INTERVAL);
	loop_timer_set(g->timer, more ? now.boot : due);
}

static void on_timer(void *arg)
{
	control_turn(arg);
}

static void on_wake(void *arg, int fd, unsigned events)
{
	struct engine *g = arg;
	uint64_t count;

	(void)events;
	while (read(fd, &count, sizeof(count)) < 0 && errno == EINTR)
		;
	/* Cleared before looking: a fact that comes after this look wakes again. */
	atomic_store(&g->woken, false);
	control_turn(g);
}

void engine_kick(struct engine *g)
{
	worker_wake_control(g);
}

/* ---- life ---- */

static unsigned pick_workers(const struct engine_options *o)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);
	unsigned n = o->workers ? o->workers : cores > 0 ? (unsigned)cores : 1;

	return n > UDP_SOCKETS_MAX ? UDP_SOCKETS_MAX : n;
}

static void restore_persisted(struct engine *g)
{
	if (!g->options.state_dir)
		return;
	g->persist = persist_open(g->options.state_dir, g->tun.name);
	if (g->persist)
		wg_set_timestamp_floor(g->wg, persist_floor(g->persist));
}

int engine_new(struct engine **out, struct loop *loop, const struct engine_options *o, struct error *e)
{
	struct engine *g = xcalloc(1, sizeof(*g));
	int r;

	g->loop = loop;
	g->options = *o;
	g->follow = true;
	g->wake_fd = -1;
	g->started_boot = clock_boot_ns();
	g->started_wall = clock_wall_ns();
	list_init(&g->peers);
	list_init(&g->watched);
	g->worker_count = pick_workers(o);
	r = o->tun_fd >= 0 ? tun_adopt(&g->tun, o->tun_fd, e)
			   : tun_open(&g->tun, o->ifname, g->worker_count, o->plain_io, e);
	if (r) {
		free(g);
		return r;
	}
	g->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (g->wake_fd < 0) {
		r = error_set(e, errno, "cannot make an eventfd: %s", strerror(errno));
		tun_close(&g->tun);
		free(g);
		return r;
	}
	g->wg = wg_device_new(&wg_ops, g);
	g->channels = channel_table_new();
	taps_open(g);
	if (o->time_divisor > 1)
		wg_set_time_divisor(g->wg, o->time_divisor);
	for (unsigned i = 0; i < g->worker_count; i++)
		g->workers[i] = worker_new(g, i);
	g->wake_watch = loop_fd_add(loop, g->wake_fd, LOOP_READ, on_wake, g);
	g->timer = loop_timer_new(loop, on_timer, g);
	g->resolver = resolver_new(loop);
	restore_persisted(g);
	diagnosis_open(g);
	paths_open(g);
	r = link_open(g, e);
	if (r) {
		engine_free(g);
		return r;
	}
	*out = g;
	return 0;
}

void engine_free(struct engine *g)
{
	if (!g)
		return;
	engine_down(g);
	link_close(g);
	if (g->persist) {
		persist_save(g->persist, g);
		persist_close(g->persist);
	}
	engine_remove_all_peers(g);
	diagnosis_close(g);
	paths_close(g);
	resolver_free(g->resolver);
	heap_clear(&g->names);
	loop_timer_free(g->timer);
	loop_fd_remove(g->wake_watch);
	channel_table_free(g);
	for (unsigned i = 0; i < g->worker_count; i++)
		worker_free(g->workers[i]);
	wg_device_free(g->wg);
	taps_close(g);
	tun_close(&g->tun);
	if (g->wake_fd >= 0)
		close(g->wake_fd);
	timeline_clear(&g->timeline);
	free(g);
}

static int start_workers(struct engine *g, struct error *e)
{
	for (unsigned i = 0; i < g->worker_count; i++) {
		int r = worker_start(g->workers[i]);

		if (r) {
			error_set(e, -r, "cannot start packet worker %u: %s", i, strerror(-r));
			while (i--)
				worker_stop(g->workers[i]);
			return r;
		}
	}
	return 0;
}

static void stop_workers(struct engine *g)
{
	for (unsigned i = 0; i < g->worker_count; i++)
		worker_stop(g->workers[i]);
}

int engine_up(struct engine *g, struct error *e)
{
	int r;

	if (g->up)
		return 0;
	if (g->gone)
		return error_set(e, ENODEV, "the TUN device is gone");
	r = udp_open(&g->udp, g->port, g->worker_count, g->fwmark, g->options.plain_io, e);
	if (r)
		return r;
	r = start_workers(g, e);
	if (r) {
		udp_close(&g->udp);
		return r;
	}
	g->up = true;
	log_info("engine", "%s is up: port %u, %u workers, %s", g->tun.name, g->udp.port, g->worker_count,
		 aead_name(g->workers[0]->aead));
	engine_note(g, NULL, LOG_INFO, "up", "up on port %u", g->udp.port);
	wg_up(g->wg, clock_now());
	paths_up(g);
	words_update(g);
	engine_kick(g);
	return 0;
}

void engine_down(struct engine *g)
{
	if (!g->up)
		return;
	paths_stop(g);
	stop_workers(g);
	wg_down(g->wg);
	paths_down(g);
	g->up = false;
	/* The kernel's choice stays ours: peers know this port. */
	g->port = g->udp.port;
	udp_close(&g->udp);
	log_info("engine", "%s is down", g->tun.name);
	engine_note(g, NULL, LOG_INFO, "down", "down");
	words_update(g);
}

bool engine_makes_progress(struct engine *g)
{
	bool stands = false;

	for (unsigned i = 0; i < g->worker_count; i++)
		stands |= worker_stands(g->workers[i]);
	return !stands;
}

bool engine_is_up(const struct engine *g)
{
	return g->up;
}

void engine_on_gone(struct engine *g, void (*fn)(void *arg, const char *why), void *arg)
{
	g->on_gone = fn;
	g->on_gone_arg = arg;
}

struct loop *engine_loop(struct engine *g)
{
	return g->loop;
}

struct wg_device *engine_wg(struct engine *g)
{
	return g->wg;
}

const char *engine_ifname(struct engine *g)
{
	return g->tun.name;
}

/* ---- device settings ---- */

int engine_set_private_key(struct engine *g, const struct key *private_key)
{
	struct engine_peer *own;
	struct key public_key, before;

	wg_get_public_key(g->wg, &before);
	wg_set_private_key(g->wg, private_key);
	/* A peer that turns out to be ourselves goes, as in wireguard-go: one file can serve all members. */
	wg_get_public_key(g->wg, &public_key);
	/* Frames and relays know us by our key: with another one all of that starts over. */
	if (g->up && !key_equal(&before, &public_key)) {
		paths_down(g);
		paths_up(g);
	}
	own = engine_find_peer(g, &public_key);
	if (own)
		engine_remove_peer(own);
	engine_kick(g);
	return 0;
}

/* Moves to the new port, or stays where it was: an error must not end a working tunnel. */
int engine_set_listen_port(struct engine *g, uint16_t port, struct error *e)
{
	struct udp fresh;
	int r;

	if (!g->up) {
		g->port = port;
		return 0;
	}
	if (port && port == g->udp.port)
		return 0;
	r = udp_open(&fresh, port, g->worker_count, g->fwmark, g->options.plain_io, e);
	if (r)
		return r;
	stop_workers(g);
	udp_close(&g->udp);
	/* Field by field: the structure holds an atomic. */
	memcpy(&g->udp, &fresh, sizeof(fresh));
	g->port = port;
	r = start_workers(g, e);
	if (r) {
		wg_down(g->wg);
		paths_down(g);
		g->up = false;
		udp_close(&g->udp);
		return r;
	}
	engine_note(g, NULL, LOG_INFO, "port", "now on port %u", g->udp.port);
	/* A remote learns the new port from the next packet that it authenticates. */
	wg_announce(g->wg, clock_now());
	paths_network_changed(g);
	engine_kick(g);
	return 0;
}

uint16_t engine_listen_port(const struct engine *g)
{
	return g->up ? g->udp.port : g->port;
}

int engine_set_fwmark(struct engine *g, uint32_t fwmark, struct error *e)
{
	if (g->up) {
		int r = udp_set_fwmark(&g->udp, fwmark, e);

		if (r)
			return r;
	}
	if (g->fwmark != fwmark) {
		g->fwmark = fwmark;
		paths_mark_changed(g);
	}
	return 0;
}

uint32_t engine_fwmark(const struct engine *g)
{
	return g->fwmark;
}

void engine_drain_all(struct engine *g, enum wg_reason why, const char *who)
{
	engine_note(g, NULL, LOG_NOTICE, "drain", "all peers drained by %s", who);
	wg_drain(g->wg, clock_now(), why);
	engine_say_bye(g, why == WG_REASON_shutdown ? SIGNAL_REASON_shutdown : SIGNAL_REASON_drain, false);
	engine_kick(g);
}
