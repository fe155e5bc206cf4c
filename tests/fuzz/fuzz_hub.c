/* A relay's hub with a handful of sessions: messages, time, reading and leaving in any order; what was queued
 * adds up. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "relay/hub.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SESSIONS 6

static struct session *sessions[SESSIONS];
static bool cut[SESSIONS];

static size_t slot_of(const struct session *s)
{
	return (size_t)((struct session **)s->owner - sessions);
}

static void on_writable(void *arg, struct session *s)
{
	(void)arg, (void)s;
}

static void on_close(void *arg, struct session *s)
{
	(void)arg;
	assert(s->reason);
	cut[slot_of(s)] = true;
}

static void on_pause(void *arg, struct session *s, bool pause)
{
	(void)arg;
	assert(s->paused == pause);
}

static void leave(struct hub *h, size_t i, uint64_t now)
{
	struct session *s = sessions[i];

	sessions[i] = NULL;
	cut[i] = false;
	hub_remove(h, s, HUB_LOST, now);
}

/* Ids of two bytes' choice, so that sessions meet. */
static void name(struct relay_id *id, uint8_t n)
{
	memset(id, 0, sizeof(*id));
	memcpy(id->bytes, "sha-", 4);
	id->bytes[4] = n % 5;
}

static size_t login(uint8_t *out, const struct relay_secret *secret, uint8_t n)
{
	uint8_t token[RELAY_TOKEN_MAX];
	struct relay_id id;
	int len = relay_token_make(secret, 2000000000, token);

	name(&id, n);
	return (size_t)relay_put_auth(out, RELAY_AUTH_MAX, &id, token, (size_t)len);
}

static size_t compose(uint8_t *out, const struct relay_secret *secret, uint8_t kind, const uint8_t *data,
		      size_t size)
{
	struct relay_id id;

	name(&id, size ? data[0] : 0);
	switch (kind % 6) {
	case 0:
		return login(out, secret, size ? data[0] : 0);
	case 1:
		return (size_t)relay_put_list(out, 64, RELAY_SUBSCRIBE, &id, 1);
	case 2:
		return (size_t)relay_put_list(out, 64, RELAY_UNSUBSCRIBE, &id, 1);
	case 3:
		relay_put_transport(out, &id);
		memset(out + RELAY_TRANSPORT_LEN, kind, kind * 4u);
		return RELAY_TRANSPORT_LEN + kind * 4u;
	case 4:
		return (size_t)relay_put_simple(out, 2, RELAY_HEALTH_CHECK);
	default:
		if (size)
			memcpy(out, data, size);
		return size;
	}
}

static void step(struct hub *h, const struct relay_secret *secret, struct instant *now, const uint8_t *data,
		 size_t size)
{
	static uint8_t message[2048], frames[32768];
	size_t i = data[0] % SESSIONS;

	now->boot += (uint64_t)data[1] * data[1] * 2 * NS_PER_MS;
	hub_run(h, now->boot);
	if (sessions[i] && cut[i])
		leave(h, i, now->boot);
	if (!sessions[i])
		sessions[i] = hub_add(h, &sessions[i], "192.0.2.1:1", now->boot);
	switch (data[2] % 5) {
	case 0:
		hub_fill(h, sessions[i], frames, data[3] * 128u);
		return;
	case 1:
		if (data[3] == 1)
			leave(h, i, now->boot);
		return;
	default:
		if (!hub_take(h, sessions[i], message, compose(message, secret, data[3], data + 4, size),
			      *now))
			leave(h, i, now->boot);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct hub_settings settings = {.clients_max = 4,
					      .rate = 20000,
					      .queue_bytes = 3000,
					      .memory_bytes = 5000,
					      .subscriptions = 3,
					      .login_ns = 10 * NS_PER_SEC,
					      .health_ns = 25 * NS_PER_SEC,
					      .answer_ns = 20 * NS_PER_SEC};
	const struct hub_ops ops = {on_writable, on_close, on_pause, NULL};
	struct instant now = {.boot = 1, .wall = 1000000000ull * NS_PER_SEC};
	struct hub *h = hub_new(&settings, &ops);
	struct relay_secret secret;

	log_set_level(LOG_ERROR);
	relay_secret_set(&secret, "s", 1);
	hub_set_secret(h, &secret);
	hub_set_url(h, "rel://x");
	while (size >= 8) {
		size_t queued = 0, logged_in = 0;

		step(h, &secret, &now, data, 4);
		for (size_t i = 0; i < SESSIONS; i++) {
			queued += sessions[i] ? sessions[i]->transport_bytes : 0;
			logged_in += sessions[i] && sessions[i]->logged_in;
		}
		assert(queued == h->queued_bytes && queued <= 5100);
		assert(logged_in == hub_clients(h) && logged_in <= 4);
		data += 8;
		size -= 8;
	}
	for (size_t i = 0; i < SESSIONS; i++)
		if (sessions[i])
			leave(h, i, now.boot);
	assert(!h->queued_bytes && !map_count(h->topics) && !map_count(h->subscriptions));
	hub_free(h);
	return 0;
}
