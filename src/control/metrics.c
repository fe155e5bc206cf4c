/*
 * Method metrics: what counters and gauges need of the peers, page by page. A reader of ten thousand peers
 * asks some hundred times, and no answer holds the control thread for more than a few milliseconds.
 */
#include <stdlib.h>
#include <string.h>

#include "base/xalloc.h"
#include "control/methods.h"
#include "control/snapshot_network.h"
#include "diagnose/rules.h"

#define PAGE_MAX 256

static void path_members(struct writer *w, const struct engine_peer_view *v,
			 const struct engine_network_view *n)
{
	const struct engine_path_view *chosen = NULL;

	for (unsigned i = 0; n->has_controller && i < n->path_count; i++)
		if (n->paths[i].chosen)
			chosen = &n->paths[i];
	writer_name(w, "path");
	writer_open(w, '{');
	member_text(w, "kind",
		    v->state.path == PATH_NONE ? "none"
		    : chosen		       ? path_kind_name(chosen->path.ref.kind)
					       : "direct");
	member_text(w, "state", path_state_name(v->state.path));
	member_text(w, "remote", chosen ? chosen->remote : "");
	if (chosen) {
		member_duration(w, "rtt", chosen->path.rtt);
		writer_name(w, "loss");
		writer_ratio(w, chosen->path.loss_permille, 1000);
		member_count(w, "mtu", chosen->path.mtu);
	}
	writer_close(w, '}');
	if (n->has_controller) {
		member_count(w, "pathChanges", n->look.path_changes);
		member_count(w, "offersSent", n->look.offers_sent);
		member_count(w, "offersReceived", n->look.offers_received);
	}
}

static void verdict(struct writer *w, struct engine_peer *p)
{
	struct diagnoses *d;

	if (!engine_has_diagnosis(p))
		return;
	d = xcalloc(1, sizeof(*d));
	engine_diagnose(p, d);
	if (d->count) {
		writer_name(w, "diagnosis");
		writer_open(w, '{');
		member_text(w, "rule", d->items[0].rule->id);
		member_text(w, "confidence", diagnosis_confidence_name(d->items[0].confidence));
		member_text(w, "side", diagnosis_side_name(d->items[0].side));
		writer_close(w, '}');
	}
	free(d);
}

static void peer(struct control *c, struct writer *w, struct engine_peer *p)
{
	struct engine_network_view network;
	struct engine_peer_view v;
	char text[ADDRESS_TEXT] = "";

	engine_look_peer(p, &v);
	engine_look_network(p, &network);
	allowed_list_take(&c->allowed, engine_peer_wg(p));
	writer_open(w, '{');
	snapshot_metrics(w, &v, &c->allowed);
	if (v.endpoint.sa.sa_family != AF_UNSPEC)
		address_format(text, &v.endpoint);
	member_text(w, "endpoint", text);
	path_members(w, &v, &network);
	verdict(w, p);
	writer_close(w, '}');
}

/* The peers from number `from` on, in the order of creation: one that is removed meanwhile moves the others
 * up, so that one may be missed, but none comes twice. */
static size_t page(struct control *c, struct writer *w, size_t from, size_t max)
{
	struct engine_peer *p = engine_first_peer(c->engine);
	size_t next = 0;

	for (; p && next < from; p = engine_next_peer(p))
		next++;
	for (; p && next < from + max; p = engine_next_peer(p)) {
		peer(c, w, p);
		next++;
		if (turn_is_over(c)) {
			p = engine_next_peer(p);
			break;
		}
	}
	return p ? next : 0;
}

void method_metrics(struct request *r)
{
	struct control *c = r->client->control;
	double from = 0, max = PAGE_MAX;
	struct strbuf line = {0};
	struct writer w;
	size_t next;

	if (!param_number(r, "from", 0, 1e9, &from) || !param_number(r, "max", 1, PAGE_MAX, &max))
		return;
	reply_open(&w, &line, r->id);
	writer_open(&w, '{');
	if (from < 1)
		control_device(c, &w, r->client->dropped);
	writer_name(&w, "peers");
	writer_open(&w, '[');
	next = page(c, &w, (size_t)from, (size_t)max);
	writer_close(&w, ']');
	member_count(&w, "next", next);
	writer_close(&w, '}');
	reply_close(r->client, &line);
}
