/* A pool with a loop of its own, and what its callbacks said; for tests against a script. */
#ifndef WEIR_TESTS_RELAY_CLIENT_H
#define WEIR_TESTS_RELAY_CLIENT_H

#include "test.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/xalloc.h"
#include "crypto/primitives.h"
#include "relay/pool.h"
#include "relay_script.h"

#define PATIENCE (60 * NS_PER_SEC)

struct client {
	struct loop *loop;
	struct relay_pool *pool;
	struct relay_id id;
	struct relay_status last; /* of any server */
	unsigned tells, ups, online, offline, checked_alive, checked_dead, out_of_order;
	uint32_t presence_generation, check_generation;
	/* From the I/O thread. */
	atomic_uint received, received_generation;
	char newest[64]; /* written before `received` grows */
	struct relay_id from;
};

static void on_server(void *arg, uint32_t server, const struct relay_status *s)
{
	struct client *c = arg;

	(void)server;
	c->last = *s;
	c->tells++;
	if (s->state == RELAY_UP)
		c->ups++;
}

static void on_presence(void *arg, uint32_t server, uint32_t generation, const struct relay_id *peer,
			bool online)
{
	struct client *c = arg;
	struct relay_status s;

	(void)peer;
	assert_true(relay_pool_look(c->pool, server, &s));
	if (s.state != RELAY_UP || s.generation != generation || !c->ups)
		c->out_of_order++;
	c->presence_generation = generation;
	if (online)
		c->online++;
	else
		c->offline++;
}

static void on_receive(void *arg, uint32_t server, uint32_t generation, const struct relay_id *from,
		       uint8_t *data, size_t len)
{
	struct client *c = arg;

	(void)server;
	snprintf(c->newest, sizeof(c->newest), "%.*s", (int)len, (char *)data);
	c->from = *from;
	atomic_store(&c->received_generation, generation);
	atomic_fetch_add(&c->received, 1);
}

static void on_checked(void *arg, uint32_t server, uint32_t generation, bool alive, uint64_t rtt)
{
	struct client *c = arg;

	(void)server;
	c->check_generation = generation;
	if (alive) {
		assert_true(rtt > 0);
		c->checked_alive++;
	} else {
		c->checked_dead++;
	}
}

static inline struct client *client_with(struct relay_pool_options *o, const char *name)
{
	struct client *c = xcalloc(1, sizeof(*c));
	const struct relay_pool_ops ops = {on_server, on_presence, on_receive, on_checked, NULL, c};
	struct error e;

	blake2s_256(o->public_key.bytes, name, strlen(name), NULL, 0);
	relay_id_of(&c->id, &o->public_key);
	c->loop = loop_new();
	c->pool = relay_pool_new(c->loop, o, &ops, &e);
	assert_non_null(c->pool);
	return c;
}

static inline struct client *client_new(const char *name)
{
	struct relay_pool_options o = {.has_secret = true};

	relay_secret_set(&o.secret, "secret", 6);
	return client_with(&o, name);
}

static inline void client_free(struct client *c)
{
	relay_pool_free(c->pool);
	loop_free(c->loop);
	free(c);
}

/* Steps the loops until it is true; a test that waits in vain fails. */
#define until_true(condition, ...)                                                                           \
	do {                                                                                                 \
		struct client *clients_[] = {__VA_ARGS__, NULL};                                             \
		uint64_t end_ = clock_boot_ns() + PATIENCE;                                                  \
		while (!(condition)) {                                                                       \
			for (int i_ = 0; clients_[i_]; i_++)                                                 \
				loop_step(clients_[i_]->loop, false);                                        \
			usleep(500);                                                                         \
			if (clock_boot_ns() > end_)                                                          \
				fail_msg("in vain: %s (state %s, error %s)", #condition,                     \
					 relay_state_name(clients_[0]->last.state),                          \
					 clients_[0]->last.error);                                           \
		}                                                                                            \
	} while (0)

static inline void run_for(struct client *c, uint64_t ns)
{
	uint64_t end = clock_boot_ns() + ns;

	while (clock_boot_ns() < end) {
		loop_step(c->loop, false);
		usleep(500);
	}
}

static inline struct relay_status look(const struct client *c, uint32_t server)
{
	struct relay_status s;

	assert_true(relay_pool_look(c->pool, server, &s));
	return s;
}

static inline uint32_t add(struct client *c, const struct script *s)
{
	char url[RELAY_URL_MAX];
	uint32_t server;

	script_url(s, url);
	server = relay_pool_server(c->pool, url);
	assert_int_not_equal(server, RELAY_NONE);
	return server;
}

static inline bool is_up(const struct client *c, uint32_t server)
{
	return look(c, server).state == RELAY_UP;
}

static inline uint32_t go_up(struct client *c, const struct script *s)
{
	uint32_t server = add(c, s);

	relay_pool_hold(c->pool, server);
	until_true(is_up(c, server), c);
	return server;
}

/* What surrounds the test must not decide where it connects to. */
static inline int forget_proxies(void **state)
{
	(void)state;
	unsetenv("http_proxy");
	unsetenv("HTTP_PROXY");
	unsetenv("https_proxy");
	unsetenv("HTTPS_PROXY");
	return crypto_init();
}

#endif
