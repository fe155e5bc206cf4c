/* The member "diagnosis" of peer objects, and method explain: verdicts with their evidence, and what works.
 */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/xalloc.h"
#include "control/methods.h"
#include "diagnose/rules.h"

#define REPORT_FRESH (10 * NS_PER_SEC)

/* ---- objects ---- */

static void lines(struct writer *w, const char *name, const struct diagnosis_line *l, unsigned count,
		  const struct time_base *t)
{
	writer_name(w, name);
	writer_open(w, '[');
	for (unsigned i = 0; i < count; i++) {
		writer_open(w, '{');
		member_text(w, "mark", diagnosis_mark_name(l[i].mark));
		member_text(w, "layer", l[i].layer);
		member_time(w, "at", time_base_wall(t, l[i].at));
		member_text(w, "text", l[i].text);
		writer_close(w, '}');
	}
	writer_close(w, ']');
}

static void verdict(struct writer *w, const struct diagnosis *d, const struct time_base *t)
{
	char key[2] = {d->key, '\0'};

	writer_open(w, '{');
	member_text(w, "rule", d->rule->id);
	member_text(w, "title", d->rule->title);
	member_text(w, "confidence", diagnosis_confidence_name(d->confidence));
	member_text(w, "severity", diagnosis_severity_name(d->severity));
	member_text(w, "side", diagnosis_side_name(d->side));
	member_time(w, "sinceAt", time_base_wall(t, d->since));
	member_text(w, "verdict", d->verdict);
	lines(w, "evidence", d->lines, d->line_count, t);
	member_text(w, "next", d->next);
	member_text(w, "key", key);
	member_text(w, "command", d->command);
	writer_close(w, '}');
}

void snapshot_diagnosis(struct writer *w, const struct diagnoses *d, const struct time_base *t)
{
	writer_name(w, "diagnosis");
	writer_open(w, '{');
	writer_name(w, "verdicts");
	writer_open(w, '[');
	for (unsigned i = 0; i < d->count; i++)
		verdict(w, &d->items[i], t);
	writer_close(w, ']');
	lines(w, "good", d->good, d->good_count, t);
	writer_close(w, '}');
}

const struct diagnoses *snapshot_diagnosis_take(struct diagnoses *room, struct engine_peer *p)
{
	if (!engine_has_diagnosis(p))
		return NULL;
	engine_diagnose(p, room);
	return room->count ? room : NULL;
}

/* ---- explain ---- */

static bool healthy(const struct diagnoses *d)
{
	return !d->count || d->items[0].severity == DIAGNOSIS_NOTE;
}

/* The first verdict's sentence is the list's reason, if there is one that is more than possible. */
static void peer_members(struct writer *w, struct engine_peer *p, const struct time_base *t)
{
	char base64[KEY_BASE64_LEN + 1];
	struct engine_peer_view v;

	engine_look_peer(p, &v);
	key_to_base64(base64, &v.public_key);
	member_text(w, "publicKey", base64);
	member_text(w, "name", v.name ? v.name : "");
	member_text(w, "word", peer_word_name(v.state.word));
	member_time(w, "wordSinceAt", time_base_wall(t, v.state_since));
	member_text(w, "reason", v.state.reason);
}

static void strangers(struct writer *w, struct control *c)
{
	struct wg_stranger all[WG_STRANGERS];
	size_t n = engine_strangers(c->engine, all);
	char text[ADDRESS_TEXT > KEY_BASE64_LEN ? ADDRESS_TEXT : KEY_BASE64_LEN + 1];

	writer_name(w, "strangers");
	writer_open(w, '[');
	for (size_t i = 0; i < n; i++) {
		writer_open(w, '{');
		member_text(w, "why", wg_counter_name(all[i].why));
		*text = '\0';
		if (all[i].from.remote.sa.sa_family != AF_UNSPEC)
			address_format(text, &all[i].from.remote);
		member_text(w, "from", text);
		*text = '\0';
		if (all[i].why == WG_COUNT_reject_unknown_peer)
			key_to_base64(text, &all[i].key);
		member_text(w, "publicKey", text);
		member_time(w, "at", time_base_wall(&c->time_base, all[i].at));
		member_count(w, "messages", all[i].messages);
		writer_close(w, '}');
	}
	writer_close(w, ']');
}

static void head(struct writer *w, struct control *c)
{
	member_count(w, "schema", CONTROL_SCHEMA);
	member_text(w, "interface", engine_ifname(c->engine));
	member_time(w, "at", clock_wall_ns());
}

bool control_peer_explained(struct control *c, struct writer *w, struct engine_peer *p, bool *unhealthy)
{
	const struct diagnoses *found = snapshot_diagnosis_take(&c->diagnoses, p);

	if (!found)
		return false;
	*unhealthy |= !healthy(found);
	writer_open(w, '{');
	peer_members(w, p, &c->time_base);
	snapshot_diagnosis(w, found, &c->time_base);
	writer_close(w, '}');
	return true;
}

/*
 * Those that are in trouble already, some of them per turn of the loop: running the rules over a thousand
 * takes a tenth of a second, and over ten thousand it would hold up everything else.
 */
static void explain_all(struct writer *w, struct control_client *client)
{
	struct engine *g = client->control->engine;
	struct key *keys = xmalloc((engine_peer_count(g) + 1) * sizeof(*keys));
	size_t count = 0;

	member_count(w, "peersTotal", engine_peer_count(g));
	strangers(w, client->control);
	for (struct engine_peer *p = engine_first_peer(g); p; p = engine_next_peer(p))
		if (engine_has_diagnosis(p))
			wg_peer_public_key(engine_peer_wg(p), &keys[count++]);
	writer_name(w, "peers");
	writer_open(w, '[');
	output_stream(client, w->to, keys, count, "}}", false);
	client->stream.explain = true;
}

/* Is a report of the other end on its way, which would say more? */
static bool asked(struct engine_peer *p)
{
	struct engine_network_view v;

	engine_peer_looked_at(p);
	engine_look_network(p, &v);
	return v.has_controller && v.look.remote_is_weir &&
	       (!v.has_report || clock_boot_ns() - v.report_at > REPORT_FRESH);
}

static void explain_one(struct writer *w, struct control *c, struct engine_peer *p)
{
	struct diagnoses *found = xmalloc(sizeof(*found));

	engine_diagnose(p, found);
	peer_members(w, p, &c->time_base);
	snapshot_diagnosis(w, found, &c->time_base);
	member_flag(w, "healthy", healthy(found));
	member_flag(w, "asked", asked(p));
	free(found);
}

void method_explain(struct request *r)
{
	struct strbuf line = {0};
	struct engine_peer *p;
	struct writer w;

	if (!param_peer(r, true, &p))
		return;
	reply_open(&w, &line, r->id);
	writer_open(&w, '{');
	head(&w, r->client->control);
	if (!p) {
		explain_all(&w, r->client);
		strbuf_clear(&line);
		return;
	}
	explain_one(&w, r->client->control, p);
	writer_close(&w, '}');
	reply_close(r->client, &line);
}
