/* The trie of allowed IPs: corner cases, a slow reference with random input, readers beside a writer. */
#include "test.h"

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>

#include "base/epoch.h"
#include "seeded.h"
#include "wg/allowedips.h"

/* The trie does not look inside. */
struct wg_peer {
	struct list entries;
};

#define PEERS 8

struct fixture {
	struct epoch *epoch;
	struct allowedips *trie;
	struct wg_peer peers[PEERS];
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->epoch = epoch_new();
	f->trie = allowedips_new(f->epoch);
	for (unsigned i = 0; i < PEERS; i++)
		list_init(&f->peers[i].entries);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	allowedips_free(f->trie);
	for (unsigned i = 0; i < PEERS; i++)
		assert_true(list_empty(&f->peers[i].entries));
	epoch_free(f->epoch);
	free(f);
	return 0;
}

/* "10.0.0.0/8" or "2001:db8::/32" */
static int parse(const char *text, uint8_t addr[16], unsigned *prefix)
{
	int family = strchr(text, ':') ? AF_INET6 : AF_INET;
	char copy[64], *slash;

	snprintf(copy, sizeof(copy), "%s", text);
	slash = strchr(copy, '/');
	if (slash) {
		*slash = '\0';
		*prefix = (unsigned)strtoul(slash + 1, NULL, 10);
	}
	assert_int_equal(inet_pton(family, copy, addr), 1);
	return family;
}

static int insert(struct fixture *f, const char *text, unsigned peer, struct wg_peer **previous)
{
	uint8_t addr[16];
	unsigned prefix;
	int family = parse(text, addr, &prefix);

	return allowedips_insert(f->trie, family, addr, prefix, &f->peers[peer], &f->peers[peer].entries,
				 previous);
}

static void allow(struct fixture *f, const char *text, unsigned peer)
{
	assert_int_equal(insert(f, text, peer, NULL), 0);
}

static int disallow(struct fixture *f, const char *text, unsigned peer)
{
	uint8_t addr[16];
	unsigned prefix;
	int family = parse(text, addr, &prefix);

	return allowedips_remove(f->trie, family, addr, prefix, &f->peers[peer]);
}

static int owner(struct fixture *f, const char *text)
{
	uint8_t addr[16];
	int family = parse(text, addr, NULL);
	struct wg_peer *p = allowedips_lookup(f->trie, family, addr);

	return p ? (int)(p - f->peers) : -1;
}

static void test_longest_prefix_wins(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(owner(f, "10.0.0.1"), -1);
	allow(f, "192.168.4.0/24", 0);
	allow(f, "192.168.4.4/32", 1);
	allow(f, "192.168.0.0/16", 2);
	allow(f, "192.95.5.64/27", 3);
	allow(f, "192.95.5.65/27", 2); /* the same prefix: taken over */
	allow(f, "0.0.0.0/0", 4);
	allow(f, "64.15.112.0/20", 5);
	allow(f, "64.15.123.211/25", 6);
	assert_int_equal(owner(f, "192.168.4.20"), 0);
	assert_int_equal(owner(f, "192.168.4.4"), 1);
	assert_int_equal(owner(f, "192.168.200.182"), 2);
	assert_int_equal(owner(f, "192.95.5.68"), 2);
	assert_int_equal(owner(f, "192.95.5.96"), 4);
	assert_int_equal(owner(f, "64.15.116.26"), 5);
	assert_int_equal(owner(f, "64.15.128.0"), 4);
	assert_int_equal(owner(f, "64.15.123.128"), 6);
	assert_int_equal(owner(f, "64.15.123.127"), 5);
	assert_int_equal(owner(f, "255.255.255.255"), 4);
	assert_int_equal(owner(f, "::1"), -1);
	assert_int_equal(allowedips_count(f->trie), 7);
}

static void test_ipv6(void **state)
{
	struct fixture *f = *state;

	allow(f, "2607:5300:60:6b0::/64", 0);
	allow(f, "2607:5300:60:6b0::c05f:543/128", 1);
	allow(f, "2607:5300::/32", 2);
	allow(f, "::/0", 3);
	allow(f, "2607:5300:60:6b0::c05f:542/127", 4);
	assert_int_equal(owner(f, "2607:5300:60:6b0::c05f:543"), 1);
	assert_int_equal(owner(f, "2607:5300:60:6b0::c05f:542"), 4);
	assert_int_equal(owner(f, "2607:5300:60:6b0::c02e:1ee"), 0);
	assert_int_equal(owner(f, "2607:5300:60:6b1::"), 2);
	assert_int_equal(owner(f, "2607:5301::"), 3);
	assert_int_equal(owner(f, "10.0.0.1"), -1);
}

static void test_every_prefix_length(void **state)
{
	struct fixture *f = *state;
	static const uint8_t ones[16] = {255, 255, 255, 255, 255, 255, 255, 255,
					 255, 255, 255, 255, 255, 255, 255, 255};

	for (unsigned pass = 0; pass < 2; pass++) {
		int family = pass ? AF_INET6 : AF_INET;
		unsigned width = pass ? 128 : 32;

		for (unsigned prefix = 0; prefix <= width; prefix++)
			assert_int_equal(allowedips_insert(f->trie, family, ones, prefix,
							   &f->peers[prefix % PEERS],
							   &f->peers[prefix % PEERS].entries, NULL),
					 0);
		/* An address that differs first in bit n belongs to the prefix of length n. */
		for (unsigned n = 0; n <= width; n++) {
			uint8_t addr[16];

			memcpy(addr, ones, sizeof(addr));
			if (n < width)
				addr[n / 8] ^= (uint8_t)(0x80 >> n % 8);
			assert_ptr_equal(allowedips_lookup(f->trie, family, addr), &f->peers[n % PEERS]);
		}
		/* From the shortest up; the rest goes on. */
		for (unsigned prefix = 0; prefix < width; prefix++) {
			assert_int_equal(
				allowedips_remove(f->trie, family, ones, prefix, &f->peers[prefix % PEERS]),
				0);
			assert_ptr_equal(allowedips_lookup(f->trie, family, ones), &f->peers[width % PEERS]);
		}
	}
	assert_int_equal(allowedips_count(f->trie), 2);
}

static void test_moves_and_tells_from_whom(void **state)
{
	struct fixture *f = *state;
	struct wg_peer *previous = &f->peers[7];

	assert_int_equal(insert(f, "10.1.2.3/16", 0, &previous), 0);
	assert_null(previous);
	assert_int_equal(insert(f, "10.1.0.0/16", 0, &previous), 0);
	assert_null(previous); /* it was this peer's already */
	assert_int_equal(insert(f, "10.1.255.0/16", 1, &previous), 0);
	assert_ptr_equal(previous, &f->peers[0]);
	assert_true(list_empty(&f->peers[0].entries));
	assert_int_equal(owner(f, "10.1.9.9"), 1);
	assert_int_equal(allowedips_count(f->trie), 1);
}

static void test_refuses(void **state)
{
	struct fixture *f = *state;
	const uint8_t addr[16] = {10};
	struct wg_peer *p = &f->peers[0];

	assert_int_equal(allowedips_insert(f->trie, AF_INET, addr, 33, p, &p->entries, NULL), -EINVAL);
	assert_int_equal(allowedips_insert(f->trie, AF_INET6, addr, 129, p, &p->entries, NULL), -EINVAL);
	assert_int_equal(allowedips_insert(f->trie, AF_UNIX, addr, 8, p, &p->entries, NULL), -EINVAL);
	assert_int_equal(allowedips_remove(f->trie, AF_INET, addr, 33, p), -EINVAL);
	assert_null(allowedips_lookup(f->trie, AF_UNIX, addr));
	assert_int_equal(allowedips_count(f->trie), 0);

	allow(f, "10.0.0.0/8", 0);
	allow(f, "10.0.0.0/24", 1);
	allow(f, "10.128.0.0/9", 2);
	assert_int_equal(disallow(f, "10.0.0.0/8", 1), -ENOENT);  /* another's */
	assert_int_equal(disallow(f, "10.0.0.0/16", 0), -ENOENT); /* no such entry */
	assert_int_equal(disallow(f, "10.0.0.0/9", 0), -ENOENT);
	assert_int_equal(disallow(f, "11.0.0.0/8", 0), -ENOENT);
	assert_int_equal(allowedips_remove(f->trie, AF_INET, addr, 9, NULL),
			 -ENOENT); /* a branch has no owner */
	assert_int_equal(allowedips_count(f->trie), 3);
	assert_int_equal(disallow(f, "10.0.0.0/8", 0), 0);
	assert_int_equal(owner(f, "10.1.0.0"), -1);
	assert_int_equal(owner(f, "10.0.0.7"), 1);
	assert_int_equal(owner(f, "10.200.0.0"), 2);
}

struct listing {
	char text[1024];
};

static void note(void *arg, int family, const uint8_t *addr, unsigned prefix)
{
	struct listing *l = arg;
	size_t used = strlen(l->text);
	char name[INET6_ADDRSTRLEN];

	inet_ntop(family, addr, name, sizeof(name));
	snprintf(l->text + used, sizeof(l->text) - used, "%s/%u ", name, prefix);
}

static void test_lists_a_peers_own(void **state)
{
	struct fixture *f = *state;
	struct listing l = {""};

	allow(f, "10.7.7.7/8", 0);
	allow(f, "10.0.0.0/9", 1);
	allow(f, "2001:db8::ffff/64", 0);
	allow(f, "0.0.0.0/0", 0);
	allow(f, "::/0", 1);
	allow(f, "10.9.9.9/8", 0); /* again: stays where it is */
	allowedips_each(&f->peers[0].entries, note, &l);
	assert_string_equal(l.text, "10.0.0.0/8 2001:db8::/64 0.0.0.0/0 ");
	allowedips_remove_all(f->trie, &f->peers[0].entries);
	l.text[0] = '\0';
	allowedips_each(&f->peers[0].entries, note, &l);
	allowedips_each(&f->peers[1].entries, note, &l);
	assert_string_equal(l.text, "10.0.0.0/9 ::/0 ");
	assert_int_equal(owner(f, "10.200.0.1"), -1);
	assert_int_equal(owner(f, "10.1.0.1"), 1);
	assert_int_equal(owner(f, "2001:db8::1"), 1);
}

/* ---- random input against a list that is searched from end to end ---- */

#define MODEL_MAX 400

struct model {
	struct {
		int family;
		uint8_t addr[16];
		unsigned prefix, peer;
	} entries[MODEL_MAX];
	unsigned count;
};

static bool same_bits(const uint8_t *a, const uint8_t *b, unsigned bits)
{
	for (unsigned i = 0; i < bits; i++)
		if ((a[i / 8] ^ b[i / 8]) & 0x80 >> i % 8)
			return false;
	return true;
}

static int model_find(const struct model *m, int family, const uint8_t *addr, unsigned prefix)
{
	for (unsigned i = 0; i < m->count; i++)
		if (m->entries[i].family == family && m->entries[i].prefix == prefix &&
		    same_bits(m->entries[i].addr, addr, prefix))
			return (int)i;
	return -1;
}

static int model_owner(const struct model *m, int family, const uint8_t *addr)
{
	int best = -1;

	for (unsigned i = 0; i < m->count; i++)
		if (m->entries[i].family == family &&
		    same_bits(m->entries[i].addr, addr, m->entries[i].prefix) &&
		    (best < 0 || m->entries[i].prefix > m->entries[best].prefix))
			best = (int)i;
	return best < 0 ? -1 : (int)m->entries[best].peer;
}

static void model_drop(struct model *m, unsigned i)
{
	m->entries[i] = m->entries[--m->count];
}

/* Few different bits, so that prefixes meet, nest and collide. */
static int random_prefix(uint8_t addr[16], unsigned *prefix)
{
	static const unsigned lengths[] = {0, 1, 3, 8, 15, 16, 17, 24, 27, 30, 31, 32};
	bool six = seeded_below(2);
	uint64_t bits = seeded_next();

	memset(addr, 0, 16);
	for (unsigned i = 0; i < (six ? 16u : 4u); i++)
		addr[i] = (uint8_t)((bits >> i & 1) * 0x81 + (bits >> (i + 16) & 1) * 0x10);
	*prefix = lengths[seeded_below(sizeof(lengths) / sizeof(lengths[0]))];
	if (six)
		*prefix = seeded_below(2) ? 128 - *prefix : *prefix * 4;
	return six ? AF_INET6 : AF_INET;
}

static void random_step(struct fixture *f, struct model *m)
{
	unsigned prefix, peer = (unsigned)seeded_below(PEERS), what = (unsigned)seeded_below(100);
	struct wg_peer *p = &f->peers[peer], *previous;
	uint8_t addr[16];
	int family = random_prefix(addr, &prefix), at = model_find(m, family, addr, prefix);

	if (what < 60 && (at >= 0 || m->count < MODEL_MAX)) {
		int before = at >= 0 && m->entries[at].peer != peer ? (int)m->entries[at].peer : -1;

		assert_int_equal(allowedips_insert(f->trie, family, addr, prefix, p, &p->entries, &previous),
				 0);
		assert_int_equal(previous ? (int)(previous - f->peers) : -1, before);
		if (at < 0)
			at = (int)m->count++;
		m->entries[at].family = family;
		m->entries[at].prefix = prefix;
		m->entries[at].peer = peer;
		memcpy(m->entries[at].addr, addr, 16);
	} else if (what < 98) {
		bool there = at >= 0 && (m->entries[at].peer == peer || what < 80);

		if (at >= 0 && there)
			p = &f->peers[m->entries[at].peer];
		assert_int_equal(allowedips_remove(f->trie, family, addr, prefix, p), there ? 0 : -ENOENT);
		if (there)
			model_drop(m, (unsigned)at);
	} else {
		allowedips_remove_all(f->trie, &p->entries);
		assert_true(list_empty(&p->entries));
		for (unsigned i = m->count; i-- > 0;)
			if (m->entries[i].peer == peer)
				model_drop(m, i);
	}
	assert_int_equal(allowedips_count(f->trie), m->count);
	assert_true(allowedips_nodes(f->trie) <= 2 * m->count);
}

static void count_entry(void *arg, int family, const uint8_t *addr, unsigned prefix)
{
	(void)family;
	(void)addr;
	(void)prefix;
	++*(unsigned *)arg;
}

static void test_against_reference(void **state)
{
	struct fixture *f = *state;
	struct model *m = calloc(1, sizeof(*m));

	seeded_start("allowedips");
	for (unsigned step = 0; step < 20000; step++) {
		random_step(f, m);
		for (unsigned i = 0; i < 4; i++) {
			uint8_t addr[16];
			unsigned ignored;
			int family = random_prefix(addr, &ignored);
			struct wg_peer *p = allowedips_lookup(f->trie, family, addr);

			assert_int_equal(p ? (int)(p - f->peers) : -1, model_owner(m, family, addr));
		}
		if (step % 500 == 0)
			epoch_reclaim(f->epoch);
	}
	for (unsigned i = 0; i < PEERS; i++) {
		unsigned listed = 0, expected = 0;

		allowedips_each(&f->peers[i].entries, count_entry, &listed);
		for (unsigned j = 0; j < m->count; j++)
			expected += m->entries[j].peer == i;
		assert_int_equal(listed, expected);
	}
	free(m);
}

/* As many entries as one large configuration of wg(8)'s tests has. */
static void test_130560_entries(void **state)
{
	struct fixture *f = *state;
	uint8_t addr[4] = {10};

	for (unsigned i = 0; i < 130560; i++) {
		addr[1] = (uint8_t)(i >> 16);
		addr[2] = (uint8_t)(i >> 8);
		addr[3] = (uint8_t)i;
		assert_int_equal(allowedips_insert(f->trie, AF_INET, addr, 32, &f->peers[i % PEERS],
						   &f->peers[i % PEERS].entries, NULL),
				 0);
	}
	assert_int_equal(allowedips_count(f->trie), 130560);
	for (unsigned i = 0; i < 130560; i++) {
		addr[1] = (uint8_t)(i >> 16);
		addr[2] = (uint8_t)(i >> 8);
		addr[3] = (uint8_t)i;
		assert_ptr_equal(allowedips_lookup(f->trie, AF_INET, addr), &f->peers[i % PEERS]);
	}
	for (unsigned i = 0; i < PEERS; i++)
		allowedips_remove_all(f->trie, &f->peers[i].entries);
	assert_int_equal(allowedips_count(f->trie), 0);
	assert_int_equal(allowedips_nodes(f->trie), 0);
	assert_int_equal(owner(f, "10.0.0.1"), -1);
}

/* ---- readers beside a writer ---- */

#define READERS 2

struct reader {
	struct fixture *f;
	struct epoch_reader *slot;
	atomic_bool *stop;
	atomic_uint turns;
	unsigned wrong, seen;
};

/* While the writer works, 10.0.0.0/8 is always peer 0's, 10.5.0.0/16 goes back and forth between 1 and 2, and
 * what is below 10.6.0.0 comes and goes as peer 3's. */
static void *read_on(void *arg)
{
	static const uint8_t five[4] = {10, 5, 1, 1}, seven[4] = {10, 7, 1, 1};
	struct reader *r = arg;
	struct wg_peer *peers = r->f->peers;
	uint8_t six[4] = {10, 6, 0, 0};

	do {
		struct wg_peer *p;

		epoch_enter(r->f->epoch, r->slot);
		for (unsigned i = 0; i < 64; i++) {
			six[2] = (uint8_t)(r->seen >> 3);
			six[3] = (uint8_t)(r->seen++ << 3);
			p = allowedips_lookup(r->f->trie, AF_INET, five);
			r->wrong += p != &peers[1] && p != &peers[2];
			p = allowedips_lookup(r->f->trie, AF_INET, six);
			r->wrong += p != &peers[0] && p != &peers[3];
			p = allowedips_lookup(r->f->trie, AF_INET, seven);
			r->wrong += p != &peers[0];
		}
		epoch_exit(r->slot);
		atomic_fetch_add(&r->turns, 1);
	} while (!atomic_load(r->stop));
	return NULL;
}

static void test_readers_beside_a_writer(void **state)
{
	struct fixture *f = *state;
	struct reader readers[READERS];
	pthread_t threads[READERS];
	atomic_bool stop = false;
	char text[32];

	seeded_start("allowedips, readers");
	allow(f, "10.0.0.0/8", 0);
	allow(f, "10.5.0.0/16", 1);
	for (unsigned i = 0; i < READERS; i++) {
		readers[i] = (struct reader){.f = f, .slot = epoch_reader_add(f->epoch), .stop = &stop};
		assert_int_equal(pthread_create(&threads[i], NULL, read_on, &readers[i]), 0);
	}
	for (unsigned i = 0; i < READERS; i++)
		while (!atomic_load(&readers[i].turns))
			sched_yield();
	for (unsigned step = 0; step < 30000; step++) {
		unsigned n = (unsigned)seeded_below(65536);

		snprintf(text, sizeof(text), "10.6.%u.%u/%u", n >> 8, n & 255, 20 + n % 13);
		if (seeded_below(3))
			allow(f, text, 3);
		else
			disallow(f, text, 3);
		if (step % 100 == 0)
			allowedips_remove_all(f->trie, &f->peers[3].entries);
		allow(f, "10.5.0.0/16", 1 + step % 2);
		if (step % 16 == 0)
			epoch_reclaim(f->epoch);
	}
	atomic_store(&stop, true);
	for (unsigned i = 0; i < READERS; i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(readers[i].wrong, 0);
	}
}

/* What was told, as text: "+" covers, "-" is near. */
struct told {
	char text[512];
	struct fixture *f;
};

static void tell(void *arg, struct wg_peer *peer, const uint8_t *addr, unsigned prefix, bool covers)
{
	struct told *t = arg;
	char text[INET6_ADDRSTRLEN];
	size_t len = strlen(t->text);

	inet_ntop(t->text[0] == '6' ? AF_INET6 : AF_INET, addr, text, sizeof(text));
	snprintf(t->text + len, sizeof(t->text) - len, " %c%s/%u:%td", covers ? '+' : '-', text, prefix,
		 peer - t->f->peers);
}

static void expect_around(struct fixture *f, const char *address, unsigned near, const char *expected)
{
	struct told t = {.f = f};
	uint8_t addr[16];
	unsigned prefix;
	int family = parse(address, addr, &prefix);

	t.text[0] = family == AF_INET6 ? '6' : '4';
	allowedips_around(f->trie, family, addr, near, tell, &t);
	assert_string_equal(t.text + 1, expected);
}

static void test_around(void **state)
{
	struct fixture *f = *state;

	expect_around(f, "10.0.0.1", 4, "");
	allow(f, "0.0.0.0/0", 0);
	allow(f, "10.0.0.0/8", 1);
	allow(f, "10.1.2.0/24", 2);
	allow(f, "10.1.2.8/32", 3);
	allow(f, "10.1.3.0/24", 4);
	allow(f, "192.0.2.0/24", 5);
	/* Shortest first; the deeper beside the way, the nearer. */
	expect_around(f, "10.1.2.8", 0, " +0.0.0.0/0:0 +10.0.0.0/8:1 +10.1.2.0/24:2 +10.1.2.8/32:3");
	expect_around(f, "10.1.2.9", 2,
		      " +0.0.0.0/0:0 +10.0.0.0/8:1 +10.1.2.0/24:2 -10.1.2.8/32:3 -10.1.3.0/24:4");
	expect_around(f, "11.0.0.1", 1, " +0.0.0.0/0:0 -10.0.0.0/8:1");
	expect_around(
		f, "192.0.3.1", 9,
		" +0.0.0.0/0:0 -192.0.2.0/24:5 -10.0.0.0/8:1 -10.1.2.0/24:2 -10.1.2.8/32:3 -10.1.3.0/24:4");
	allow(f, "2001:db8::/32", 6);
	expect_around(f, "2001:db9::1", 4, " -2001:db8::/32:6");
	expect_around(f, "2001:db8::1", 4, " +2001:db8::/32:6");
	/* Bounded, however many there are. */
	for (unsigned i = 0; i < 2000; i++) {
		char text[32];

		snprintf(text, sizeof(text), "172.16.%u.%u/32", i / 250, i % 250);
		allow(f, text, 7);
	}
	expect_around(f, "172.17.0.0", 1, " +0.0.0.0/0:0 -172.16.0.0/32:7");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_longest_prefix_wins, setup, teardown),
		cmocka_unit_test_setup_teardown(test_ipv6, setup, teardown),
		cmocka_unit_test_setup_teardown(test_every_prefix_length, setup, teardown),
		cmocka_unit_test_setup_teardown(test_moves_and_tells_from_whom, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refuses, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lists_a_peers_own, setup, teardown),
		cmocka_unit_test_setup_teardown(test_against_reference, setup, teardown),
		cmocka_unit_test_setup_teardown(test_130560_entries, setup, teardown),
		cmocka_unit_test_setup_teardown(test_readers_beside_a_writer, setup, teardown),
		cmocka_unit_test_setup_teardown(test_around, setup, teardown),
	};

	return cmocka_run_group_tests_name("allowedips", tests, NULL, NULL);
}
