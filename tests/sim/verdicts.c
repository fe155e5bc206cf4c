/*
 * Faults of negotiation, which no filter of the lab can inject: the rules of diagnosis look at a simulated
 * engine, once in a virtual second, and must name each fault first. Facts that the model does not have are as
 * of a healthy host.
 */
#include <stdio.h>
#include <string.h>

#include "diagnose/rules.h"
#include "tests/sim/stage.h"

#define SEED   7
#define WITHIN 300 /* virtual seconds */
#define MINUTE SECONDS(60)
#define HOUR   SECONDS(3600)

/* What the engine remembers of a peer (engine/diagnosis.c). */
struct memory {
	uint64_t local_since, remote_since, word_since, failed_at, retry_at;
	enum peer_word word;
	uint64_t rotated[64], remote_rotated[64]; /* times, a ring */
	unsigned rotations, remote_rotations;
};

static struct diagnosis_device device;
static struct diagnosis_facts facts;
static struct diagnoses found;

static void remember(struct memory *k, const struct peer_look *look, uint64_t now)
{
	if (k->local_since && look->local_session_since != k->local_since)
		k->rotated[k->rotations++ % 64] = now;
	if (k->remote_since && look->remote_session_since != k->remote_since)
		k->remote_rotated[k->remote_rotations++ % 64] = now;
	k->local_since = look->local_session_since;
	k->remote_since = look->remote_session_since;
	/* A try that failed plans the next one. */
	if (look->direct_retry_at && !k->retry_at)
		k->failed_at = now;
	k->retry_at = look->direct_retry_at;
}

static unsigned lately(const uint64_t times[64], uint64_t now)
{
	unsigned n = 0;

	for (unsigned i = 0; i < 64; i++)
		n += times[i] && now - times[i] <= MINUTE;
	return n;
}

static void device_facts(const struct world *w, const struct remote *r)
{
	const struct line *line = &r->node->lines[0];

	device = (struct diagnosis_device){.up = true,
					   .has_private_key = true,
					   .started = r->node->started,
					   .wall = SECONDS(1800000000),
					   .peers_wanted = 1,
					   .peers_heard = 1,
					   .udp_received_at = w->now,
					   .relay_count = 1,
					   .relay_configured = true,
					   .local_addresses = 1,
					   .nat = NAT_SAME_MAPPING,
					   .stun_answers = true,
					   .stun_asked_at = w->now,
					   .stun_answered_at = w->now,
					   .nat_at = w->now};
	if (r->node->woken_at && r->node->woken_at <= w->now) {
		device.resumed_at = r->node->woken_at;
		device.suspended_for = HOUR;
	}
	device.relays[0] = (struct diagnosis_relay){.url = "rel://0",
						    .home = true,
						    .up = line->state == LINE_UP,
						    .since = line->since,
						    .connections = 1};
}

static void word_facts(const struct world *w, const struct remote *r, const struct memory *k,
		       struct peer_facts *p)
{
	const struct peer_look *look = &facts.look;
	const struct tunnel *t = &r->t;

	*p = (struct peer_facts){.device_up = true,
				 .has_private_key = true,
				 .endpoint_known = look->chosen < PEER_SLOTS,
				 .last_handshake = t->last_handshake,
				 .last_received = t->last_received,
				 .last_sent = t->last_sent,
				 .unanswered_since = t->unanswered_since,
				 .keypair_usable = tunnel_usable(w, r),
				 .keys_held = t->current.id != 0,
				 .attempt = t->attempt,
				 .initiations_unanswered = t->attempt,
				 .path_kind = PATH_KIND_NONE,
				 .controlled = true,
				 .remote_is_weir = look->remote_is_weir,
				 .remote_away = look->remote_away,
				 .relay_configured = true,
				 .relay_up = device.relays[0].up,
				 .relay_online = r->node->lines[0].online[r->peer],
				 .ice_running = facts.ice_running,
				 .ice_failed_at = k->failed_at,
				 .direct_retry_at = look->direct_retry_at};
	if (look->chosen >= PEER_SLOTS)
		return;
	p->path_kind = look->paths[look->chosen].ref.kind;
	p->path_state = look->paths[look->chosen].state;
}

static void agent_facts(const struct remote *r)
{
	for (unsigned i = 0; i < AGENTS_MAX; i++) {
		const struct agent *a = &r->agents[i];

		if (!a->id || a->selected || a->failed || a->started < facts.ice_since)
			continue;
		facts.ice_running = true;
		facts.ice_since = a->started;
		facts.ice_gathered = a->gathered;
		facts.local_candidates = a->locals;
		facts.pairs = facts.remote_candidates = a->count;
	}
}

static void path_facts(void)
{
	for (unsigned i = 0; i < PEER_SLOTS; i++) {
		struct diagnosis_path *p = &facts.paths[facts.path_count];

		if (facts.look.paths[i].state == PATH_NONE)
			continue;
		p->view = facts.look.paths[i];
		p->chosen = facts.look.chosen == i;
		snprintf(p->remote, sizeof(p->remote), "192.0.2.%u:51820", i);
		facts.path_count++;
	}
}

static void look_at(struct world *w, struct remote *r, struct memory *k)
{
	memset(&facts, 0, sizeof(facts));
	device_facts(w, r);
	facts.device = &device;
	peer_look(r->m, &facts.look);
	remember(k, &facts.look, w->now);
	agent_facts(r);
	path_facts();
	word_facts(w, r, k, &facts.word);
	peer_state_derive(&facts.state, &facts.word, w->now);
	if (facts.state.word != k->word || !k->word_since) {
		k->word = facts.state.word;
		k->word_since = w->now;
	}
	facts.word_since = k->word_since;
	snprintf(facts.name, sizeof(facts.name), "%c", node_letter(r->peer));
	facts.has_allowed_ips = true;
	facts.controlled = true;
	facts.mode = PEER_AUTO;
	facts.device_mtu = 1420;
	facts.remote_nat = NAT_SAME_MAPPING;
	facts.recent.since = w->now > MINUTE ? w->now - MINUTE : 1;
	facts.recent.rotations = lately(k->rotated, w->now);
	facts.recent.remote_sessions = lately(k->remote_rotated, w->now);
	diagnose_peer(&facts, w->now, &found);
}

/* ---- faults: what is done to the network before the start, and in each second after the fault ---- */

static void candidates_are_lost(struct world *w)
{
	stage_nats(w, NAT_PORT, NAT_PORT);
	w->way[1][0].no_candidates = true;
	stage_start(w, TRAFFIC_BOTH);
}

static void nothing_but_the_relay(struct world *w)
{
	stage_nats(w, NAT_PORT, NAT_PORT);
	block(w, 0, 1, true);
	stage_start(w, TRAFFIC_BOTH);
}

/* The server delivers answers that another host with our key was meant to have. */
static void answers_go_astray(struct world *w, unsigned second)
{
	static const uint8_t session[SIGNAL_SESSION_LEN] = {0xab, 0xcd};

	if (second % 5 == 0)
		inject_frame(w, 1, 0, SIGNAL_ANSWER, session, 1);
}

/* Both begin a session in the same moment, again and again. */
static void sessions_meet(struct world *w, unsigned second)
{
	if (second % 6)
		return;
	remote_command(w, remote_of(w, 0, 1), PEER_ROTATE);
	remote_command(w, remote_of(w, 1, 0), PEER_ROTATE);
}

/* An hour asleep, and the network is not back yet when it wakes. */
static void sleeps(struct world *w)
{
	stage_ice(w);
	node_suspend(w, &w->node[0], HOUR);
	stage_run(w, SECONDS(1));
	block(w, 0, 1, true);
	w->cut[0][0] = true;
	stage_run(w, HOUR);
}

static const struct fault {
	const char *what, *rule; /* NULL: there is none, and no verdict */
	void (*stage)(struct world *w);
	void (*each_second)(struct world *w, unsigned second);
} faults[] = {
	{"the peer's candidates are lost on the way", "candidates-lost", candidates_are_lost, NULL},
	{"answers to a session that is not ours", "sessions-disagree", stage_relay, answers_go_astray},
	{"both ends begin sessions at once, again and again (glare)", "session-storm", stage_relay,
	 sessions_meet},
	{"this host slept for an hour", "suspended", sleeps, NULL},
	{"no direct path is found, try after try", "retry-parked", nothing_but_the_relay, NULL},
	{"none: two ends on ICE, the relay beside it", NULL, stage_ice, NULL},
};

static bool is_first(const char *rule)
{
	return found.count && rule && !strcmp(found.items[0].rule->id, rule);
}

/* False: another verdict, or none. */
static bool inject(const struct fault *x)
{
	struct world *w = world_new(SEED, 2, 1, false);
	struct memory k = {0};
	bool good = !x->rule;
	unsigned second = 0;

	x->stage(w);
	for (; !w->failed && second < WITHIN; second++) {
		if (x->each_second)
			x->each_second(w, second);
		stage_run(w, SECONDS(1));
		look_at(w, remote_of(w, 0, 1), &k);
		if (x->rule ? is_first(x->rule) : found.count > 0) {
			good = x->rule != NULL;
			break;
		}
	}
	if (good)
		printf("| %s | %s | %s%s%s | %u.0 |\n", x->what, x->rule ? x->rule : "none",
		       x->rule ? diagnosis_confidence_name(found.items[0].confidence) : "",
		       x->rule && found.items[0].side ? ", " : "",
		       x->rule ? diagnosis_side_name(found.items[0].side) : "", second + 1);
	else
		printf("FAILED: %s: %s, but the first verdict is %s: %s\n", x->what,
		       x->rule ? x->rule : "none", found.count ? found.items[0].rule->id : "none",
		       w->failed     ? w->failure
		       : found.count ? found.items[0].verdict
				     : "");
	good = good && !w->failed;
	world_free(w);
	return good;
}

int verdicts_run(void)
{
	int rc = 0;

	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
		rc |= !inject(&faults[i]);
	return rc;
}
