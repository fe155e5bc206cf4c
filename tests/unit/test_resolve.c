/* Only numbers, which need no server, and a name that takes as long as the test wants. */
#include "tests/unit/test.h"

#include <dlfcn.h>
#include <netdb.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/resolve.h"

#define MANY 50

static struct loop *loop;
static struct resolver *resolver;
static int answers;

struct answer {
	int calls, error;
	bool found;
	char text[ADDRESS_TEXT];
	struct resolve_query *query;
};

static void on_answer(void *arg, const union address *found, int gai_error)
{
	struct answer *a = arg;

	answers++;
	a->calls++;
	a->error = gai_error;
	a->found = found != NULL;
	if (found)
		address_format(a->text, found);
	if (a->query)
		resolve_cancel(a->query); /* too late, but harmless */
}

static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER; /* guards the next three */
static pthread_cond_t moved = PTHREAD_COND_INITIALIZER;
static bool gate_open;
static int came, left; /* lookups of the slow name so far */

/* Stands before the C library's: "slow" waits at the gate, and then is 192.0.2.9; "both"
 * has an address of each family. */
int getaddrinfo(const char *host, const char *port, const struct addrinfo *hints, struct addrinfo **list)
{
	int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
	struct addrinfo numeric = *hints;

	*(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
	if (!strcmp(host, "both") && !(hints->ai_flags & AI_NUMERICHOST)) {
		numeric.ai_flags = AI_NUMERICHOST;
		return real("2001:db8::9", port, &numeric, list) ||
		       real("192.0.2.9", port, &numeric, &(*list)->ai_next);
	}
	if (strcmp(host, "slow") != 0 || hints->ai_flags & AI_NUMERICHOST)
		return real(host, port, hints, list);
	pthread_mutex_lock(&gate);
	came++;
	pthread_cond_broadcast(&moved);
	while (!gate_open)
		pthread_cond_wait(&moved, &gate);
	left++;
	pthread_cond_broadcast(&moved);
	pthread_mutex_unlock(&gate);
	numeric.ai_flags = AI_NUMERICHOST;
	return real("192.0.2.9", port, &numeric, list);
}

static void set_gate(bool open)
{
	pthread_mutex_lock(&gate);
	gate_open = open;
	if (!open)
		came = left = 0;
	pthread_cond_broadcast(&moved);
	pthread_mutex_unlock(&gate);
}

static void wait_until(const int *counter, int value)
{
	pthread_mutex_lock(&gate);
	while (*counter < value)
		pthread_cond_wait(&moved, &gate);
	pthread_mutex_unlock(&gate);
}

static void wait_for(int count)
{
	while (answers < count)
		loop_step(loop, true);
}

static int start(void **state)
{
	(void)state;
	answers = 0;
	loop = loop_new();
	resolver = resolver_new(loop);
	return 0;
}

static int stop(void **state)
{
	(void)state;
	resolver_free(resolver);
	loop_free(loop);
	return 0;
}

static void on_all(void *arg, const union address *found, size_t count, int gai_error)
{
	struct answer *a = arg;

	answers++;
	a->calls++;
	a->error = gai_error;
	for (size_t i = 0; i < count; i++)
		address_format(a[i].text, &found[i]);
	a->found = count == 2;
}

static void test_all(void **state)
{
	struct answer a[2] = {0}, none = {0};

	(void)state;
	resolve_all(resolver, "both", "7", on_all, a);
	wait_for(1);
	assert_true(a[0].found);
	assert_string_equal(a[0].text, "[2001:db8::9]:7");
	assert_string_equal(a[1].text, "192.0.2.9:7");
	resolve_all(resolver, "192.0.2.7", "no port", on_all, &none);
	wait_for(2);
	assert_int_not_equal(none.error, 0);
	assert_string_equal(none.text, "");
	/* Who asks for one gets the first. */
	resolve_start(resolver, "both", "7", on_answer, &none);
	wait_for(3);
	assert_string_equal(none.text, "[2001:db8::9]:7");
}

static void test_numbers(void **state)
{
	struct answer a[3] = {0};

	(void)state;
	resolve_start(resolver, "192.0.2.7", "51820", on_answer, &a[0]);
	resolve_start(resolver, "2001:db8::7", "1", on_answer, &a[1]);
	a[2].query = resolve_start(resolver, "127.0.0.1", "65535", on_answer, &a[2]);
	assert_int_equal(answers, 0); /* in the loop only */
	wait_for(3);
	assert_string_equal(a[0].text, "192.0.2.7:51820");
	assert_string_equal(a[1].text, "[2001:db8::7]:1");
	assert_string_equal(a[2].text, "127.0.0.1:65535");
	for (int i = 0; i < 3; i++) {
		assert_int_equal(a[i].calls, 1);
		assert_int_equal(a[i].error, 0);
	}
}

static void test_failure(void **state)
{
	struct answer a = {0};

	(void)state;
	resolve_start(resolver, "127.0.0.1", "no-such-service", on_answer, &a);
	wait_for(1);
	assert_false(a.found);
	assert_int_not_equal(a.error, 0);
}

static void test_many(void **state)
{
	static struct answer a[MANY];

	(void)state;
	for (int i = 0; i < MANY; i++)
		resolve_start(resolver, "192.0.2.1", "7", on_answer, &a[i]);
	wait_for(MANY);
	for (int i = 0; i < MANY; i++) {
		assert_int_equal(a[i].calls, 1);
		assert_string_equal(a[i].text, "192.0.2.1:7");
	}
}

/* Cancelled in every state that a query can be in: its callback stays silent, the others come. */
static void test_cancel(void **state)
{
	struct answer a[MANY] = {0};
	struct resolve_query *q[MANY];

	(void)state;
	for (int round = 0; round < 20; round++) {
		memset(a, 0, sizeof(a));
		answers = 0;
		for (int i = 0; i < MANY; i++)
			q[i] = resolve_start(resolver, "192.0.2.1", "7", on_answer, &a[i]);
		for (int i = 0; i < MANY; i += 2)
			resolve_cancel(q[i]);
		wait_for(MANY / 2);
		loop_step(loop, false);
		for (int i = 0; i < MANY; i++)
			assert_int_equal(a[i].calls, i % 2);
	}
	resolve_cancel(NULL);
}

static struct resolve_query *others[2]; /* each cancels the one that has not been answered yet */

static void cancel_other(void *arg, const union address *found, int gai_error)
{
	int own = (int)(uintptr_t)arg;

	assert_non_null(found);
	assert_int_equal(gai_error, 0);
	assert_non_null(others[own]);
	others[own] = NULL;
	resolve_cancel(others[!own]);
	others[!own] = NULL;
	answers++;
}

static void test_cancel_from_answer(void **state)
{
	(void)state;
	for (int round = 0; round < 20; round++) {
		answers = 0;
		for (uintptr_t i = 0; i < 2; i++)
			others[i] = resolve_start(resolver, "192.0.2.1", "7", cancel_other, (void *)i);
		wait_for(1);
		loop_step(loop, false);
		assert_int_equal(answers, 1);
	}
}

/* Freed with queries in all states, again and again. */
static void test_free_early(void **state)
{
	static struct answer a[MANY];

	(void)state;
	memset(a, 0, sizeof(a));
	for (int round = 0; round < 50; round++) {
		struct resolver *r = resolver_new(loop);

		for (int i = 0; i < round % 10 + 1; i++)
			resolve_start(r, "192.0.2.1", "7", on_answer, &a[i]);
		if (round % 3 == 0)
			loop_step(loop, false);
		answers = 0;
		resolver_free(r);
		loop_step(loop, false);
		assert_int_equal(answers, 0);
	}
	resolver_free(NULL);
}

static void free_from_answer(void *arg, const union address *found, int gai_error)
{
	on_answer(arg, found, gai_error);
	resolver_free(resolver);
	resolver = NULL;
}

static void test_free_from_answer(void **state)
{
	struct answer a = {0}, b = {0};

	(void)state;
	resolve_start(resolver, "192.0.2.1", "7", free_from_answer, &a);
	wait_for(1);
	resolver = resolver_new(loop);
	resolve_start(resolver, "192.0.2.1", "7", on_answer, &b);
	wait_for(2);
	assert_int_equal(a.calls + b.calls, 2);
}

/* Four lookups hang: the fifth waits its turn, and one that was cancelled meanwhile stays silent. */
static void test_slow(void **state)
{
	struct answer a[6] = {0};
	struct resolve_query *q[6];

	(void)state;
	set_gate(false);
	for (int i = 0; i < 6; i++)
		q[i] = resolve_start(resolver, "slow", "7", on_answer, &a[i]);
	wait_until(&came, 4);
	usleep(20000);
	pthread_mutex_lock(&gate);
	assert_int_equal(came, 4);
	pthread_mutex_unlock(&gate);
	for (int i = 0; i < 6; i += 5) /* a running one, and a waiting one */
		resolve_cancel(q[i]);
	set_gate(true);
	wait_for(4);
	for (int i = 0; i < 6; i++) {
		assert_int_equal(a[i].calls, i != 0 && i != 5);
		if (a[i].calls)
			assert_string_equal(a[i].text, "192.0.2.9:7");
	}
}

/* The owner goes while lookups hang: it does not wait for them, and they come back to nobody. */
static void test_free_while_slow(void **state)
{
	struct answer a = {0}, b = {0};

	(void)state;
	set_gate(false);
	for (int i = 0; i < 6; i++)
		resolve_start(resolver, "slow", "7", on_answer, &a);
	wait_until(&came, 4);
	resolver_free(resolver);
	resolver = NULL;
	set_gate(true);
	wait_until(&left, 4);
	usleep(50000); /* let them find out */
	resolver = resolver_new(loop);
	resolve_start(resolver, "192.0.2.1", "7", on_answer, &b);
	wait_for(1);
	assert_int_equal(a.calls, 0);
	assert_int_equal(b.calls, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_numbers, start, stop),
		cmocka_unit_test_setup_teardown(test_all, start, stop),
		cmocka_unit_test_setup_teardown(test_failure, start, stop),
		cmocka_unit_test_setup_teardown(test_many, start, stop),
		cmocka_unit_test_setup_teardown(test_cancel, start, stop),
		cmocka_unit_test_setup_teardown(test_cancel_from_answer, start, stop),
		cmocka_unit_test_setup_teardown(test_free_early, start, stop),
		cmocka_unit_test_setup_teardown(test_free_from_answer, start, stop),
		cmocka_unit_test_setup_teardown(test_slow, start, stop),
		cmocka_unit_test_setup_teardown(test_free_while_slow, start, stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
