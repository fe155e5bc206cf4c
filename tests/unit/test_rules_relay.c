/* The rules about relays: for each the facts that fit, and the nearest that do not. */
#include "tests/unit/rules_rig.h"

#include <stdio.h>
#include <string.h>

static void relay_loop_fits(void)
{
	no_relay();
	relay()->through_tunnel = true;
	snprintf(relay()->error, sizeof(relay()->error),
		 "the way to 203.0.113.5:443 leads into wg0, the tunnel itself");
}
static void relay_loop_near(void)
{
	direct();
	relay()->through_tunnel = true;
	relay()->up = false;
}

static void name_fits(void)
{
	no_relay();
	relay()->name_error = true;
	snprintf(relay()->error, sizeof(relay()->error), "relay.example: Name or service not known");
}
static void name_near(void)
{
	name_fits();
	relay()->name_error = false;
}
static void name_loop_fits(void)
{
	name_fits();
	w.device.resolver_through_tunnel = true;
}
static void name_loop_near(void)
{
	name_fits();
}

static void tls_fits(void)
{
	no_relay();
	relay()->tls_error = relay()->refused = true;
	snprintf(relay()->error, sizeof(relay()->error), "certificate refused: certificate has expired");
}
static void tls_near(void)
{
	tls_fits();
	relay()->up = true;
}

static void expired_fits(void)
{
	no_relay();
	relay()->expired_token = relay()->silent_close = true;
}
static void expired_near(void)
{
	expired_fits();
	relay()->expired_token = false;
}
static void bad_token_fits(void)
{
	no_relay();
	relay()->bad_token = relay()->silent_close = true;
}
static void bad_token_near(void)
{
	expired_fits();
}
static void secret_fits(void)
{
	no_relay();
	relay()->silent_close = true;
	relay()->refusals = 3;
}
static void secret_near(void)
{
	bad_token_fits();
}

static void duplicate_fits(void)
{
	no_relay();
	relay()->replaced = true;
	relay()->lost_at = AGO(2);
	relay()->lifetimes[0] = relay()->lifetimes[1] = relay()->lifetimes[2] = 2 * NS_PER_SEC;
}
static void duplicate_near(void)
{
	duplicate_fits();
	relay()->replaced = false;
}

static void cut_fits(void)
{
	relayed();
	relay()->lost_at = AGO(5);
	relay()->lifetimes[0] = 30 * NS_PER_SEC;
	relay()->lifetimes[1] = 31 * NS_PER_SEC;
	relay()->lifetimes[2] = 30 * NS_PER_SEC;
}
static void cut_near(void)
{
	cut_fits();
	relay()->lifetimes[1] = 55 * NS_PER_SEC;
}

static void stale_fits(void)
{
	relayed();
	relay()->check_failed = true;
	relay()->lost_at = AGO(10);
	relay()->since = AGO(9);
}
static void stale_down_near(void)
{
	stale_fits();
	relay()->up = false; /* nothing took its place: who knows whether it was the connection */
	relay()->unanswered = true;
}
static void stale_near(void)
{
	stale_fits();
	relay()->lost_at = AGO(100);
}

static void common_fits(void)
{
	stuck();
	w.device.relay_count = 2;
	w.device.relays[1] = (struct diagnosis_relay){.url = "rels://other.example:443", .since = AGO(2)};
	snprintf(w.device.relays[1].error, sizeof(w.device.relays[1].error),
		 "198.51.100.9:443: no answer within 5 s");
	snprintf(w.f.remote_relay, sizeof(w.f.remote_relay), "rels://other.example:443");
}
static void common_near(void)
{
	common_fits();
	w.device.relays[1].up = true;
}

static void absent_fits(void)
{
	stuck();
}
static void absent_near(void)
{
	stuck();
	relay()->since = AGO(5); /* it may not have been told yet */
}
static void ghost_fits(void)
{
	struct diagnosis_path *p;

	stuck();
	p = add_path(PATH_KIND_RELAY, PATH_CHECKING, "rels://relay.example:443");
	p->view.peer_online = true;
	p->view.last_proof = 0;
	p->view.pongs = 0;
}
static void ghost_near(void)
{
	ghost_fits();
	w.f.paths[0].view.last_proof = AGO(2);
}

static void unreachable_fits(void)
{
	no_relay();
}
static void unreachable_near(void)
{
	direct();
	relay()->up = false; /* who is reached directly misses no relay */
	snprintf(relay()->error, sizeof(relay()->error), "203.0.113.5:443: Connection refused");
}

static const struct rule_case cases[] = {
	{"relay-loop", relay_loop_fits, relay_loop_near, false},
	{"relay-name-loop", name_loop_fits, name_loop_near, false},
	{"relay-name", name_fits, name_near, false},
	{"relay-tls", tls_fits, tls_near, false},
	{"relay-token-expired", expired_fits, expired_near, false},
	{"relay-bad-token", bad_token_fits, bad_token_near, false},
	{"relay-wrong-secret", secret_fits, secret_near, false},
	{"relay-duplicate", duplicate_fits, duplicate_near, false},
	{"relay-cut", cut_fits, cut_near, true},
	{"relay-stale", stale_fits, stale_near, true},
	{"relay-stale", stale_fits, stale_down_near, true},
	{"no-common-relay", common_fits, common_near, false},
	{"relay-peer-absent", absent_fits, absent_near, false},
	{"relay-peer-absent", ghost_fits, ghost_near, false},
	{"relay-unreachable", unreachable_fits, unreachable_near, false},
};
#define CASES (sizeof(cases) / sizeof(cases[0]))

static void faults(void **state)
{
	(void)state;
	each_fault_is_the_first_verdict(cases, CASES);
}

static void nearest(void **state)
{
	(void)state;
	nearest_facts_have_another_verdict(cases, CASES);
}

static void complete(void **state)
{
	(void)state;
	every_rule_has_a_case(rules_relay, cases, CASES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(faults),
		cmocka_unit_test(nearest),
		cmocka_unit_test(complete),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
