/*
 * Peers in trouble: who is, what happened to them, and the verdict that is told. The rules are pure
 * (diagnose/); here they are run once a second over few peers at a time, and for whom somebody looks at.
 */
#include "engine/diagnosis.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/xalloc.h"
#include "engine/network.h"
#include "wg/messages.h"

#define PASS_INTERVAL NS_PER_SEC
#define REST_INTERVAL (5 * NS_PER_SEC) /* nobody is in trouble: only clocks are looked at */
#define PASS_BUDGET   50	       /* diagnoses: some milliseconds */
#define TROUBLES_MAX  1000	       /* three megabytes */
#define REFUSED_SOME  5
#define KEPT	      (90 * NS_PER_SEC)
#define PATIENCE      (3 * NS_PER_SEC) /* handshakes that are under way are no trouble */

void diagnosis_open(struct engine *g)
{
	g->desk = xcalloc(1, sizeof(*g->desk));
	list_init(&g->desk->troubles);
	diagnosis_observe(g, clock_boot_ns());
}

void diagnosis_close(struct engine *g)
{
	free(g->desk);
	g->desk = NULL;
}

struct trouble *diagnosis_trouble(struct engine_peer *p, uint64_t now)
{
	struct diagnosis_desk *d = p->engine->desk;
	struct trouble *t = p->trouble;

	if (!t) {
		if (d->count >= TROUBLES_MAX)
			return NULL;
		t = xcalloc(1, sizeof(*t));
		t->peer = p;
		p->trouble = t;
		list_append(&d->troubles, &t->link);
		d->count++;
		diagnosis_sample(t, now);
		if (d->due > now + PASS_INTERVAL || !d->due)
			d->due = now + PASS_INTERVAL;
		engine_kick(p->engine);
	}
	t->until = now + KEPT;
	return t;
}

void diagnosis_forget(struct engine_peer *p)
{
	if (!p->trouble)
		return;
	list_remove(&p->trouble->link);
	p->engine->desk->count--;
	free(p->trouble);
	p->trouble = NULL;
}

/* ---- what happens to peers ---- */

/* Nothing of it that can be heard, though its key is younger than any that is renewed: it has lost it. */
static bool began_too_early(struct engine_peer *p, const struct wg_peer_view *v, uint64_t now)
{
	const struct wg_keypair_view *k = &v->keypairs[WG_CURRENT];
	unsigned divisor = p->engine->options.time_divisor ? p->engine->options.time_divisor : 1;

	return k->used && k->confirmed && now - k->created < (REKEY_AFTER_TIME - 10 * NS_PER_SEC) / divisor &&
	       v->unanswered_since && now - v->unanswered_since > NS_PER_SEC / divisor;
}

/* It is told before anything is learned from it: the view is of just before. */
static void initiation_came(struct engine_peer *p, uint64_t now)
{
	struct wg_peer_view v;
	struct peer_look look = {0};
	struct trouble *t;

	p->heard_initiation = now;
	/* A weir tells by its frames when it has begun anew; a drain, or an order of somebody, is no restart.
	 */
	paths_glance(p, &look);
	if (look.remote_is_weir)
		return;
	wg_peer_look(p->wg, &v, now);
	if (!began_too_early(p, &v, now))
		return;
	t = diagnosis_trouble(p, now);
	if (t)
		t->remote_restarted_at = now;
}

void diagnosis_remote_restarted(struct engine_peer *p, uint64_t now)
{
	struct trouble *t = diagnosis_trouble(p, now);

	if (t)
		t->remote_restarted_at = now;
}

void diagnosis_report_came(struct engine_peer *p, const struct signal_report *after,
			   const struct signal_report *before, uint64_t before_at)
{
	uint64_t now = clock_boot_ns();
	struct trouble *t;

	/* It drops what we send: nothing here can tell. */
	if (before && after->rejected_source > before->rejected_source + REFUSED_SOME)
		diagnosis_trouble(p, now);
	t = p->trouble;
	if (!t)
		return;
	/* Two that follow at once show nothing that moves. */
	if (before && now - before_at > 3 * NS_PER_SEC) {
		t->report_before = *before;
		t->report_before_at = before_at;
	}
}

static void rejected(struct trouble *t, const struct wg_event *ev)
{
	switch (ev->a) {
	case WG_COUNT_reject_replayed_timestamp:
		/* What is told late, of several together, has no difference. */
		if (ev->ns || !t->timestamp_delta)
			t->timestamp_delta = ev->ns;
		break;
	case WG_COUNT_reject_response:
		t->response_rejected = ev->at_boot;
		break;
	case WG_COUNT_reject_inner_source:
		t->inner_rejected = ev->at_boot;
		break;
	default:
		break;
	}
}

static void unknown_index(struct engine_peer *p, struct trouble *t, const struct wg_event *ev)
{
	/* Keys that ran out or were drained are lost as well; those of an earlier run are what a restart
	 * loses. */
	if (!p->base_handshake && !wg_peer_ever_connected(p->wg))
		t->we_restarted_at = ev->at_boot;
}

void diagnosis_event(struct engine_peer *p, const struct wg_event *ev)
{
	struct trouble *t;

	switch (ev->type) {
	case WG_EVENT_INITIATION_RECEIVED:
		initiation_came(p, ev->at_boot);
		return;
	case WG_EVENT_REJECTED:
	case WG_EVENT_UNKNOWN_INDEX:
	case WG_EVENT_ALLOWED_IP_STOLEN:
	case WG_EVENT_ROAMED:
	case WG_EVENT_GAVE_UP:
	case WG_EVENT_SILENCE:
	case WG_EVENT_COOKIE_RECEIVED:
		t = diagnosis_trouble(p, ev->at_boot);
		break;
	default:
		t = p->trouble;
		break;
	}
	if (!t)
		return;
	if (ev->type == WG_EVENT_REJECTED)
		rejected(t, ev);
	else if (ev->type == WG_EVENT_UNKNOWN_INDEX)
		unknown_index(p, t, ev);
	else if (ev->type == WG_EVENT_ALLOWED_IP_STOLEN)
		t->stolen_at = ev->at_boot;
}

/* The list's word was looked at: is that a peer to watch? */
void diagnosis_word(struct engine_peer *p, const struct peer_facts *f, const struct peer_state *s,
		    uint64_t now)
{
	bool relayed = s->word == WORD_RELAY && !f->relay_asked;
	bool waits = (s->word == WORD_WAIT || s->word == WORD_DRAIN) && now > p->word_since + PATIENCE;

	if (s->word == WORD_STUCK || f->remote_away || s->tunnel == TUNNEL_SILENT || relayed || waits ||
	    (s->word == WORD_DOWN && p->engine->peer_count <= TROUBLES_MAX / 10))
		diagnosis_trouble(p, now);
}

/* ---- verdicts ---- */

void engine_diagnose(struct engine_peer *p, struct diagnoses *out)
{
	struct diagnosis_desk *d = p->engine->desk;
	uint64_t now = clock_boot_ns();

	diagnosis_trouble(p, now);
	if (!d->device_at || now - d->device_at >= PASS_INTERVAL)
		diagnosis_device(p->engine, now);
	diagnosis_gather(p, now);
	diagnose_peer(&d->facts, now, out);
	/* Since when is the same in the list, in the timeline and here. */
	if (out->count && p->trouble && p->trouble->told.rule == out->items[0].rule)
		out->items[0].since = p->trouble->told.since;
}

size_t engine_strangers(struct engine *g, struct wg_stranger out[WG_STRANGERS])
{
	return wg_strangers(g->wg, out);
}

bool engine_has_diagnosis(const struct engine_peer *p)
{
	return p->trouble && p->trouble->told.rule;
}

/* One truth: where there is a verdict that is worth it, the list's sentence is that. */
void diagnosis_reason(const struct engine_peer *p, struct peer_state *s)
{
	const struct trouble *t = p->trouble;

	if (t && t->told.rule && t->told.confidence != DIAGNOSIS_POSSIBLE)
		snprintf(s->reason, sizeof(s->reason), "%s", t->told.verdict);
}

static void note(const struct trouble *t, const struct diagnosis_rule *before, const struct diagnoses *found)
{
	const struct diagnosis *first = &found->items[0];
	struct engine_peer *p = t->peer;
	bool trouble = t->told.severity == DIAGNOSIS_TROUBLE;

	if (!t->told.rule)
		engine_note(p->engine, p, LOG_INFO, "diagnosis", "over: %s", before->title);
	else
		engine_note(p->engine, p, trouble ? LOG_WARN : LOG_INFO, "diagnosis", "%s (%s%s%s): %s",
			    first->rule->id, diagnosis_confidence_name(first->confidence),
			    first->side ? ", " : "", diagnosis_side_name(first->side), first->verdict);
}

static void judge(struct trouble *t, const struct diagnoses *found, enum peer_word word, uint64_t now)
{
	const struct diagnosis_rule *before = t->told.rule;

	if (diagnosis_tell(&t->told, found, word, now))
		note(t, before, found);
	if (found->count && found->items[0].rule == t->told.rule)
		t->until = now + KEPT;
}

static void look(struct engine *g, struct trouble *t, uint64_t now)
{
	struct diagnosis_desk *d = g->desk;

	diagnosis_sample(t, now);
	diagnosis_gather(t->peer, now);
	diagnose_peer(&d->facts, now, &d->found);
	t->stuck = d->facts.state.word == WORD_STUCK || d->facts.state.tunnel == TUNNEL_SILENT ||
		   (d->facts.state.word == WORD_WAIT && d->facts.word.last_handshake);
	judge(t, &d->found, d->facts.state.word, now);
	engine_peer_looked_at(t->peer); /* its report is evidence */
	if (!t->told.rule && !t->told.candidate && !t->stuck && now > t->until)
		diagnosis_forget(t->peer);
}

uint64_t diagnosis_service(struct engine *g, uint64_t now)
{
	struct diagnosis_desk *d = g->desk;
	struct list *last = d->troubles.prev;
	unsigned budget = PASS_BUDGET;

	if (d->due > now)
		return d->due;
	diagnosis_observe(g, now);
	if (!list_empty(&d->troubles))
		diagnosis_device(g, now);
	while (budget-- && !list_empty(&d->troubles)) {
		struct trouble *t = container_of(d->troubles.next, struct trouble, link);
		bool all = &t->link == last;

		list_remove(&t->link);
		list_append(&d->troubles, &t->link);
		look(g, t, now);
		if (all)
			break;
	}
	d->due = now + (list_empty(&d->troubles) ? REST_INTERVAL : PASS_INTERVAL);
	return d->due;
}
