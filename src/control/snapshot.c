#include "config.h"

#include "control/snapshot.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "control/snapshot_network.h"
#include "wg/messages.h"

/* Slewing keeps wall and boot time together; more than this is a step. */
#define STEP (10 * NS_PER_MS)

bool time_base_follow(struct time_base *t, struct instant now)
{
	uint64_t fresh = now.wall - now.boot;
	int64_t moved = (int64_t)(fresh - t->wall_minus_boot);

	if (moved > -(int64_t)STEP && moved < (int64_t)STEP)
		return false;
	t->wall_minus_boot = fresh;
	return true;
}

uint64_t time_base_wall(const struct time_base *t, uint64_t boot_ns)
{
	return boot_ns ? boot_ns + t->wall_minus_boot : 0;
}

/* ---- device ---- */

static void offload(struct writer *w, const struct engine_view *v)
{
	writer_name(w, "offload");
	writer_open(w, '{');
	member_flag(w, "tunVnet", v->tun_vnet);
	member_flag(w, "tunTso", v->tun_tso);
	member_flag(w, "tunUso", v->tun_uso);
	member_flag(w, "udpGso", v->udp_gso);
	member_flag(w, "udpGro", v->udp_gro);
	writer_close(w, '}');
}

static void tun(struct writer *w, const struct engine_view *v)
{
	writer_name(w, "tun");
	writer_open(w, '{');
	member_count(w, "rxPackets", v->tun_rx_packets);
	member_count(w, "txPackets", v->tun_tx_packets);
	member_count(w, "writeErrors", v->tun_write_errors);
	writer_close(w, '}');
}

static void counters(struct writer *w, const counter_t *c, bool all)
{
	writer_name(w, "counters");
	writer_open(w, '{');
	for (unsigned i = 0; c && i < WG_COUNTERS; i++) {
		uint64_t value = counter_get(&c[i]);

		if (all || value)
			member_count(w, wg_counter_name((enum wg_counter)i), value);
	}
	writer_close(w, '}');
}

void snapshot_device(struct writer *w, const struct engine_view *v, const struct key *public_key,
		     const struct time_base *t, const struct snapshot_host *host)
{
	char base64[KEY_BASE64_LEN + 1] = "";

	if (public_key)
		key_to_base64(base64, public_key);
	member_count(w, "schema", CONTROL_SCHEMA);
	member_text(w, "interface", v->ifname);
	member_text(w, "hostname", host->hostname);
	member_text(w, "version", PACKAGE_VERSION);
	if (host->configuration)
		member_text(w, "configuration", host->configuration);
	member_count(w, "pid", (uint64_t)getpid());
	member_time(w, "startedAt", time_base_wall(t, v->started_boot));
	member_time(w, "at", host->now.wall);
	member_duration(w, "clock", host->now.boot);
	member_flag(w, "up", v->up);
	member_text(w, "publicKey", base64);
	member_count(w, "listenPort", v->listen_port);
	member_count(w, "fwmark", v->fwmark);
	member_count(w, "mtu", v->mtu > 0 ? (uint64_t)v->mtu : 0);
	member_count(w, "workers", v->workers);
	member_text(w, "aead", v->aead ? v->aead : "");
	offload(w, v);
	member_flag(w, "underLoad", v->under_load);
	if (v->nat)
		member_text(w, "nat", v->nat);
	member_count(w, "transferRx", v->rx_bytes);
	member_count(w, "transferTx", v->tx_bytes);
	tun(w, v);
	counters(w, v->counters, true);
	member_count(w, "dropped", host->dropped);
}

/* ---- peers ---- */

static void keep(void *arg, int family, const uint8_t *addr, unsigned prefix)
{
	struct allowed_list *a = arg;

	if (a->total++ >= PEER_ALLOWED)
		return;
	a->items[a->count].family = (uint8_t)family;
	a->items[a->count].len = (uint8_t)prefix;
	memcpy(a->items[a->count].addr, addr, family == AF_INET ? 4 : 16);
	a->count++;
}

void allowed_list_take(struct allowed_list *a, const struct wg_peer *p)
{
	a->total = a->count = 0;
	wg_each_allowed(p, keep, a);
}

static char *decimal(char *at, unsigned value)
{
	if (value >= 100)
		*at++ = (char)('0' + value / 100);
	if (value >= 10)
		*at++ = (char)('0' + value / 10 % 10);
	*at++ = (char)('0' + value % 10);
	return at;
}

/* inet_ntop prints IPv4 through sprintf: most of the cost of a peer object. */
static char *address_text(char *at, int family, const uint8_t *addr)
{
	if (family != AF_INET) {
		inet_ntop(AF_INET6, addr, at, INET6_ADDRSTRLEN);
		return at + strlen(at);
	}
	for (unsigned i = 0; i < 4; i++) {
		if (i)
			*at++ = '.';
		at = decimal(at, addr[i]);
	}
	*at = '\0';
	return at;
}

static void allowed_ips(struct writer *w, const struct allowed_list *a, size_t max)
{
	char text[INET6_ADDRSTRLEN + 8];

	writer_name(w, "allowedIps");
	writer_open(w, '[');
	for (size_t i = 0; i < a->count && i < max; i++) {
		char *at = address_text(text, a->items[i].family, a->items[i].addr);

		*at++ = '/';
		*decimal(at, a->items[i].len) = '\0';
		writer_text(w, text);
	}
	writer_close(w, ']');
	member_count(w, "allowedIpsTotal", a->total);
}

static void host_text(char *out, size_t size, const struct engine_peer_view *v)
{
	bool brackets = v->host && strchr(v->host, ':');

	*out = '\0';
	if (v->host)
		snprintf(out, size, "%s%s%s:%s", brackets ? "[" : "", v->host, brackets ? "]" : "",
			 v->port ? v->port : "");
}

static void source_text(char out[INET6_ADDRSTRLEN], const struct endpoint *e)
{
	static const uint8_t none[16];

	*out = '\0';
	if (e->remote.sa.sa_family == AF_INET && e->local.in.s_addr)
		address_text(out, AF_INET, (const uint8_t *)&e->local.in);
	else if (e->remote.sa.sa_family == AF_INET6 && memcmp(&e->local.in6, none, sizeof(none)))
		address_text(out, AF_INET6, (const uint8_t *)&e->local.in6);
}

static void endpoints(struct writer *w, const struct engine_peer_view *v)
{
	char text[320];

	*text = '\0';
	if (v->endpoint.sa.sa_family != AF_UNSPEC)
		address_format(text, &v->endpoint);
	member_text(w, "endpoint", text);
	member_text(w, "endpointOrigin", endpoint_origin_name(v->origin));
	host_text(text, sizeof(text), v);
	member_text(w, "endpointHost", text);
	source_text(text, &v->used);
	member_text(w, "sourceAddress", text);
	member_text(w, "resolveError", v->resolve_error ? v->resolve_error : "");
}

static const struct engine_path_view *chosen_path(const struct engine_network_view *n)
{
	for (unsigned i = 0; i < n->path_count; i++)
		if (n->paths[i].chosen)
			return &n->paths[i];
	return NULL;
}

/* The path in use; a peer without a controller has no other than the direct one. */
static const char *path_kind(const struct engine_peer_view *v, const struct engine_network_view *network)
{
	const struct engine_path_view *chosen = network ? chosen_path(network) : NULL;

	if (v->state.path == PATH_NONE)
		return "none";
	return chosen ? path_kind_name(chosen->path.ref.kind) : "direct";
}

static void state(struct writer *w, const struct engine_peer_view *v, const struct snapshot_paths *paths,
		  const struct time_base *t)
{
	member_text(w, "word", peer_word_name(v->state.word));
	member_time(w, "wordSinceAt", time_base_wall(t, v->state_since));
	member_text(w, "reason", v->state.reason);
	writer_name(w, "path");
	writer_open(w, '{');
	member_text(w, "kind", path_kind(v, paths ? &paths->view : NULL));
	member_text(w, "state", path_state_name(v->state.path));
	writer_close(w, '}');
	writer_name(w, "tunnel");
	writer_open(w, '{');
	member_text(w, "state", tunnel_state_name(v->state.tunnel));
	writer_close(w, '}');
}

static void traffic(struct writer *w, const struct wg_peer_view *v, const struct time_base *t)
{
	const struct wg_keypair_view *k = &v->keypairs[WG_CURRENT];

	member_time(w, "latestHandshake", v->last_handshake_wall);
	member_duration(w, "handshakeRtt", v->handshake_rtt);
	member_time(w, "lastReceivedAt", time_base_wall(t, v->last_received));
	member_time(w, "lastSentAt", time_base_wall(t, v->last_sent));
	member_time(w, "unansweredSinceAt", time_base_wall(t, v->unanswered_since));
	member_count(w, "transferRx", v->rx_bytes);
	member_count(w, "transferTx", v->tx_bytes);
	writer_name(w, "loss");
	writer_ratio(w, k->used ? k->lost : 0, k->used ? k->received + k->lost : 0);
}

static void handshake(struct writer *w, const struct engine_peer_view *v)
{
	const counter_t *c = v->wg.counters;

	writer_name(w, "handshake");
	writer_open(w, '{');
	member_count(w, "attempt", v->wg.attempt);
	member_count(w, "attempts", HANDSHAKE_ATTEMPTS);
	member_text(w, "reason", v->wg.attempt ? wg_reason_name(v->wg.attempt_reason) : "none");
	member_count(w, "sent", c ? counter_get(&c[WG_COUNT_initiation_sent]) : 0);
	member_count(w, "unanswered", v->initiations_unanswered);
	member_count(w, "given_up", c ? counter_get(&c[WG_COUNT_handshake_given_up]) : 0);
	writer_close(w, '}');
}

static void index_text(char out[9], uint32_t index)
{
	static const char hex[] = "0123456789abcdef";

	for (unsigned i = 0; i < 8; i++)
		out[i] = hex[index >> (28 - 4 * i) & 15];
	out[8] = '\0';
}

static void keypair(struct writer *w, const char *slot, const struct wg_keypair_view *k,
		    const struct time_base *t)
{
	uint64_t created = time_base_wall(t, k->created);
	char index[9];

	writer_open(w, '{');
	member_text(w, "slot", slot);
	index_text(index, k->local_index);
	member_text(w, "localIndex", index);
	index_text(index, k->remote_index);
	member_text(w, "remoteIndex", index);
	member_time(w, "createdAt", created);
	member_flag(w, "initiator", k->initiator);
	member_flag(w, "confirmed", k->confirmed);
	member_count(w, "sent", k->sent);
	member_count(w, "received", k->received);
	member_count(w, "lost", k->lost);
	/* Only the initiator renews by age (paper, 6.2). */
	member_time(w, "rekeyAt", k->initiator ? created + REKEY_AFTER_TIME : 0);
	member_time(w, "expiresAt", created + REJECT_AFTER_TIME);
	writer_close(w, '}');
}

static void keypairs(struct writer *w, const struct wg_peer_view *v, const struct time_base *t)
{
	static const char *const slots[WG_SLOTS] = {
		[WG_NEXT] = "next", [WG_CURRENT] = "current", [WG_PREVIOUS] = "previous"};

	writer_name(w, "keypairs");
	writer_open(w, '[');
	for (unsigned i = 0; i < WG_SLOTS; i++)
		if (v->keypairs[i].used)
			keypair(w, slots[i], &v->keypairs[i], t);
	writer_close(w, ']');
}

static void timers(struct writer *w, const struct engine_peer_view *v, const struct time_base *t)
{
	static const struct {
		const char *name;
		uint64_t period;
	} kinds[WG_TIMERS] = {
		[WG_TIMER_RETRY] = {"retry", REKEY_TIMEOUT},
		[WG_TIMER_KEEPALIVE] = {"keepalive", KEEPALIVE_TIMEOUT},
		[WG_TIMER_SILENCE] = {"silence", KEEPALIVE_TIMEOUT + REKEY_TIMEOUT},
		[WG_TIMER_ZERO] = {"zero-keys", 3 * REJECT_AFTER_TIME},
		[WG_TIMER_PERSISTENT] = {"persistent-keepalive", 0},
	};

	writer_name(w, "timers");
	writer_open(w, '[');
	for (unsigned i = 0; i < WG_TIMERS; i++) {
		uint64_t period = i == WG_TIMER_PERSISTENT ? v->keepalive * NS_PER_SEC : kinds[i].period;

		if (!v->wg.timers[i])
			continue;
		writer_open(w, '{');
		member_text(w, "name", kinds[i].name);
		member_time(w, "dueAt", time_base_wall(t, v->wg.timers[i]));
		member_duration(w, "period", period);
		writer_close(w, '}');
	}
	writer_close(w, ']');
}

void snapshot_peer(struct writer *w, const struct engine_peer_view *v, const struct allowed_list *allowed,
		   size_t max_allowed, const struct snapshot_paths *paths, const struct diagnoses *diagnosis,
		   const struct time_base *t)
{
	char base64[KEY_BASE64_LEN + 1];

	key_to_base64(base64, &v->public_key);
	writer_open(w, '{');
	member_text(w, "publicKey", base64);
	member_text(w, "name", v->name ? v->name : "");
	member_flag(w, "presharedKey", v->has_psk);
	member_count(w, "persistentKeepalive", v->keepalive);
	allowed_ips(w, allowed, max_allowed);
	endpoints(w, v);
	state(w, v, paths, t);
	traffic(w, &v->wg, t);
	handshake(w, v);
	keypairs(w, &v->wg, t);
	timers(w, v, t);
	member_flag(w, "draining", v->wg.draining);
	member_count(w, "staged", v->wg.staged);
	counters(w, v->wg.counters, false);
	if (paths)
		snapshot_network(w, &paths->view, paths->pairs, paths->pair_count, t);
	if (diagnosis)
		snapshot_diagnosis(w, diagnosis, t);
	writer_close(w, '}');
}

static void brief_path(struct writer *w, const struct engine_peer_view *v,
		       const struct engine_network_view *network)
{
	const struct engine_path_view *chosen = network ? chosen_path(network) : NULL;

	writer_name(w, "path");
	writer_open(w, '{');
	member_text(w, "kind", path_kind(v, network));
	member_text(w, "state", path_state_name(v->state.path));
	member_text(w, "remote", chosen && chosen->path.ref.kind != PATH_KIND_DIRECT ? chosen->remote : "");
	writer_close(w, '}');
}

void snapshot_peer_brief(struct writer *w, const struct engine_peer_view *v,
			 const struct engine_network_view *network)
{
	char text[320];

	key_to_base64(text, &v->public_key);
	writer_open(w, '{');
	member_text(w, "publicKey", text);
	member_text(w, "name", v->name ? v->name : "");
	member_count(w, "persistentKeepalive", v->keepalive);
	*text = '\0';
	if (v->endpoint.sa.sa_family != AF_UNSPEC)
		address_format(text, &v->endpoint);
	member_text(w, "endpoint", text);
	host_text(text, sizeof(text), v);
	member_text(w, "endpointHost", text);
	brief_path(w, v, network);
	member_text(w, "word", peer_word_name(v->state.word));
	member_text(w, "reason", v->state.reason);
	member_time(w, "latestHandshake", v->wg.last_handshake_wall);
	member_count(w, "transferRx", v->wg.rx_bytes);
	member_count(w, "transferTx", v->wg.tx_bytes);
	member_count(w, "staged", v->wg.staged);
	counters(w, v->wg.counters, false);
	writer_close(w, '}');
}

void snapshot_metrics(struct writer *w, const struct engine_peer_view *v, const struct allowed_list *allowed)
{
	char base64[KEY_BASE64_LEN + 1];

	key_to_base64(base64, &v->public_key);
	member_text(w, "publicKey", base64);
	member_text(w, "name", v->name ? v->name : "");
	allowed_ips(w, allowed, PEER_ALLOWED);
	member_text(w, "word", peer_word_name(v->state.word));
	member_text(w, "reason", v->state.reason);
	writer_name(w, "tunnel");
	writer_open(w, '{');
	member_text(w, "state", tunnel_state_name(v->state.tunnel));
	writer_close(w, '}');
	member_time(w, "latestHandshake", v->wg.last_handshake_wall);
	member_duration(w, "handshakeRtt", v->wg.handshake_rtt);
	member_count(w, "transferRx", v->wg.rx_bytes);
	member_count(w, "transferTx", v->wg.tx_bytes);
	counters(w, v->wg.counters, false);
}

/* ---- events, log ---- */

void snapshot_event(struct writer *w, const struct timeline_event *ev, const char *peer_key,
		    const char *peer_name)
{
	writer_open(w, '{');
	member_time(w, "at", ev->at_wall);
	member_count(w, "seq", ev->sequence);
	member_text(w, "peer", peer_key);
	member_text(w, "name", peer_name);
	member_text(w, "level", log_level_name(ev->level));
	member_text(w, "kind", ev->kind);
	member_text(w, "text", ev->text);
	writer_close(w, '}');
}

void snapshot_log(struct writer *w, const struct log_record *r)
{
	writer_open(w, '{');
	member_time(w, "at", r->wall_ns);
	member_count(w, "seq", r->sequence);
	member_text(w, "level", log_level_name(r->level));
	member_text(w, "room", r->room);
	member_text(w, "peer", r->peer);
	member_text(w, "text", r->text);
	writer_close(w, '}');
}
