/* The life of one server in the pool: dialled, logged in, up, lost, dialled again. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/xalloc.h"
#include "crypto/primitives.h"
#include "relay/pool_internal.h"

#define HEALTH_TIMEOUT (70 * NS_PER_SEC) /* the server speaks every 25 s; two missed, and some grace */
#define IDLE_TIMEOUT   (30 * NS_PER_SEC)
#define REFUSED_MIN    (5 * NS_PER_SEC)
#define REFUSED_MAX    (60 * NS_PER_SEC)
#define LOST_JITTER    (150 * NS_PER_MS) /* many clients lose a server in the same instant */
#define LEAVE_JITTER   (800 * NS_PER_MS) /* and it is about to end when it says so */
/* Logged in, and closed again by the server within this time, so often: another host has the same key (F39).
 */
#define SHORT_LIFE	 (15 * NS_PER_SEC)
#define SHORT_LIFE_LATER (120 * NS_PER_SEC) /* once that is known, and both come back slowly */
#define SHORT_LIVES	 3
#define SHORT_LIVES_MUTE 6 /* where it takes no leave: a server that crashes looks alike */

/*
 * For TLS and the upgrade, and for the answer to the login, in ms. A connection that fell into a hole repeats
 * itself ever more seldom (RFC 6298 5.5), while a fresh one gets through as soon as packets pass. So little
 * at first; a server or a way that is only slow gets more with each try, in the end what the protocol's other
 * clients wait.
 */
static const unsigned handshake_limits[] = {1500, 2500, 5000}, login_limits[] = {1500, 3000, 8000};
#define LIMITS (sizeof(login_limits) / sizeof(login_limits[0]))

static const char same_key[] = "another host logs in with the same key";

static uint64_t random_below(uint64_t limit)
{
	uint64_t r;

	crypto_random(&r, sizeof(r));
	return limit ? r % limit : 0;
}

/* How long the server may take for what is asked of it now. */
static unsigned limit_ms(const struct server *s)
{
	unsigned i = s->slow < LIMITS ? s->slow : LIMITS - 1;

	return s->state == RELAY_LOGGING_IN ? login_limits[i] : handshake_limits[i];
}

static void arm(struct server *s)
{
	uint64_t at = s->idle_deadline;

	if (s->state == RELAY_WAITING)
		at = earlier(at, s->next_try);
	if (s->session)
		at = earlier(earlier(at, s->deadline), s->check_deadline);
	loop_timer_set(s->timer, at);
}

static void enter(struct server *s, enum relay_state state)
{
	if (s->state != state)
		s->since = clock_boot_ns();
	s->state = state;
	pool_changed(s);
}

/* ---- what comes to an end ---- */

static void end_session(struct server *s)
{
	dial_cancel(s->dial);
	s->dial = NULL;
	s->check_deadline = 0;
	if (!s->session)
		return;
	relay_queue_close(&s->queue);
	transport_close(s->pool->transport, s->session);
	s->session = NULL;
	list_for_each (at, &s->subscription_list)
		container_of(at, struct subscription, link)->online = false;
}

void pool_server_drop(struct server *s, const char *why)
{
	end_session(s);
	s->idle_deadline = 0;
	snprintf(s->error, sizeof(s->error), "%s", why);
	if (s->state != RELAY_IDLE)
		enter(s, RELAY_IDLE);
	arm(s);
	pool_lost(s);
}

/* The next try, from `from` on, or nothing more if nobody wants it. */
static void try_again(struct server *s, uint64_t from, uint64_t delay, const char *why)
{
	uint64_t now = clock_boot_ns();
	bool news = s->state == RELAY_UP || strcmp(s->error, why) != 0;

	end_session(s);
	snprintf(s->error, sizeof(s->error), "%s", why);
	if (news) /* a server that is down for an hour is not worth a thousand lines */
		log_info("relay", "%s: %s", s->name, s->error);
	s->next_try = from + delay > now ? from + delay : now;
	enter(s, RELAY_WAITING);
	pool_lost(s);
	if (!pool_wants(s))
		pool_server_drop(s, why);
	arm(s);
}

static void fail_network(struct server *s, enum relay_failure kind, const char *why)
{
	static const uint64_t delays[] = {0, NS_PER_SEC / 2, NS_PER_SEC, 2 * NS_PER_SEC};
	unsigned last = sizeof(delays) / sizeof(delays[0]) - 1;
	uint64_t delay = delays[s->failures < last ? s->failures : last];

	/* Measured from the start of the dial: one that waited for its timeout has waited enough. Jitter only
	 * shortens. */
	s->failures++;
	s->short_lives = 0;
	s->failure = kind;
	try_again(s, s->dial_started, delay - random_below(delay / 4), why);
}

static void fail_refused(struct server *s, enum relay_failure kind, const char *why)
{
	uint64_t delay = REFUSED_MIN << (s->refusals < 4 ? s->refusals : 4);

	if (delay > REFUSED_MAX)
		delay = REFUSED_MAX;
	s->refusals++;
	s->failure = kind;
	try_again(s, clock_boot_ns(), delay - random_below(delay / 4), why);
}

static void fail(struct server *s, enum relay_failure kind, const char *why, bool refused)
{
	if (refused)
		fail_refused(s, kind, why);
	else
		fail_network(s, kind, why);
}

/* A connection that was up ends: how, and how long it lived. */
static void end_life(struct server *s, enum relay_failure how)
{
	uint64_t now = clock_boot_ns();

	memmove(s->lifetimes + 1, s->lifetimes, sizeof(s->lifetimes) - sizeof(s->lifetimes[0]));
	s->lifetimes[0] = now - s->since;
	s->lost = s->failure = how;
	s->lost_at = now;
}

/* It was up, and is no more. `theirs`: the server closed the connection, or it broke. */
static void lose(struct server *s, const char *why, bool theirs, bool said_close)
{
	uint64_t now = clock_boot_ns(), life = now - s->since;
	unsigned most = said_close ? SHORT_LIVES : SHORT_LIVES_MUTE;

	end_life(s, theirs ? RELAY_FAILURE_ENDED : RELAY_FAILURE_SILENT);
	/* Some servers take leave of the one whose place is taken, some just close. */
	if (!theirs || life >= (s->short_lives >= most ? SHORT_LIFE_LATER : SHORT_LIFE))
		s->short_lives = 0;
	else if (++s->short_lives >= most && said_close) {
		log_warn("relay", "%s: logged in %u times in a row and closed at once: %s", s->name,
			 s->short_lives, same_key);
		s->refusals = s->short_lives - most;
		s->lost = RELAY_FAILURE_REPLACED;
		fail_refused(s, RELAY_FAILURE_REPLACED, same_key);
		return;
	}
	/* Without a word from the server it may as well crash, or our public address change: said, but no
	 * reason to wait. */
	if (s->short_lives >= most)
		why = "the connection ends soon after each login: the server crashes, our address changes, "
		      "or another host logs in with the same key";
	s->failures = 0;
	try_again(s, now, random_below(said_close ? LEAVE_JITTER : LOST_JITTER), why);
}

void pool_server_restart(struct server *s, enum relay_failure how, const char *why)
{
	if (s->state == RELAY_UP) {
		end_life(s, how);
		s->failures = 0;
		try_again(s, clock_boot_ns(), 0, why);
	}
	if (s->state != RELAY_IDLE)
		pool_server_dial(s);
}

/* ---- dialling ---- */

static void begin_session(struct server *s, const struct dial_result *r)
{
	struct relay_session *session = xcalloc(1, sizeof(*session));

	session->server = s->index;
	session->generation = s->logins + 1;
	session->serial = ++s->pool->serial;
	session->fd = r->fd;
	session->remote = r->used;
	session->url = s->url;
	session->queue = &s->queue;
	session->arg = s;
	if (s->pool->options.pin)
		snprintf(session->pin, sizeof(session->pin), "%s", s->pool->options.pin);
	s->session = session;
	s->dialled = r->used;
	if (getsockname(r->fd, &s->local.sa, &(socklen_t){sizeof(s->local)}))
		s->local.sa.sa_family = AF_UNSPEC;
	s->deadline = clock_boot_ns() + limit_ms(s) * NS_PER_MS;
	transport_start(s->pool->transport, session);
	arm(s);
}

static void on_dialled(void *arg, const struct dial_result *r)
{
	struct server *s = arg;

	s->dial = NULL;
	if (r->fd >= 0)
		begin_session(s, r);
	else
		fail(s, r->failure, r->error, r->refused);
	pool_tell(s->pool);
}

void pool_server_dial(struct server *s)
{
	const struct relay_pool_options *o = &s->pool->options;
	struct dial_target target = {
		.host = s->url.host,
		.port = s->url.port,
		.last_good = s->last_good,
		.fwmark = o->fwmark,
		.bind_not = o->bind_not,
		.foreign = s->foreign,
	};

	end_session(s);
	s->dial_started = clock_boot_ns();
	enter(s, RELAY_DIALLING);
	if (!relay_proxy_choose(&target.proxy, o->proxy, s->url.host, s->url.tls)) {
		fail_refused(s, RELAY_FAILURE_HTTP, "the proxy is set to what is no http://HOST:PORT");
		return;
	}
	s->proxied = target.proxy.host[0] != '\0';
	if (s->proxied)
		target.last_good = (union address){0};
	s->dial = dial_start(s->pool->loop, s->pool->resolver, &target, on_dialled, s);
	crypto_wipe(&target.proxy, sizeof(target.proxy));
	arm(s);
}

/* ---- logging in ---- */

static void say(struct server *s, const uint8_t *message, size_t len)
{
	inbox_seen(s->session, true, message, len);
	transport_send(s->pool->transport, s->session, message, len);
}

static void log_in(struct server *s)
{
	uint8_t token[RELAY_TOKEN_MAX], message[RELAY_AUTH_MAX];
	int len = pool_token(s->pool, token);

	snprintf(s->certificate, sizeof(s->certificate), "%s", s->session->tls.certificate);
	if (len <= 0) {
		fail_refused(s, RELAY_FAILURE_CREDENTIALS,
			     "there is neither a secret nor a token to log in with");
		return;
	}
	len = relay_put_auth(message, sizeof(message), &s->pool->own_id, token, (size_t)len);
	say(s, message, (size_t)len);
	crypto_wipe(token, sizeof(token));
	crypto_wipe(message, sizeof(message));
	enter(s, RELAY_LOGGING_IN);
	s->deadline = clock_boot_ns() + limit_ms(s) * NS_PER_MS;
	arm(s);
}

static void subscribe_all(struct server *s)
{
	static const size_t most = RELAY_LIST_MAX;
	uint8_t message[RELAY_MESSAGE_MAX];
	struct relay_id ids[RELAY_LIST_MAX];
	size_t count = 0;
	int len;

	list_for_each (at, &s->subscription_list) {
		ids[count++] = container_of(at, struct subscription, link)->id;
		if (count < most && at->next != &s->subscription_list)
			continue;
		len = relay_put_list(message, sizeof(message), RELAY_SUBSCRIBE, ids, count);
		say(s, message, (size_t)len);
		count = 0;
	}
}

static void keep_instance(struct server *s, const struct relay_message *m)
{
	struct relay_url url;

	s->instance[0] = '\0';
	if (m->len >= sizeof(s->instance) || memchr(m->data, '\0', m->len))
		return;
	memcpy(s->instance, m->data, m->len);
	s->instance[m->len] = '\0';
	if (!relay_url_parse(&url, s->instance))
		s->instance[0] = '\0';
}

static void logged_in(struct server *s, const struct relay_message *m)
{
	keep_instance(s, m);
	s->logins = s->session->generation;
	s->opened++;
	s->failures = 0;
	s->refusals = 0;
	s->slow = 0;
	s->error[0] = '\0';
	s->failure = RELAY_FAILURE_NONE;
	if (!s->proxied)
		s->last_good = s->dialled;
	s->deadline = clock_boot_ns() + HEALTH_TIMEOUT;
	relay_queue_open(&s->queue, s->session->serial);
	enter(s, RELAY_UP);
	log_info("relay", "%s: logged in%s%s", s->name, s->instance[0] ? " at " : "", s->instance);
	subscribe_all(s);
	arm(s);
	pool_logged_in(s);
	pool_server_rethink(s);
}

/* ---- what the server says ---- */

static void take_presence(struct server *s, const struct relay_message *m, bool online)
{
	const struct relay_session *session = s->session;
	const struct relay_pool_ops *ops = &s->pool->ops;
	struct subscription *sub;
	struct relay_id id;
	bool news;

	pool_tell(s->pool); /* that it is up comes first */
	for (size_t i = 0; i < m->count && s->session == session; i++) {
		memcpy(id.bytes, m->data + i * RELAY_ID_LEN, RELAY_ID_LEN);
		sub = map_get(s->subscriptions, id.bytes);
		if (!sub)
			continue;
		news = sub->online != online;
		sub->online = online;
		/* That a peer comes is told once per request. So ask again, which also mends an answer that
		 * was overtaken by an older one: it says at once if the peer is there. */
		if (!online && news)
			pool_server_subscribe(s, RELAY_SUBSCRIBE, &id);
		ops->presence(ops->arg, s->index, session->generation, &id, online);
	}
}

static void take_message(struct server *s, const uint8_t *bytes, size_t len)
{
	struct relay_message m;

	if (relay_parse(bytes, len, &m) != RELAY_OK)
		return;
	if (m.type == RELAY_CLOSE) {
		if (s->state == RELAY_UP)
			lose(s, "the relay server takes leave", true, true);
		else
			fail_network(s, RELAY_FAILURE_LOGIN, "the relay server takes leave");
	} else if (s->state == RELAY_LOGGING_IN && m.type == RELAY_AUTH_RESPONSE) {
		logged_in(s, &m);
	} else if (s->state == RELAY_UP && m.type == RELAY_HEALTH_CHECK) {
		s->deadline = clock_boot_ns() + HEALTH_TIMEOUT;
		arm(s);
	} else if (s->state == RELAY_UP && (m.type == RELAY_PEERS_ONLINE || m.type == RELAY_PEERS_OFFLINE)) {
		take_presence(s, &m, m.type == RELAY_PEERS_ONLINE);
	}
}

static void take_pong(struct server *s, uint64_t rtt)
{
	const struct relay_pool_ops *ops = &s->pool->ops;

	s->rtt = rtt ? rtt : 1;
	if (!s->check_deadline)
		return;
	s->check_deadline = 0;
	arm(s);
	pool_changed(s);
	pool_tell(s->pool);
	ops->checked(ops->arg, s->index, s->logins, true, s->rtt);
}

static void refused_login(struct server *s)
{
	const struct relay_pool_options *o = &s->pool->options;
	uint64_t now = clock_wall_ns() / NS_PER_SEC, expiry = 0;
	enum relay_failure kind = RELAY_FAILURE_LOGIN;
	char words[sizeof(s->error)] = "refused after login: token expired or wrong secret";

	/* A token that we were given says itself when it ends; whether it is genuine only the server knows.
	 */
	for (size_t i = 1 + HASH_LEN; !o->has_secret && i < o->token_len; i++)
		expiry = expiry * 10 + (uint64_t)(o->token[i] - '0');
	if (o->has_secret)
		snprintf(words, sizeof(words), "refused after login: wrong secret, or a clock is wrong");
	else if (expiry && expiry < now) {
		kind = RELAY_FAILURE_EXPIRED;
		snprintf(words, sizeof(words), "refused after login: the token expired %llu min ago",
			 (unsigned long long)(now - expiry) / 60);
	}
	fail_refused(s, kind, words);
}

static void take_end(struct server *s, const struct relay_session *session)
{
	char why[sizeof(session->error)];

	snprintf(why, sizeof(why), "%s", session->error);
	snprintf(s->certificate, sizeof(s->certificate), "%s", session->tls.certificate);
	if (s->state == RELAY_UP)
		lose(s, why, true, session->said_close);
	else if (s->state == RELAY_LOGGING_IN)
		refused_login(s);
	else
		fail(s, session->failure ? session->failure : RELAY_FAILURE_NETWORK, why, session->refused);
}

void pool_server_handle(struct server *s, const struct event *e)
{
	switch (e->kind) {
	case EVENT_OPENED:
		log_in(s);
		break;
	case EVENT_MESSAGE:
		take_message(s, e->bytes, e->len);
		break;
	case EVENT_PONG:
		take_pong(s, e->rtt);
		break;
	case EVENT_CLOSED:
		take_end(s, e->session);
		break;
	}
}

/* ---- time ---- */

static void check_failed(struct server *s)
{
	const struct relay_pool_ops *ops = &s->pool->ops;
	uint32_t generation = s->logins;

	s->check_deadline = 0;
	lose(s, "a check went unanswered", false, false);
	pool_tell(s->pool);
	ops->checked(ops->arg, s->index, generation, false, 0);
}

static void too_late(struct server *s)
{
	const char *to = s->state == RELAY_LOGGING_IN ? "the login" : s->url.tls ? "TLS or HTTP" : "HTTP";
	char why[80];

	if (s->state == RELAY_UP) {
		lose(s, "no sign of life for 70 s", false, false);
		return;
	}
	snprintf(why, sizeof(why), "no answer to %s within %.1f s", to, limit_ms(s) / 1000.0);
	s->slow++;
	fail_network(s, RELAY_FAILURE_NETWORK, why);
}

static void on_timer(void *arg)
{
	struct server *s = arg;
	uint64_t now = clock_boot_ns();

	if (s->state == RELAY_WAITING && now >= s->next_try)
		pool_server_dial(s);
	else if (s->session && s->check_deadline && now >= s->check_deadline)
		check_failed(s);
	else if (s->session && now >= s->deadline)
		too_late(s);
	else if (s->idle_deadline && now >= s->idle_deadline)
		pool_server_drop(s, "");
	else
		arm(s);
	pool_tell(s->pool);
}

void pool_server_check(struct server *s, uint64_t timeout)
{
	if (s->state != RELAY_UP)
		return;
	if (!s->check_deadline)
		transport_ping(s->pool->transport, s->session);
	s->check_deadline = earlier(s->check_deadline, clock_boot_ns() + timeout);
	arm(s);
}

void pool_server_rethink(struct server *s)
{
	if (pool_wants(s)) {
		s->idle_deadline = 0;
		if (s->state == RELAY_IDLE)
			pool_server_dial(s);
	} else if (s->state == RELAY_UP) {
		if (!s->idle_deadline)
			s->idle_deadline = clock_boot_ns() + IDLE_TIMEOUT;
	} else if (s->state != RELAY_IDLE) {
		pool_server_drop(s, "");
	}
	arm(s);
}

void pool_server_subscribe(struct server *s, enum relay_type type, const struct relay_id *id)
{
	uint8_t message[2 + RELAY_ID_LEN];
	int len = relay_put_list(message, sizeof(message), type, id, 1);

	if (s->state == RELAY_UP)
		say(s, message, (size_t)len);
}

/* ---- */

void pool_server_status(const struct server *s, struct relay_status *out)
{
	*out = (struct relay_status){
		.state = s->state,
		.generation = s->logins + (s->state == RELAY_DIALLING || s->state == RELAY_LOGGING_IN),
		.home = s->pool->home == s->index,
		.failure = s->failure,
		.refusals = s->refusals,
		.address = s->dialled,
		.lost = s->lost,
		.lost_at = s->lost_at,
		.since = s->since,
		.rtt = s->rtt,
		.next_try = s->state == RELAY_WAITING ? s->next_try : 0,
		.rx_packets = counter_get(&s->rx_packets),
		.rx_bytes = counter_get(&s->rx_bytes),
		.tx_packets = counter_get(&s->queue.packets),
		.tx_bytes = counter_get(&s->queue.payload_bytes),
		.dropped = counter_get(&s->queue.dropped),
		.opened = s->opened,
		.holders = s->holders,
		.tls = s->url.tls,
	};
	memcpy(out->lifetimes, s->lifetimes, sizeof(out->lifetimes));
	snprintf(out->url, sizeof(out->url), "%s", s->name);
	snprintf(out->instance, sizeof(out->instance), "%s", s->instance);
	snprintf(out->error, sizeof(out->error), "%s", s->error);
	snprintf(out->peer_certificate, sizeof(out->peer_certificate), "%s", s->certificate);
}

struct server *pool_server_new(struct relay_pool *p, uint32_t index)
{
	struct server *s = xcalloc(1, sizeof(*s));

	s->pool = p;
	s->index = index;
	s->since = clock_boot_ns();
	s->subscriptions = map_new(RELAY_ID_LEN);
	list_init(&s->subscription_list);
	s->timer = loop_timer_new(p->loop, on_timer, s);
	relay_queue_init(&s->queue);
	return s;
}

void pool_server_free(struct server *s)
{
	list_for_each_safe (at, &s->subscription_list)
		free(container_of(at, struct subscription, link));
	map_free(s->subscriptions);
	dial_cancel(s->dial);
	loop_timer_free(s->timer);
	relay_queue_clear(&s->queue);
	free(s);
}
