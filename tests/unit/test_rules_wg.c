/*
 * The rules about WireGuard and this host: for each the facts that fit, of which it must be the first
 * verdict, and the nearest facts that do not. What they leave is what a person reads: every verdict has its
 * evidence and says what helps.
 */
#include "tests/unit/test.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "diagnose/rules_internal.h"
#include "tests/unit/rules_lines.h"

#define NOW    (10000 * NS_PER_SEC)
#define AGO(s) (NOW - (s)*NS_PER_SEC)
#define COUNT(c)                                                                                             \
	w.f.since_handshake[WG_COUNT_##c] = w.f.recent.counters[WG_COUNT_##c] = w.f.counters[WG_COUNT_##c]

static struct {
	struct diagnosis_device device;
	struct diagnosis_facts f;
} w;
static struct diagnoses found;

/* ---- how a peer can stand ---- */

static void healthy(void)
{
	memset(&w, 0, sizeof(w));
	w.device = (struct diagnosis_device){.up = true,
					     .has_private_key = true,
					     .started = AGO(5000),
					     .wall = 1800000000 * NS_PER_SEC,
					     .window_since = AGO(60),

					     .peers_wanted = 5,
					     .peers_heard = 4,
					     .udp_received_at = AGO(1)};
	w.f = (struct diagnosis_facts){.device = &w.device,
				       .name = "office",
				       .has_allowed_ips = true,
				       .word_since = AGO(100),
				       .recent = {.since = AGO(60)}};
	address_parse(&w.f.endpoint, "198.51.100.7:51820");
	w.f.word = (struct peer_facts){.device_up = true,
				       .has_private_key = true,
				       .endpoint_known = true,
				       .last_handshake = AGO(60),
				       .last_received = AGO(1),
				       .last_sent = AGO(1),
				       .keypair_usable = true,
				       .keys_held = true,
				       .path_kind = PATH_KIND_DIRECT};
	w.f.state = (struct peer_state){.path = PATH_UP, .tunnel = TUNNEL_UP, .word = WORD_DIRECT};
}

/* Heard a while ago; initiations go out and nothing comes. */
static void stuck(void)
{
	healthy();
	w.f.word.keypair_usable = false;
	w.f.word.last_received = AGO(100);
	w.f.word.last_handshake = AGO(200);
	w.f.word.attempt = 4;
	w.f.word.initiations_unanswered = 4;
	w.f.state = (struct peer_state){.path = PATH_STALE, .tunnel = TUNNEL_EXPIRED, .word = WORD_STUCK};
	COUNT(initiation_sent) = 4;
}

static void never_heard(void)
{
	stuck();
	w.f.word.last_received = w.f.word.last_handshake = 0;
	w.f.state.tunnel = TUNNEL_HANDSHAKING;
}

/* They begin, we answer, and nothing comes of it. */
static void called(void)
{
	never_heard();
	w.f.word.initiations_unanswered = 0;
	COUNT(initiation_sent) = 0;
	w.f.word.last_received = w.f.last_initiation_received = AGO(2);
	COUNT(initiation_received) = 4;
	COUNT(response_sent) = 4;
}

static void reported(void)
{
	w.f.has_report = true;
	w.f.report_at = AGO(5);
	w.f.report_before_at = AGO(15);
}

/* ---- what is asserted ---- */

static void complete(const struct diagnosis *d)
{
	assert_true(*d->verdict);
	assert_true(*d->next);
	assert_true(d->line_count > 0);
	for (unsigned i = 0; i < d->line_count; i++)
		assert_true(*d->lines[i].text && *d->lines[i].layer);
	/* Nothing was cut off. */
	assert_true(strlen(d->verdict) < sizeof(d->verdict) - 1);
	assert_true(strlen(d->next) < sizeof(d->next) - 1);
}

static void first_is(const char *id, enum diagnosis_confidence c, enum diagnosis_side side)
{
	diagnose_peer(&w.f, NOW, &found);
	nothing_is_shown_twice(&found);
	if (!found.count)
		fail_msg("no verdict, expected %s", id);
	assert_string_equal(found.items[0].rule->id, id);
	assert_int_equal(found.items[0].confidence, c);
	assert_int_equal(found.items[0].side, side);
	for (unsigned i = 0; i < found.count; i++)
		complete(&found.items[i]);
}

static bool given(const char *id)
{
	diagnose_peer(&w.f, NOW, &found);
	nothing_is_shown_twice(&found);
	for (unsigned i = 0; i < found.count; i++)
		if (!strcmp(found.items[i].rule->id, id))
			return true;
	return false;
}

static void none(void)
{
	diagnose_peer(&w.f, NOW, &found);
	if (found.count)
		fail_msg("%s: %s", found.items[0].rule->id, found.items[0].verdict);
}

/* ---- this host ---- */

static void test_healthy(void **state)
{
	(void)state;
	healthy();
	none();
	assert_true(found.good_count > 0);
	w.f.word.last_received = w.f.word.last_sent = AGO(100); /* idle */
	none();
	w.f.state = (struct peer_state){.tunnel = TUNNEL_NO_KEYS, .word = WORD_IDLE};
	w.f.word.last_handshake = w.f.word.last_received = 0;
	none();
	/* A first handshake that is under way, and one lost initiation. */
	w.f.state =
		(struct peer_state){.path = PATH_CHECKING, .tunnel = TUNNEL_HANDSHAKING, .word = WORD_WAIT};
	w.f.word_since = AGO(6);
	w.f.word.attempt = w.f.word.initiations_unanswered = 2;
	none();
}

static void test_device(void **state)
{
	(void)state;
	stuck();
	w.device.up = false;
	first_is("device-down", DIAGNOSIS_CERTAIN, SIDE_HERE);
	assert_int_equal(found.count, 1);
	stuck();
	w.device.has_private_key = false;
	first_is("no-private-key", DIAGNOSIS_CERTAIN, SIDE_HERE);
	assert_int_equal(found.count, 1);
	stuck();
	w.device.link_lost = true;
	first_is("link-lost", DIAGNOSIS_CERTAIN, SIDE_HERE);
	assert_int_equal(found.count, 1);
	w.device.up = false; /* both explain everything */
	first_is("device-down", DIAGNOSIS_CERTAIN, SIDE_HERE);
	assert_int_equal(found.count, 1);
	stuck();
	assert_false(given("link-lost"));
}

static void test_away(void **state)
{
	(void)state;
	stuck();
	w.f.word.remote_away = true;
	w.f.word.remote_back_at = NOW + 90 * NS_PER_SEC;
	first_is("peer-away", DIAGNOSIS_CERTAIN, SIDE_THERE);
	assert_non_null(strstr(found.items[0].verdict, "90 s"));
	/* It came back, and the word stays until its frames say so. */
	healthy();
	w.f.word.remote_away = true;
	none();
}

static void test_sending(void **state)
{
	(void)state;
	never_heard();
	w.f.word.send_error = "Operation not permitted";
	w.f.send_error = EPERM;
	w.f.word.send_failures = 4;
	COUNT(send_failed) = 4;
	first_is("send-refused", DIAGNOSIS_CERTAIN, SIDE_HERE);
	assert_non_null(strstr(found.items[0].next, "firewall"));
	assert_false(given("no-answer"));
	/* They failed long ago; those of now go out. */
	w.f.recent.counters[WG_COUNT_send_failed] = 0;
	assert_false(given("send-refused"));
	healthy();
	w.f.word.send_error = "No buffer space available";
	w.f.word.send_failures = 4;
	none();
}

static void test_names(void **state)
{
	(void)state;
	never_heard();
	w.f.state.word = WORD_WAIT;
	w.f.word.endpoint_known = false;
	w.f.word.initiations_unanswered = 0;
	w.f.word.resolve_error = "Name or service not known";
	snprintf(w.f.host, sizeof(w.f.host), "vpn.example.net");
	first_is("name-unresolved", DIAGNOSIS_CERTAIN, SIDE_HERE);
	/* A tunnel that works does not care. */
	healthy();
	w.f.word.resolve_error = "Name or service not known";
	none();

	never_heard();
	w.f.state.word = WORD_WAIT;
	w.f.word.endpoint_known = false;
	w.f.word.initiations_unanswered = 0;
	w.f.word.staged = 3;
	first_is("no-endpoint", DIAGNOSIS_CERTAIN, SIDE_HERE);
	/* Nobody wants it: it will call when it comes. */
	w.f.word.staged = 0;
	w.f.state.word = WORD_IDLE;
	none();
}

static void test_clocks(void **state)
{
	(void)state;
	stuck();
	reported();
	w.f.report.rejected_timestamp = 7;
	w.f.report_before.rejected_timestamp = 4;
	w.device.clock_step = -3600 * (int64_t)NS_PER_SEC;
	w.device.clock_stepped_at = AGO(90);
	first_is("our-clock-back", DIAGNOSIS_CERTAIN, SIDE_HERE);
	w.f.report_before.rejected_timestamp = 7; /* none since */
	assert_false(given("our-clock-back"));
	w.device.wall = 1000000 * NS_PER_SEC; /* 1970 */
	first_is("our-clock-back", DIAGNOSIS_LIKELY, SIDE_HERE);

	stuck();
	w.f.last_timestamp_delta = 7200 * NS_PER_SEC;
	COUNT(reject_replayed_timestamp) = 3;
	first_is("peer-clock-back", DIAGNOSIS_CERTAIN, SIDE_THERE);
	assert_non_null(strstr(found.items[0].verdict, "2 h"));
	COUNT(reject_replayed_timestamp) = 1; /* may be a copy */
	assert_false(given("peer-clock-back"));
	/* The tunnel stands by our handshakes. */
	healthy();
	w.f.last_timestamp_delta = 7200 * NS_PER_SEC;
	COUNT(reject_replayed_timestamp) = 3;
	first_is("peer-clock-back", DIAGNOSIS_LIKELY, SIDE_THERE);
	assert_int_equal(found.items[0].severity, DIAGNOSIS_NOTE);
}

static void test_replayed(void **state)
{
	(void)state;
	healthy();
	w.f.last_timestamp_delta = 30 * NS_PER_SEC;
	COUNT(reject_replayed_timestamp) = 5;
	first_is("replayed", DIAGNOSIS_LIKELY, SIDE_BETWEEN);
	assert_int_equal(found.items[0].severity, DIAGNOSIS_NOTE);
	COUNT(reject_replayed_timestamp) = 1;
	none();
	COUNT(reject_replayed_timestamp) = 0;
	COUNT(reject_replayed_counter) = 19; /* reordering over the window */
	none();
	COUNT(reject_replayed_counter) = 400;
	first_is("replayed", DIAGNOSIS_LIKELY, SIDE_BETWEEN);
	COUNT(handshake_done) = 1; /* keys are renewed all the time */
	first_is("replayed", DIAGNOSIS_LIKELY, SIDE_BETWEEN);
}

static void test_all_at_once(void **state)
{
	(void)state;
	stuck();
	w.device.peers_in_trouble = 5;
	w.device.peers_heard = 0;
	w.device.trouble_since = AGO(100);
	w.device.network_changed_at = AGO(105);
	first_is("all-at-once", DIAGNOSIS_LIKELY, SIDE_HERE);
	w.device.trouble_since = 0; /* one after another */
	assert_false(given("all-at-once"));
	w.device.trouble_since = AGO(100);
	w.device.peers_heard = 1;
	assert_false(given("all-at-once"));
	w.device.peers_heard = 0;
	w.device.peers_in_trouble = 2;
	assert_false(given("all-at-once"));

	stuck();
	w.device.resumed_at = AGO(20);
	w.device.suspended_for = 3600 * NS_PER_SEC;
	first_is("suspended", DIAGNOSIS_LIKELY, SIDE_HERE);
	w.f.word.last_received = AGO(10); /* it spoke since */
	assert_false(given("suspended"));
	w.f.word.last_received = AGO(100);
	w.device.resumed_at = AGO(300);
	assert_false(given("suspended"));
	w.device.resumed_at = AGO(20);
	w.device.suspended_for = 100; /* ns: two readings of clocks */
	assert_false(given("suspended"));

	never_heard();
	w.device.peers_in_trouble = w.device.peers_wanted = 3;
	w.device.peers_heard = 0;
	w.device.udp_received_at = 0;
	first_is("all-silent", DIAGNOSIS_LIKELY, SIDE_HERE);
	w.device.udp_received_at = AGO(3);
	assert_false(given("all-silent"));
}

static void test_prefixes(void **state)
{
	(void)state;
	healthy();
	snprintf(w.f.stolen_prefix, sizeof(w.f.stolen_prefix), "10.0.0.0/8");
	snprintf(w.f.stolen_by, sizeof(w.f.stolen_by), "lab");
	first_is("prefix-stolen", DIAGNOSIS_CERTAIN, SIDE_HERE);
	assert_non_null(strstr(found.items[0].verdict, "10.0.0.0/8"));

	healthy();
	w.f.has_allowed_ips = false;
	first_is("no-allowed-ips", DIAGNOSIS_LIKELY, SIDE_HERE);
	COUNT(reject_inner_source) = 9;
	first_is("no-allowed-ips", DIAGNOSIS_CERTAIN, SIDE_HERE);
	assert_false(given("allowed-ip-in"));
	/* Not in use yet. */
	w.f.word.last_handshake = 0;
	COUNT(reject_inner_source) = 0;
	assert_false(given("no-allowed-ips"));

	healthy();
	snprintf(w.f.route_missing, sizeof(w.f.route_missing), "10.7.0.0/16");
	first_is("route-missing", DIAGNOSIS_LIKELY, SIDE_HERE);
	assert_int_equal(found.items[0].severity, DIAGNOSIS_NOTE);
	w.f.counters[WG_COUNT_data_sent] = 900; /* other prefixes are in use */
	first_is("route-missing", DIAGNOSIS_POSSIBLE, SIDE_HERE);
	assert_int_equal(found.items[0].severity, DIAGNOSIS_NOTE);
}

static void test_asked_for(void **state)
{
	(void)state;
	stuck();
	w.f.controlled = true;
	w.f.look.ladder_held = true;
	w.f.look.next_rung = PEER_RUNG_PATH;
	first_is("recovery-held", DIAGNOSIS_CERTAIN, SIDE_HERE);
	assert_string_equal(found.items[0].command, "weir ladder office resume");
	healthy();
	w.f.controlled = true;
	w.f.look.ladder_held = true;
	none();

	healthy();
	w.f.word.path_kind = PATH_KIND_RELAY;
	w.f.state.word = WORD_RELAY;
	w.f.word.ice_failed_at = AGO(30);
	w.f.word.direct_retry_at = NOW + 300 * NS_PER_SEC;
	assert_true(given("retry-parked"));
	w.f.word.direct_retry_at = NOW + 20 * NS_PER_SEC;
	assert_false(given("retry-parked"));
	w.f.word.ice_failed_at =
		AGO(600); /* it stays while the end of that wait comes near, and while it is tried */
	assert_true(given("retry-parked"));
	w.f.word.direct_retry_at = 0;
	w.f.ice_running = true;
	w.f.ice_since = AGO(2);
	assert_true(given("retry-parked"));
	w.f.word.ice_failed_at = AGO(30);
	assert_false(given("retry-parked"));
	w.f.word.direct_retry_at = NOW + 300 * NS_PER_SEC;
	w.f.word.relay_asked = true;
	assert_false(given("retry-parked"));
}

/* ---- keys ---- */

static void test_psk(void **state)
{
	(void)state;
	never_heard(); /* who begins */
	COUNT(reject_response) = 3;
	first_is("psk-differs", DIAGNOSIS_CERTAIN, SIDE_UNKNOWN);
	assert_int_equal(found.count, 1);
	COUNT(reject_response) = 1; /* one may be forged, or late */
	assert_false(given("psk-differs"));

	called(); /* who answers */
	first_is("psk-differs", DIAGNOSIS_LIKELY, SIDE_UNKNOWN);
	reported();
	w.f.report.rejected_response = 3;
	first_is("psk-differs", DIAGNOSIS_CERTAIN, SIDE_UNKNOWN);
	/* It had a tunnel, and no preshared key: our answers are lost. */
	called();
	w.f.word.last_handshake = AGO(300);
	first_is("outbound-blocked", DIAGNOSIS_LIKELY, SIDE_BETWEEN);
	COUNT(initiation_received) = 2;
	none();
}

static void test_strangers(void **state)
{
	char key[KEY_BASE64_LEN + 1];

	(void)state;
	never_heard();
	memset(w.device.unknown_key.bytes, 7, KEY_LEN);
	w.device.unknown_key_at = AGO(3);
	w.device.unknown_from = w.f.endpoint;
	first_is("unknown-key", DIAGNOSIS_CERTAIN, SIDE_HERE);
	key_to_base64(key, &w.device.unknown_key);
	assert_non_null(strstr(found.items[0].verdict, key));
	address_parse(&w.device.unknown_from, "198.51.100.7:4000"); /* behind the same NAT, maybe */
	first_is("unknown-key", DIAGNOSIS_LIKELY, SIDE_HERE);
	address_parse(&w.device.unknown_from, "198.51.100.8:51820");
	assert_false(given("unknown-key"));

	never_heard();
	w.device.mac1_at = AGO(3);
	w.device.mac1_from = w.f.endpoint;
	first_is("wrong-key-for-us", DIAGNOSIS_CERTAIN, SIDE_THERE);
	address_parse(&w.device.mac1_from, "198.51.100.8:51820");
	assert_false(given("wrong-key-for-us"));
	/* A tunnel that stands: somebody else at that address. */
	healthy();
	w.device.mac1_at = w.device.unknown_key_at = AGO(3);
	w.device.mac1_from = w.device.unknown_from = w.f.endpoint;
	none();
}

static void test_ignored(void **state)
{
	(void)state;
	stuck();
	w.f.word.initiations_unanswered = 27;
	w.f.path_count = 2;
	w.f.paths[0] = (struct diagnosis_path){.view = {.ref.kind = PATH_KIND_ICE, .last_proof = AGO(2)},
					       .remote = "198.51.100.23:41641"};
	w.f.paths[1] = (struct diagnosis_path){.view = {.ref.kind = PATH_KIND_RELAY, .peer_online = true},
					       .remote = "rels://fra1.example:443"};
	assert_true(given("peer-lacks-our-key"));
	assert_false(given("stopped-answering"));
	w.f.paths[0].view.last_proof = AGO(60);
	w.f.paths[1].view.peer_online = false;
	assert_false(given("peer-lacks-our-key"));
	w.f.paths[1].view.peer_online = true;
	COUNT(cookie_received) = 1;
	assert_false(given("peer-lacks-our-key"));
}

/* ---- directions, load ---- */

static void test_directions(void **state)
{
	(void)state;
	stuck();
	reported();
	w.f.report.initiations_received = w.f.report.responses_sent = 9;
	w.f.report_before.initiations_received = w.f.report_before.responses_sent = 5;
	first_is("return-path-blocked", DIAGNOSIS_CERTAIN, SIDE_BETWEEN);
	w.f.report_before.initiations_received = 9; /* it hears no more */
	assert_false(given("return-path-blocked"));
	w.f.report_before.initiations_received = 5;
	w.f.report_before_at = AGO(110); /* it counted those before it fell silent */
	assert_false(given("return-path-blocked"));
	w.f.report_before_at = AGO(15);
	w.f.report_at = AGO(500); /* that was then */
	assert_false(given("return-path-blocked"));
	/* Data under the old keys comes in, so our key is known there. */
	w.f.report_at = AGO(5);
	w.f.word.keypair_usable = true;
	w.f.word.last_received = NOW;
	first_is("return-path-blocked", DIAGNOSIS_CERTAIN, SIDE_BETWEEN);
	w.f.word.last_handshake = AGO(3); /* those reports are older than it */
	assert_false(given("return-path-blocked"));

	called();
	w.f.word.initiations_unanswered = 4;
	first_is("outbound-blocked", DIAGNOSIS_LIKELY, SIDE_BETWEEN);
	reported();
	first_is("outbound-blocked", DIAGNOSIS_CERTAIN, SIDE_BETWEEN);
	COUNT(data_received) = 1;
	assert_false(given("outbound-blocked"));
}

static void test_load(void **state)
{
	(void)state;
	stuck();
	COUNT(cookie_received) = 3;
	first_is("load-there", DIAGNOSIS_CERTAIN, SIDE_THERE);
	w.f.recent.counters[WG_COUNT_cookie_received] = 0; /* that is over */
	assert_false(given("load-there"));

	stuck();
	w.device.window[WG_COUNT_reject_mac2] = 900;
	w.device.window[WG_COUNT_cookie_sent] = 900;
	first_is("load-here", DIAGNOSIS_LIKELY, SIDE_HERE);
	w.device.window[WG_COUNT_reject_mac2] = 10;
	assert_false(given("load-here"));
	w.device.window[WG_COUNT_reject_queue_full] = 60; /* too many for cookies, even */
	first_is("load-here", DIAGNOSIS_LIKELY, SIDE_HERE);
	healthy(); /* a flood that hurts nobody */
	w.device.window[WG_COUNT_reject_mac2] = 900;
	none();

	healthy();
	COUNT(reject_flood) = 8;
	first_is("flood", DIAGNOSIS_CERTAIN, SIDE_THERE);
	COUNT(reject_flood) = 1; /* two initiations that crossed */
	none();
}

/* ---- sessions ---- */

static void test_restarts(void **state)
{
	(void)state;
	healthy();
	w.f.remote_restarted_at = AGO(20);
	w.f.word.last_handshake = AGO(19);
	first_is("peer-restarted", DIAGNOSIS_LIKELY, SIDE_THERE);
	assert_int_equal(found.items[0].severity, DIAGNOSIS_NOTE);
	w.f.word.last_handshake = AGO(60); /* it called, and nothing came of it: no restart */
	none();
	w.f.remote_restarted_at = AGO(90);
	none();
	w.f.we_restarted_at = AGO(20);
	first_is("we-restarted", DIAGNOSIS_CERTAIN, SIDE_HERE);
	w.f.we_restarted_at = AGO(90);
	none();
}

static void test_duplicate(void **state)
{
	(void)state;
	healthy();
	w.f.recent.endpoint_changes = 5;
	COUNT(handshake_done) = 5;
	first_is("duplicate-key", DIAGNOSIS_LIKELY, SIDE_THERE);
	COUNT(handshake_done) = 1; /* it moves between networks */
	none();
	w.f.recent.endpoint_changes = 12;
	first_is("duplicate-key", DIAGNOSIS_LIKELY, SIDE_THERE);
}

static void test_inside(void **state)
{
	(void)state;
	healthy();
	COUNT(reject_inner_source) = 8;
	COUNT(data_received) = 9;
	snprintf(w.f.inner_rejected_source, sizeof(w.f.inner_rejected_source), "10.9.0.7");
	snprintf(w.f.inner_rejected_owner, sizeof(w.f.inner_rejected_owner), "lab");
	first_is("allowed-ip-in", DIAGNOSIS_CERTAIN, SIDE_HERE);
	assert_non_null(strstr(found.items[0].verdict, "10.9.0.7"));
	assert_non_null(strstr(found.items[0].verdict, "lab"));
	COUNT(data_received) = 400; /* stray router solicitations */
	none();

	healthy();
	reported();
	w.f.report = (struct signal_report){.rejected_source = 9, .data_received = 20};
	w.f.report_before = (struct signal_report){.data_received = 10};
	first_is("allowed-ip-out", DIAGNOSIS_CERTAIN, SIDE_THERE);
	w.f.deaf.since = AGO(20); /* what it refuses it does not answer */
	w.f.deaf.counters[WG_COUNT_handshake_done] = 2;
	w.f.deaf.counters[WG_COUNT_data_sent] = 200;
	first_is("allowed-ip-out", DIAGNOSIS_CERTAIN, SIDE_THERE);
	assert_int_equal(found.count, 1);
	w.f.deaf.since = 0;
	w.f.report_before.rejected_source = 9;
	none();

	healthy();
	COUNT(reject_undecryptable_data) = 40;
	first_is("corrupted", DIAGNOSIS_LIKELY, SIDE_BETWEEN);
	assert_string_equal(found.items[0].command, "weir path office relay");
	/* What is told is a command that a shell takes as it stands. */
	strcpy(w.f.name, "my $(office)");
	first_is("corrupted", DIAGNOSIS_LIKELY, SIDE_BETWEEN);
	assert_string_equal(found.items[0].command, "weir path 'my $(office)' relay");
	strcpy(w.f.name, "bob's");
	first_is("corrupted", DIAGNOSIS_LIKELY, SIDE_BETWEEN);
	assert_null(strchr(found.items[0].command, '\''));
	COUNT(reject_undecryptable_data) = 2;
	none();
}

/* ---- what is left ---- */

static void test_silence(void **state)
{
	(void)state;
	never_heard();
	first_is("no-answer", DIAGNOSIS_LIKELY, SIDE_THERE);
	w.device.peers_heard = 0;
	first_is("no-answer", DIAGNOSIS_POSSIBLE, SIDE_UNKNOWN);
	w.f.word.initiations_unanswered = COUNT(initiation_sent) = 2;
	none();
	/* On the way to a third path: the word begins anew with each. */
	w.f.word.initiations_unanswered = 0;
	COUNT(initiation_sent) = 7;
	assert_true(given("no-answer"));

	stuck();
	first_is("stopped-answering", DIAGNOSIS_LIKELY, SIDE_THERE);
	assert_non_null(strstr(found.items[0].verdict, "100 s"));
	w.f.word.last_received = AGO(2);
	none();

	healthy();
	w.f.state.tunnel = TUNNEL_SILENT;
	w.f.state.word = WORD_WAIT;
	w.f.word.unanswered_since = AGO(20);
	w.f.word.last_received = AGO(21);
	first_is("data-unanswered", DIAGNOSIS_LIKELY, SIDE_UNKNOWN);

	healthy();
	w.f.deaf.since = AGO(20);
	w.f.deaf.counters[WG_COUNT_handshake_done] = 2;
	w.f.deaf.counters[WG_COUNT_data_sent] = 200;
	first_is("data-unanswered", DIAGNOSIS_CERTAIN, SIDE_BETWEEN);
	assert_non_null(strstr(found.items[0].verdict, "of the last 20 s had"));
	w.f.deaf.counters[WG_COUNT_data_sent] = 0; /* nobody asked anything */
	none();
	w.f.deaf.counters[WG_COUNT_data_sent] = 200;
	w.f.deaf.counters[WG_COUNT_handshake_done] = 1;
	none();
	w.f.deaf.counters[WG_COUNT_handshake_done] = 2;
	w.f.deaf.since = AGO(10); /* it may be about to say something */
	none();
}

/* ---- the table ---- */

static bool known(const char *id, size_t len)
{
	for (unsigned t = 0; diagnosis_rules[t]; t++)
		for (const struct diagnosis_rule *r = diagnosis_rules[t]; r->id; r++)
			if (strlen(r->id) == len && !strncmp(r->id, id, len))
				return true;
	return false;
}

/* Ids are for scripts; what a rule explains must be rules. */
static void test_table(void **state)
{
	(void)state;
	for (unsigned t = 0; diagnosis_rules[t]; t++) {
		for (const struct diagnosis_rule *r = diagnosis_rules[t]; r->id; r++) {
			assert_true(strspn(r->id, "abcdefghijklmnopqrstuvwxyz0123456789-") == strlen(r->id));
			assert_true(*r->title && *r->text && r->check);
			for (const char *at = r->explains; at && *at && strcmp(r->explains, "*");) {
				size_t len = strcspn(at, " ");

				if (len && !known(at, len))
					fail_msg("%s explains %.*s, which is no rule", r->id, (int)len, at);
				at += len + (at[len] == ' ');
			}
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_healthy),	  cmocka_unit_test(test_device),
		cmocka_unit_test(test_away),	  cmocka_unit_test(test_sending),
		cmocka_unit_test(test_names),	  cmocka_unit_test(test_clocks),
		cmocka_unit_test(test_replayed),  cmocka_unit_test(test_all_at_once),
		cmocka_unit_test(test_prefixes),  cmocka_unit_test(test_asked_for),
		cmocka_unit_test(test_psk),	  cmocka_unit_test(test_strangers),
		cmocka_unit_test(test_ignored),	  cmocka_unit_test(test_directions),
		cmocka_unit_test(test_load),	  cmocka_unit_test(test_restarts),
		cmocka_unit_test(test_duplicate), cmocka_unit_test(test_inside),
		cmocka_unit_test(test_silence),	  cmocka_unit_test(test_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
