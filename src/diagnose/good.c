/* What works, and what was ruled out: as much a part of a diagnosis as what does not. */
#include <inttypes.h>
#include <string.h>

#include "diagnose/rules_internal.h"

#define FRESH (30 * NS_PER_SEC)

static void good_paths(const struct diagnosis_facts *f, uint64_t now, struct diagnoses *out)
{
	char ago[DIAGNOSIS_AGE];

	for (unsigned i = 0; i < f->path_count; i++) {
		const struct peer_path_view *v = &f->paths[i].view;

		if (v->ref.kind == PATH_KIND_RELAY && v->peer_online &&
		    !diagnosis_lately(v->last_proof, now, FRESH))
			diagnosis_works(out, "relay", 0, "the relay %.80s has it online", f->paths[i].remote);
		else if (diagnosis_lately(v->last_proof, now, FRESH))
			diagnosis_works(out, "paths", v->last_proof, "it answered %s on the %s path %.80s",
					diagnosis_ago(ago, v->last_proof, now), path_kind_name(v->ref.kind),
					f->paths[i].remote);
	}
}

static void good_wireguard(const struct diagnosis_facts *f, uint64_t now, struct diagnoses *out)
{
	char ago[DIAGNOSIS_AGE], heard[DIAGNOSIS_AGE];

	if (f->state.tunnel != TUNNEL_UP || !f->word.last_handshake)
		return;
	diagnosis_works(out, "wireguard", f->word.last_handshake, "handshake %s, a packet came in %s",
			diagnosis_ago(ago, f->word.last_handshake, now),
			diagnosis_ago(heard, f->word.last_received, now));
}

/* Only what would have shown by now is ruled out. */
static void ruled_out(const struct diagnosis_facts *f, struct diagnoses *out)
{
	const uint64_t *c = f->since_handshake;

	if (f->word.initiations_unanswered < 3)
		return;
	if (!c[WG_COUNT_cookie_received] && !c[WG_COUNT_reject_response])
		diagnosis_works(
			out, "wireguard", 0,
			"no cookie replies: it is not under load; no response that would not open: it "
			"is not the preshared key");
	if (!c[WG_COUNT_send_failed])
		diagnosis_works(
			out, "routes", 0,
			"the kernel sends: routes and output rules of this host let the datagrams go");
}

static void good_host(const struct diagnosis_facts *f, uint64_t now, struct diagnoses *out)
{
	const struct diagnosis_device *v = f->device;
	char ago[DIAGNOSIS_AGE];

	if (f->has_report && diagnosis_lately(f->report_at, now, FRESH))
		diagnosis_works(out, "signalling", f->report_at, "it told %s what it counts",
				diagnosis_ago(ago, f->report_at, now));
	if (v->peers_heard && (f->state.tunnel != TUNNEL_UP || f->state.word == WORD_STUCK))
		diagnosis_works(out, "paths", v->udp_received_at,
				"%u other peer%s heard: this host's network works", v->peers_heard,
				v->peers_heard == 1 ? " is" : "s are");
	if (!v->clock_stepped_at && v->up)
		diagnosis_works(out, "clock", 0, "our clock has not been set since the start");
}

void diagnosis_good(const struct diagnosis_facts *f, uint64_t now, struct diagnoses *out)
{
	good_wireguard(f, now, out);
	good_paths(f, now, out);
	ruled_out(f, out);
	good_host(f, now, out);
}
