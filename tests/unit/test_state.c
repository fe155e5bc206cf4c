/* Words and reasons from numbers: each case is a peer as an engineer meets it. */
#include "tests/unit/test.h"

#include <string.h>

#include "base/clock.h"
#include "diagnose/state.h"

#define NOW (1000 * NS_PER_SEC)

static struct peer_facts healthy(void)
{
	return (struct peer_facts){
		.device_up = true,
		.has_private_key = true,
		.endpoint_known = true,
		.last_handshake = NOW - 30 * NS_PER_SEC,
		.last_received = NOW - NS_PER_SEC,
		.last_sent = NOW - NS_PER_SEC,
		.keypair_usable = true,
		.keys_held = true,
	};
}

static struct peer_state derive(const struct peer_facts *f)
{
	struct peer_state s;

	peer_state_derive(&s, f, NOW);
	return s;
}

static void healthy_has_no_reason(void **state)
{
	struct peer_facts f = healthy();
	struct peer_state s = derive(&f);

	(void)state;
	assert_int_equal(s.word, WORD_DIRECT);
	assert_int_equal(s.path, PATH_UP);
	assert_int_equal(s.tunnel, TUNNEL_UP);
	assert_string_equal(s.reason, "");
}

/* ICE or UDP alive is not tunnel alive: only what came in counts. */
static void own_sending_never_makes_it_up(void **state)
{
	struct peer_facts f = healthy();
	struct peer_state s;

	(void)state;
	f.keypair_usable = f.keys_held = false;
	f.last_handshake = f.last_received = 0;
	f.last_sent = NOW;
	f.attempt = 1;
	s = derive(&f);
	assert_int_equal(s.tunnel, TUNNEL_HANDSHAKING);
	assert_int_equal(s.path, PATH_CHECKING);
	assert_int_equal(s.word, WORD_WAIT);
}

static void silent_for_15_seconds(void **state)
{
	struct peer_facts f = healthy();
	struct peer_state s;

	(void)state;
	f.unanswered_since = NOW - 14 * NS_PER_SEC;
	assert_int_equal(derive(&f).word, WORD_DIRECT);
	f.unanswered_since = NOW - 15 * NS_PER_SEC;
	s = derive(&f);
	assert_int_equal(s.tunnel, TUNNEL_SILENT);
	assert_int_equal(s.path, PATH_STALE);
	assert_int_equal(s.word, WORD_WAIT);
	assert_non_null(strstr(s.reason, "15 s"));
}

static void stuck_says_how_many(void **state)
{
	struct peer_facts f = healthy();
	struct peer_state s;

	(void)state;
	f.keypair_usable = false;
	f.attempt = 7;
	f.initiations_unanswered = 27;
	s = derive(&f);
	assert_int_equal(s.word, WORD_STUCK);
	assert_non_null(strstr(s.reason, "27 of 27"));
	f.initiations_unanswered = 2;
	f.attempt = 2;
	assert_int_equal(derive(&f).word, WORD_WAIT);
}

static void stuck_names_the_preshared_key(void **state)
{
	struct peer_facts f = healthy();

	(void)state;
	f.keypair_usable = false;
	f.attempt = 4;
	f.initiations_unanswered = 4;
	f.responses_rejected = 4;
	assert_non_null(strstr(derive(&f).reason, "preshared"));
}

static void one_way_is_told_apart(void **state)
{
	struct peer_facts f = healthy();

	(void)state;
	f.keypair_usable = false;
	f.attempt = 4;
	f.initiations_unanswered = 4;
	f.peer_initiations_since = 3;
	assert_non_null(strstr(derive(&f).reason, "do not reach them"));
}

/* A rekey that is refused while the old key still works is stuck already: in a minute it would be down. */
static void failing_rekey_under_a_live_key(void **state)
{
	struct peer_facts f = healthy();

	(void)state;
	f.attempt = 4;
	f.initiations_unanswered = 4;
	assert_int_equal(derive(&f).word, WORD_STUCK);
	assert_int_equal(derive(&f).tunnel, TUNNEL_UP);
}

static void drain_until_the_next_handshake(void **state)
{
	struct peer_facts f = healthy();

	(void)state;
	f.keypair_usable = f.keys_held = false;
	f.draining = true;
	assert_int_equal(derive(&f).word, WORD_DRAIN);
	assert_int_equal(derive(&f).tunnel, TUNNEL_NO_KEYS);
	f.draining = false;
	f.keypair_usable = f.keys_held = true;
	assert_int_equal(derive(&f).word, WORD_DIRECT);
}

static void names_and_missing_endpoints(void **state)
{
	struct peer_facts f = healthy();

	(void)state;
	f.keypair_usable = f.keys_held = false;
	f.last_handshake = f.last_received = 0;
	f.endpoint_known = false;
	assert_int_equal(derive(&f).word, WORD_IDLE);
	assert_non_null(strstr(derive(&f).reason, "come to us"));
	f.resolving = true;
	assert_int_equal(derive(&f).word, WORD_WAIT);
	f.resolve_error = "Name or service not known";
	assert_non_null(strstr(derive(&f).reason, "Name or service not known"));
	f.resolving = false;
	f.resolve_error = NULL;
	f.staged = 3;
	assert_non_null(strstr(derive(&f).reason, "3 packets"));
}

static void down_beats_everything(void **state)
{
	struct peer_facts f = healthy();

	(void)state;
	f.initiations_unanswered = 50;
	f.attempt = 5;
	f.device_up = false;
	assert_int_equal(derive(&f).word, WORD_DOWN);
	f.device_up = true;
	f.has_private_key = false;
	assert_int_equal(derive(&f).word, WORD_DOWN);
	assert_non_null(strstr(derive(&f).reason, "private key"));
}

static void idle_after_expiry(void **state)
{
	struct peer_facts f = healthy();
	struct peer_state s;

	(void)state;
	f.keypair_usable = false;
	f.last_handshake = f.last_received = NOW - 300 * NS_PER_SEC;
	s = derive(&f);
	assert_int_equal(s.word, WORD_IDLE);
	assert_int_equal(s.tunnel, TUNNEL_EXPIRED);
}

/* The responder's side of different preshared keys, or of replies that are lost: it is not idle. */
static void initiations_that_lead_nowhere(void **state)
{
	struct peer_facts f = healthy();

	(void)state;
	f.keypair_usable = f.keys_held = false;
	f.last_handshake = 0;
	f.peer_initiations_since = 2;
	assert_int_equal(derive(&f).word, WORD_IDLE);
	f.peer_initiations_since = 3;
	assert_int_equal(derive(&f).word, WORD_STUCK);
	assert_non_null(strstr(derive(&f).reason, "3 initiations came"));
	f.timestamps_rejected = 4;
	assert_int_equal(derive(&f).word, WORD_STUCK);
	assert_non_null(strstr(derive(&f).reason, "clock went back"));
}

static void what_the_kernel_refuses_is_named(void **state)
{
	struct peer_facts f = healthy();

	(void)state;
	f.keypair_usable = false;
	f.attempt = f.initiations_unanswered = f.send_failures = 4;
	f.send_error = "Network is unreachable";
	assert_non_null(strstr(derive(&f).reason, "Network is unreachable"));
	f.send_failures = 0; /* that was before the last handshake */
	assert_null(strstr(derive(&f).reason, "Network is unreachable"));
	f.cookies_received = 4;
	assert_non_null(strstr(derive(&f).reason, "under load"));
	f.cookies_received = 0;
	f.resolve_error = "No address";
	assert_non_null(strstr(derive(&f).reason, "No address"));
}

/* Up, and all that it sends is dropped: the word stays, the reason says why nothing works. */
static void foreign_inner_sources(void **state)
{
	struct peer_facts f = healthy();

	(void)state;
	f.data_received = 100;
	f.inner_sources_rejected = 20; /* stray link-local packets */
	assert_string_equal(derive(&f).reason, "");
	f.inner_sources_rejected = 90;
	assert_int_equal(derive(&f).word, WORD_DIRECT);
	assert_non_null(strstr(derive(&f).reason, "AllowedIPs"));
}

/* Every sentence fits, with the largest numbers: a reason that breaks off helps nobody. */
static void no_reason_is_cut(void **state)
{
	struct peer_facts f = healthy();
	char error[64];

	(void)state;
	memset(error, 'e', sizeof(error) - 1);
	error[sizeof(error) - 1] = '\0';
	f.keypair_usable = false;
	f.last_received = NOW - 500 * NS_PER_SEC;
	f.initiations_unanswered = UINT64_MAX;
	f.attempt = 1;
	for (int i = 0; i < 6; i++) {
		f.peer_initiations_since = i >= 1 ? UINT64_MAX : 0;
		f.cookies_received = i >= 2 ? UINT64_MAX : 0;
		f.send_failures = i >= 3 ? UINT64_MAX : 0;
		f.send_error = i >= 3 ? error : NULL;
		f.responses_rejected = i >= 4 ? UINT64_MAX : 0;
		f.last_received = i == 5 ? 0 : f.last_received;
		assert_true(strlen(derive(&f).reason) < sizeof(derive(&f).reason) - 1);
	}
	f = healthy();
	f.timestamps_rejected = UINT64_MAX;
	assert_true(strlen(derive(&f).reason) < sizeof(derive(&f).reason) - 1);
	f.timestamps_rejected = 0;
	f.peer_initiations_since = UINT64_MAX;
	assert_true(strlen(derive(&f).reason) < sizeof(derive(&f).reason) - 1);
}

/* Why it is not direct, and what comes next. */
static void a_relayed_peer_says_why(void **state)
{
	struct peer_facts f = healthy();
	struct peer_state s;

	(void)state;
	f.controlled = true;
	f.path_kind = PATH_KIND_RELAY;
	f.path_state = PATH_UP;
	s = derive(&f);
	assert_int_equal(s.word, WORD_RELAY);
	assert_int_equal(s.path_kind, PATH_KIND_RELAY);
	assert_int_equal(s.path, PATH_UP);
	assert_non_null(strstr(s.reason, "no direct path yet"));
	f.ice_failed_at = NOW - 12 * NS_PER_SEC;
	f.direct_retry_at = NOW + 40 * NS_PER_SEC;
	assert_string_equal(derive(&f).reason, "relayed: ICE failed 12 s ago, next try in 40 s");
	f.ice_failed_at = NOW + 1; /* noted within this very step */
	f.direct_retry_at = NOW + 2;
	assert_string_equal(derive(&f).reason, "relayed: ICE failed just now");
	f.path_kind = PATH_KIND_TURN;
	assert_int_equal(derive(&f).word, WORD_RELAY);
	assert_non_null(strstr(derive(&f).reason, "through TURN"));
	f.path_kind = PATH_KIND_ICE;
	s = derive(&f);
	assert_int_equal(s.word, WORD_DIRECT);
	assert_string_equal(s.reason, "");
	f.path_kind = PATH_KIND_RELAY;
	f.relay_asked = true;
	assert_non_null(strstr(derive(&f).reason, "asked for"));
}

/* Keys alone carry nothing. */
static void without_a_way_nothing_is_direct(void **state)
{
	struct peer_facts f = healthy();
	struct peer_state s;

	(void)state;
	f.controlled = true;
	f.endpoint_known = false;
	f.relay_configured = true;
	strcpy(f.relay_error, "Connection refused");
	s = derive(&f);
	assert_int_equal(s.word, WORD_WAIT);
	assert_int_equal(s.path, PATH_NONE);
	assert_non_null(strstr(s.reason, "Connection refused"));
	f.relay_up = true;
	assert_non_null(strstr(derive(&f).reason, "online at no relay"));
	f.staged = 7;
	assert_non_null(strstr(derive(&f).reason, "7 packets wait"));
}

static void a_goodbye_explains_the_silence(void **state)
{
	struct peer_facts f = healthy();

	(void)state;
	f.controlled = f.remote_away = true;
	assert_int_equal(derive(&f).word, WORD_DIRECT); /* it speaks again */
	f.keypair_usable = f.keys_held = false;
	f.initiations_unanswered = 5;
	f.attempt = 3;
	assert_int_equal(derive(&f).word, WORD_WAIT);
	assert_non_null(strstr(derive(&f).reason, "it said that it goes down"));
	f.remote_back_at = NOW + 3 * NS_PER_SEC;
	assert_non_null(strstr(derive(&f).reason, "3 s"));
	f.attempt = 0;
	assert_int_equal(derive(&f).word, WORD_IDLE);
}

/* The controller knows within a second what WireGuard would find out after fifteen. */
static void a_stale_path_is_not_direct(void **state)
{
	struct peer_facts f = healthy();
	struct peer_state s;

	(void)state;
	f.controlled = true;
	f.path_kind = PATH_KIND_ICE;
	f.path_state = PATH_STALE;
	assert_int_equal(derive(&f).word, WORD_DIRECT); /* nothing was sent that wants an answer */
	f.remote_is_weir = true;
	f.path_state = PATH_CHECKING;
	assert_int_equal(derive(&f).word, WORD_WAIT);
	f.path_state = PATH_STALE;
	f.unanswered_since = NOW - 2 * NS_PER_SEC;
	s = derive(&f);
	assert_int_equal(s.word, WORD_WAIT);
	assert_non_null(strstr(s.reason, "2 s"));
	f.initiations_unanswered = f.attempt = 3;
	f.last_received = NOW - 20 * NS_PER_SEC;
	f.relay_up = f.relay_online = true;
	s = derive(&f);
	assert_int_equal(s.word, WORD_STUCK);
	assert_non_null(strstr(s.reason, "a relay still has it"));
	f.relay_online = false;
	assert_non_null(strstr(derive(&f).reason, "online at no relay"));
	f.last_received = NOW - NS_PER_SEC;
	assert_non_null(strstr(derive(&f).reason, "though its data comes in"));
}

/* Recovery tries another path, a fresh port, or finds no way at all: the peer is as stuck as before. */
static void stuck_until_the_tunnel_carries_something(void **state)
{
	struct peer_facts f = healthy();

	(void)state;
	f.controlled = f.remote_is_weir = true;
	f.path_state = PATH_CHECKING;
	f.last_received = NOW - 20 * NS_PER_SEC;
	f.unanswered_since = NOW - 2 * NS_PER_SEC;
	f.initiations_unanswered = 7;
	assert_int_equal(derive(&f).word, WORD_WAIT);
	f.stuck = true;
	assert_int_equal(derive(&f).word, WORD_STUCK);
	assert_non_null(strstr(derive(&f).reason, "7 of 7"));
	f.path_state = PATH_UP; /* pings are no packets of the tunnel */
	assert_int_equal(derive(&f).word, WORD_STUCK);
	f.unanswered_since = NOW - 20 * NS_PER_SEC;
	assert_int_equal(derive(&f).word, WORD_STUCK);
	f.unanswered_since = 0;
	f.endpoint_known = false;
	f.staged = 2;
	assert_int_equal(derive(&f).word, WORD_STUCK);
	assert_non_null(strstr(derive(&f).reason, "2 packets wait"));
	f.keypair_usable = false;
	f.attempt = 1;
	assert_int_equal(derive(&f).word, WORD_STUCK);
	f.remote_away = true; /* which needs no other cause */
	assert_int_equal(derive(&f).word, WORD_WAIT);
}

static void nobody_is_stuck_with_what_nobody_wants(void **state)
{
	struct peer_facts f = healthy();

	(void)state;
	f.stuck = true;
	f.keypair_usable = false;
	f.last_received = NOW - 300 * NS_PER_SEC;
	assert_int_equal(derive(&f).word, WORD_IDLE);
	f.draining = true;
	assert_int_equal(derive(&f).word, WORD_DRAIN);
	f.device_up = false;
	assert_int_equal(derive(&f).word, WORD_DOWN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(healthy_has_no_reason),
		cmocka_unit_test(own_sending_never_makes_it_up),
		cmocka_unit_test(silent_for_15_seconds),
		cmocka_unit_test(stuck_says_how_many),
		cmocka_unit_test(stuck_until_the_tunnel_carries_something),
		cmocka_unit_test(nobody_is_stuck_with_what_nobody_wants),
		cmocka_unit_test(stuck_names_the_preshared_key),
		cmocka_unit_test(one_way_is_told_apart),
		cmocka_unit_test(failing_rekey_under_a_live_key),
		cmocka_unit_test(drain_until_the_next_handshake),
		cmocka_unit_test(names_and_missing_endpoints),
		cmocka_unit_test(down_beats_everything),
		cmocka_unit_test(idle_after_expiry),
		cmocka_unit_test(initiations_that_lead_nowhere),
		cmocka_unit_test(what_the_kernel_refuses_is_named),
		cmocka_unit_test(foreign_inner_sources),
		cmocka_unit_test(a_relayed_peer_says_why),
		cmocka_unit_test(without_a_way_nothing_is_direct),
		cmocka_unit_test(a_goodbye_explains_the_silence),
		cmocka_unit_test(a_stale_path_is_not_direct),
		cmocka_unit_test(no_reason_is_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
