/*
 * Two devices on a wire that loses, doubles, delays and reorders, while clocks jump, ends restart, drain,
 * move and are told to shake hands. Whatever happens: no packet is accepted twice, initiations keep their
 * distance, and once the wire is good again the tunnel is up within 20 seconds of traffic. A failure prints
 * its seed: WEIR_TEST_SEED runs it again.
 */
#include "tests/unit/wg_rig.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/primitives.h"
#include "tests/unit/seeded.h"

#define SCHEDULES 500 /* WEIR_TEST_SCHEDULES sets another number */
#define ACTIONS	  60

struct weather {
	unsigned loss, doubled, late; /* per mille */
	unsigned forced[2];	      /* initiations that need not keep the distance */
	unsigned starts[2];
};

static bool chance(unsigned per_mille)
{
	return seeded_below(1000) < per_mille;
}

static void carry(struct rig *r, struct node *from, const union address *to, const uint8_t *data, size_t len)
{
	struct weather *w = r->filter_arg;
	unsigned copies = 1 + chance(w->doubled);

	while (copies--) {
		uint64_t delay = r->latency + seeded_below(MS(3));

		if (chance(w->loss))
			continue;
		if (chance(w->late))
			delay += seeded_below(SECONDS(10));
		rig_carry(r, &from->address, to, data, len, delay);
	}
}

static void restart(struct rig *r, struct node *n, struct weather *w)
{
	/* The floor is on disk, so the clock may be anywhere. */
	node_kill(n);
	if (chance(500))
		rig_run(r, seeded_below(SECONDS(30)));
	node_start(n, chance(700));
	wg_up(n->d, r->now);
	n->initiation_count = 0;
	w->forced[n->number] = 0;
	w->starts[n->number]++;
}

static void move(struct rig *r, struct node *n)
{
	(void)r;
	n->address = address_of(1 + n->number, (uint16_t)(1000 + seeded_below(60000)));
}

static void act(struct rig *r, struct weather *w)
{
	struct node *n = &r->n[seeded_below(2)];

	switch (seeded_below(14)) {
	case 0:
		restart(r, n, w);
		break;
	case 1:
		wg_peer_drain(n->peer, r->now, WG_REASON_user);
		w->forced[n->number] += 2; /* the next packet out, or in */
		break;
	case 2:
		wg_peer_handshake(n->peer, r->now, WG_REASON_user, true);
		w->forced[n->number]++;
		break;
	case 3:
		wg_peer_handshake(n->peer, r->now, WG_REASON_user, false);
		break;
	case 4:
		r->now.wall += seeded_below(2) ? SECONDS(86400) : -SECONDS(86400);
		break;
	case 5:
		move(r, n);
		break;
	case 6:
		w->loss = (unsigned)seeded_below(4) * 300;
		break;
	case 7:
		w->doubled = (unsigned)seeded_below(300);
		w->late = (unsigned)seeded_below(200);
		break;
	case 8:
		node_point(n, &node_other(n)->address);
		w->forced[n->number]++;
		break;
	case 9:
		rig_run(r, seeded_below(SECONDS(200)));
		break;
	case 10:
		wg_peer_set_keepalive(n->peer, (uint16_t)seeded_below(30), r->now);
		break;
	default:
		for (uint64_t i = seeded_below(20); i--;)
			node_send(n, 24 + seeded_below(1000));
		break;
	}
	rig_run(r, seeded_below(chance(300) ? SECONDS(20) : MS(500)));
}

/* Initiations closer together than REKEY_TIMEOUT are only those that something forced. */
static void check_distances(const struct node *n, unsigned forced)
{
	unsigned close = 0, count = n->initiation_count < 256 ? n->initiation_count : 256;

	for (unsigned i = 1; i < count; i++)
		close += n->initiations[i] - n->initiations[i - 1] < REKEY_TIMEOUT;
	assert_in_range(close, 0, forced + n->events[WG_EVENT_UNKNOWN_INDEX]);
}

static void check_duplicates(const struct node *n)
{
	for (unsigned i = 0; i < PACKETS; i++)
		assert_in_range(n->came[i], 0, 1);
}

/* Both ways, one packet each 100 ms, until one came through each way that was sent just now. */
static bool heals(struct rig *r)
{
	for (unsigned i = 0; i < 200; i++) {
		unsigned x = node_send(&r->n[0], 100), y = node_send(&r->n[1], 100);

		rig_run(r, MS(100));
		if (r->n[1].came[x] && r->n[0].came[y])
			return true;
	}
	return false;
}

static void run_schedule(uint64_t seed)
{
	struct weather w = {0};
	struct rig *r;

	seeded_state = seed;
	r = rig_new();
	r->filter_arg = &w;
	r->carrier = carry;
	rig_up(r);
	for (unsigned i = 0; i < ACTIONS; i++)
		act(r, &w);
	/* The network heals. Somebody must know where somebody is. */
	w.loss = w.doubled = w.late = 0;
	for (unsigned i = 0; i < 2; i++) {
		node_point(&r->n[i], &r->n[1 - i].address);
		w.forced[i]++;
	}
	if (!heals(r))
		fail_msg("not up 20 s after the network healed: WEIR_TEST_SEED=%" PRIu64, seed);
	for (unsigned i = 0; i < 2; i++) {
		check_duplicates(&r->n[i]);
		check_distances(&r->n[i], w.forced[i]);
	}
	rig_free(r);
}

static uint64_t running;

static void schedules_hold_the_invariants(void **state)
{
	const char *given = getenv("WEIR_TEST_SCHEDULES");
	unsigned n = getenv("WEIR_TEST_SEED") ? 1 : given ? (unsigned)atoi(given) : SCHEDULES;
	uint64_t seed;

	(void)state;
	seeded_start("test_wg_sim");
	seed = seeded_state;
	for (unsigned i = 0; i < n; i++) {
		running = seed + i;
		run_schedule(running);
	}
	running = 0;
}

static int tell_seed(void **state)
{
	(void)state;
	if (running)
		printf("failed with WEIR_TEST_SEED=%" PRIu64 "\n", running);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(schedules_hold_the_invariants, tell_seed),
	};

	crypto_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
