/* Facts for the rules about one peer's paths: the controller's view of them, what ICE did, and what the other
 * end counts. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "engine/diagnosis.h"
#include "engine/paths.h"

#define FIVE_MINUTES (300 * NS_PER_SEC)

static void put(char out[ADDRESS_TEXT], const union address *a)
{
	out[0] = '\0';
	if (a->sa.sa_family != AF_UNSPEC)
		address_format(out, a);
}

/* ---- paths ---- */

static void way_facts(struct peer_paths *c, struct diagnosis_path *to)
{
	struct engine *g = c->paths->engine;
	struct way_into into;
	union address a;

	if (!address_parse(&a, to->remote) || !ways_look(g, &c->paths->ways, g->fwmark, &a, &into))
		return;
	to->through_tunnel = into.own;
	to->through_other = into.tunnel;
	if (into.own || into.tunnel)
		memcpy(to->through, into.interface, sizeof(to->through));
}

static void path_facts(struct peer_paths *c, const struct engine_path_view *from, struct diagnosis_path *to)
{
	to->view = from->path;
	to->chosen = from->chosen;
	memcpy(to->remote, from->remote, sizeof(to->remote));
	to->sent = from->sent;
	to->received = from->received;
	to->last_sent = from->last_sent;
	to->last_received = from->last_received;
	to->fresh_port = from->path.ref.kind == PATH_KIND_DIRECT && c->fresh;
	if (from->path.ref.kind != PATH_KIND_RELAY)
		way_facts(c, to);
}

/* Changes for the worse: by our own evidence (warnings), or after the other end, down to the relay. */
static void switch_facts(const struct engine_peer *p, struct diagnosis_facts *f, uint64_t now)
{
	const struct timeline *t = &p->timeline;

	for (unsigned i = 0; i < t->count; i++) {
		const struct timeline_record *r = &t->ring[(t->next + t->room - 1 - i) % t->room];

		if (now - r->at_boot > FIVE_MINUTES)
			break;
		if (strcmp(r->kind, "path") != 0 || (r->level > LOG_WARN && !strstr(r->text, " to relay:")))
			continue;
		if (f->switch_count < DIAGNOSIS_SWITCHES) {
			struct diagnosis_switch *s = &f->switches[f->switch_count];

			s->at = r->at_boot;
			snprintf(s->text, sizeof(s->text), "%.159s", r->text);
		}
		f->switch_count++;
	}
}

/* ---- ICE ---- */

static void survey_facts(const struct ice_survey *v, struct diagnosis_facts *f)
{
	char local[ADDRESS_TEXT], remote[ADDRESS_TEXT];

	f->local_candidates = v->local;
	f->remote_candidates = v->remote;
	f->pairs = v->pairs;
	f->pairs_failed = v->failed;
	f->pairs_succeeded = v->succeeded;
	f->local_turn = v->turn;
	f->same_public_address = v->same_public_address;
	f->host_pair_failed = v->host_pair_failed;
	if (v->host_pair)
		snprintf(f->host_pair, sizeof(f->host_pair), "%s %s", address_format(local, &v->host_local),
			 address_format(remote, &v->host_remote));
}

static void ice_facts(struct peer_paths *c, struct diagnosis_facts *f)
{
	struct ice_survey survey;
	struct agent_way *w = NULL;

	list_for_each (pos, &c->agents) {
		struct agent_way *x = container_of(pos, struct agent_way, link);

		if (x->agent && (!w || !x->selected))
			w = x;
	}
	/* what the last failed one left tells more than a new one that has just begun */
	if (c->failed) {
		survey_facts(c->failed, f);
		f->ice_failed = true;
		f->ice_gathered = true;
		f->ice_since = c->failed_since;
	}
	if (w && !w->selected) {
		struct ice_agent_view v;

		ice_agent_look(w->agent, &v);
		ice_agent_survey(w->agent, &survey);
		f->ice_running = true;
		f->ice_since = v.since;
		f->ice_gathered = w->gathered || c->failed;
		if (!c->failed)
			survey_facts(&survey, f);
		f->local_candidates = survey.local;
		f->remote_candidates = survey.remote;
	}
	f->remote_nat = diagnosis_remote_nat(c->remote_nat);
}

/* ---- all of it ---- */

/* Only what leaves by the device's own sockets goes where the kernel's routes lead: ICE's are bound to their
 * interfaces. */
static void route_facts(struct engine_peer *p, struct diagnosis_facts *f)
{
	struct engine *g = p->engine;
	struct way_into into;

	if (!g->paths || !ways_look(g, &g->paths->ways, g->fwmark, &f->endpoint, &into) ||
	    (!into.own && !into.tunnel))
		return;
	put(f->loop_address, &f->endpoint);
	memcpy(f->loop_through, into.interface, sizeof(f->loop_through));
	f->loop_own = into.own;
}

/* It does not go the straight way: then what our NAT is like is a question. */
static void wonder(struct peer_paths *c, const struct diagnosis_facts *f)
{
	bool direct = f->state.tunnel == TUNNEL_UP && f->state.path == PATH_UP &&
		      (f->state.path_kind == PATH_KIND_DIRECT || f->state.path_kind == PATH_KIND_ICE);

	if (c->settings.ice && !direct && f->state.word != WORD_IDLE && f->state.word != WORD_DOWN)
		nat_want(c->paths->nat, f->word_since);
}

void diagnosis_paths_facts(struct engine_peer *p, struct diagnosis_facts *f, uint64_t now)
{
	struct peer_paths *c = p->paths;
	struct engine_network_view v;

	f->endpoint_learned =
		p->origin == ORIGIN_ROAMED && p->configured.sa.sa_family == AF_UNSPEC && !p->host;
	route_facts(p, f);
	engine_look_network(p, &v);
	f->controlled = v.has_controller;
	f->mode = v.mode;
	f->device_mtu = (uint16_t)(p->engine->mtu > 0 ? p->engine->mtu : 0);
	if (!v.has_controller)
		return;
	f->look = v.look;
	f->path_count = v.path_count;
	for (unsigned i = 0; i < v.path_count; i++)
		path_facts(c, &v.paths[i], &f->paths[i]);
	f->frames_received = v.frames_received;
	memcpy(f->frames_rejected, v.frames_rejected, sizeof(f->frames_rejected));
	f->has_report = v.has_report;
	f->report = v.report;
	f->report_at = v.report_at;
	snprintf(f->remote_relay, sizeof(f->remote_relay), "%.127s",
		 v.remote_relay[0] || !p->relay ? v.remote_relay : p->relay);
	put(f->observed, &c->observed);
	put(f->observed_before, &c->observed_before);
	/* A host with several addresses that takes another for its way is no NAT. */
	if (now - c->observed_changed_at < FIVE_MINUTES && !nat_address_is_ours(&c->observed))
		f->observed_changed_at = c->observed_changed_at;
	switch_facts(p, f, now);
	ice_facts(c, f);
	wonder(c, f);
}
