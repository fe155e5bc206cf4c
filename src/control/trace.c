/* Method trace: what would become of a packet to an address. */
#include "engine/trace.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/xalloc.h"
#include "control/methods.h"
#include "wg/messages.h"

static void route(struct writer *w, const char *name, const struct trace_route *r)
{
	if (!r->asked)
		return;
	writer_name(w, name);
	writer_open(w, '{');
	member_text(w, "error", r->error ? strerror(r->error) : "");
	member_text(w, "interface", r->ifname);
	member_flag(w, "intoTunnel", r->into_tunnel);
	member_flag(w, "local", r->local);
	member_text(w, "sourceAddress", r->source);
	member_text(w, "gateway", r->gateway);
	member_count(w, "table", r->table);
	member_count(w, "mtu", r->mtu > 0 ? (uint64_t)r->mtu : 0);
	writer_close(w, '}');
}

static void peer_members(struct writer *w, struct engine_peer *p)
{
	char base64[KEY_BASE64_LEN + 1];
	struct key key;

	wg_peer_public_key(engine_peer_wg(p), &key);
	key_to_base64(base64, &key);
	member_text(w, "publicKey", base64);
	member_text(w, "name", engine_peer_name(p));
}

static void prefixes(struct writer *w, const char *name, int family, const struct trace_prefix *list,
		     unsigned count)
{
	writer_name(w, name);
	writer_open(w, '[');
	for (unsigned i = 0; i < count; i++) {
		char addr[INET6_ADDRSTRLEN], text[INET6_ADDRSTRLEN + 8];

		writer_open(w, '{');
		inet_ntop(family, list[i].addr, addr, sizeof(addr));
		snprintf(text, sizeof(text), "%s/%u", addr, list[i].len);
		member_text(w, "allowedIp", text);
		peer_members(w, list[i].peer);
		writer_close(w, '}');
	}
	writer_close(w, ']');
}

static void keypair(struct writer *w, const struct wg_keypair_view *k, const struct time_base *t)
{
	uint64_t created = time_base_wall(t, k->created);
	char index[9];

	writer_name(w, "keypair");
	writer_open(w, '{');
	snprintf(index, sizeof(index), "%08x", k->local_index);
	member_text(w, "localIndex", index);
	snprintf(index, sizeof(index), "%08x", k->remote_index);
	member_text(w, "remoteIndex", index);
	member_time(w, "createdAt", created);
	member_time(w, "rekeyAt", k->initiator ? created + REKEY_AFTER_TIME : 0);
	member_time(w, "expiresAt", created + REJECT_AFTER_TIME);
	member_flag(w, "initiator", k->initiator);
	member_count(w, "sent", k->sent);
	writer_close(w, '}');
}

static void peer(struct writer *w, const struct engine_trace *t, const struct time_base *base)
{
	const struct engine_peer_view *v = &t->view;

	writer_name(w, "peer");
	writer_open(w, '{');
	peer_members(w, t->peer);
	member_text(w, "word", peer_word_name(v->state.word));
	member_text(w, "reason", v->state.reason);
	member_time(w, "latestHandshake", v->wg.last_handshake_wall);
	member_count(w, "staged", v->wg.staged);
	writer_name(w, "handshake");
	writer_open(w, '{');
	member_count(w, "attempt", v->wg.attempt);
	member_count(w, "attempts", HANDSHAKE_ATTEMPTS);
	writer_close(w, '}');
	writer_close(w, '}');
	if (t->has_key)
		keypair(w, &v->wg.keypairs[WG_CURRENT], base);
	writer_name(w, "path");
	writer_open(w, '{');
	member_text(w, "kind", t->path);
	member_text(w, "remote", t->path_remote);
	writer_close(w, '}');
	route(w, "outerRoute", &t->outer);
}

static void trace(struct writer *w, const struct engine_trace *t, struct control *c)
{
	char addr[INET6_ADDRSTRLEN];

	inet_ntop(t->family, t->addr, addr, sizeof(addr));
	writer_open(w, '{');
	member_count(w, "schema", CONTROL_SCHEMA);
	member_text(w, "interface", engine_ifname(c->engine));
	member_time(w, "at", clock_now().wall);
	member_text(w, "address", addr);
	member_count(w, "size", t->size);
	member_text(w, "verdict", trace_verdict_name(t->verdict));
	member_text(w, "why", t->why);
	member_flag(w, "elsewhere", t->elsewhere);
	route(w, "route", &t->route);
	prefixes(w, "covering", t->family, t->covers, t->covers_count);
	prefixes(w, "near", t->family, t->near, t->near_count);
	prefixes(w, "lost", t->family, t->lost, t->lost_count);
	member_count(w, "mtu", t->mtu > 0 ? (uint64_t)t->mtu : 0);
	member_count(w, "innerMtu", t->inner_mtu);
	if (t->peer)
		peer(w, t, &c->time_base);
	writer_close(w, '}');
}

void method_trace(struct request *r)
{
	const char *text = json_string_value(json_object_get(r->params, "address"));
	struct engine_trace *t;
	struct strbuf line = {0};
	struct writer w;
	uint8_t addr[16];
	double size = 0;
	int family = text && strchr(text, ':') ? AF_INET6 : AF_INET;

	if (!param_number(r, "size", 0, 65535, &size))
		return;
	if (!text || inet_pton(family, text, addr) != 1) {
		reply_bad(r, "parameter \"address\" must be an IPv4 or IPv6 address");
		return;
	}
	t = xmalloc(sizeof(*t));
	engine_trace(r->client->control->engine, family, addr, (unsigned)size, t);
	reply_open(&w, &line, r->id);
	trace(&w, t, r->client->control);
	reply_close(r->client, &line);
	free(t);
}
