#include "relay/hub.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/xalloc.h"
#include "crypto/primitives.h"

#define FRAME_HEADER_MAX 4		  /* no message needs the 64-bit length */
#define CONTROL_MAX	 (512 * 1024)	  /* what is not read of presence and health: then it will not be */
#define CLOSING_NS	 (2 * NS_PER_SEC) /* for a Close message to go out */
#define BURST_MIN	 (4 * RELAY_MESSAGE_MAX) /* a rate limit lets so much pass at once */
#define DUEL_NS		 (60 * NS_PER_SEC)
#define DUEL_COUNT	 3	    /* replacements within that time */
#define LINES_EACH	 NS_PER_SEC /* log lines of logins and ends */
#define LINES_BURST	 50

struct hub_message {
	struct hub_message *next;
	uint32_t len; /* with the frame's header */
	uint32_t room;
	bool transport;
	uint8_t frame[];
};

static const struct {
	const char *name, *text;
} reasons[HUB_REASONS] = {
	[HUB_OPEN] = {"open", "open"},
	[HUB_BY_CLIENT] = {"by_client", "the client closed it"},
	[HUB_LOST] = {"lost", "the connection was lost"},
	[HUB_NO_UPGRADE] = {"no_upgrade", "it did not become a WebSocket at /relay"},
	[HUB_NO_LOGIN] = {"no_login", "no login in time"},
	[HUB_NOT_LOGGED_IN] = {"not_logged_in", "its first message was no Auth message"},
	[HUB_TOKEN_MALFORMED] = {"token_malformed", "its token is malformed"},
	[HUB_TOKEN_WRONG] = {"token_wrong", "its token was made with another secret"},
	[HUB_TOKEN_EXPIRED] = {"token_expired", "its token has expired"},
	[HUB_NOT_ALLOWED] = {"not_allowed", "its key is not in the list of those that may log in"},
	[HUB_FULL] = {"full", "no more clients may log in (--max-clients)"},
	[HUB_EMPTY] = {"empty", "it sent an empty message"},
	[HUB_BAD_VERSION] = {"bad_version", "it sent a message of an unknown version"},
	[HUB_BAD_TYPE] = {"bad_type", "it sent a message of a type that is not for servers"},
	[HUB_BAD_LENGTH] = {"bad_length", "it sent a message of a wrong length"},
	[HUB_BAD_MAGIC] = {"bad_magic", "its Auth message lacks the magic number"},
	[HUB_TEXT] = {"text", "it sent a text message"},
	[HUB_FRAGMENTED] = {"fragmented", "it sent a message in fragments"},
	[HUB_TOO_LONG] = {"too_long", "it sent a message that is too long"},
	[HUB_SILENT] = {"silent", "it did not answer a health check"},
	[HUB_NOT_READING] = {"not_reading", "it does not read what it is sent"},
	[HUB_SUBSCRIPTIONS] = {"subscriptions", "it subscribed to too many peers"},
	[HUB_REPLACED] = {"replaced", "the same key logged in again"},
	[HUB_DRAINED] = {"drained", "the server is ending"},
};

const char *hub_reason_name(enum hub_reason r)
{
	return reasons[r].name;
}

/* ---- the hub ---- */

struct hub *hub_new(const struct hub_settings *settings, const struct hub_ops *ops)
{
	struct hub *h = xcalloc(1, sizeof(*h));

	h->settings = *settings;
	h->ops = *ops;
	list_init(&h->sessions);
	h->clients = map_new(RELAY_ID_LEN);
	h->topics = map_new(RELAY_ID_LEN);
	h->subscriptions = map_new(sizeof(uint64_t) + RELAY_ID_LEN);
	return h;
}

void hub_free(struct hub *h)
{
	if (!h)
		return;
	map_free(h->clients);
	map_free(h->topics);
	map_free(h->subscriptions);
	map_free(h->allowed);
	heap_clear(&h->timers);
	crypto_wipe(&h->secret, sizeof(h->secret));
	free(h);
}

void hub_set_secret(struct hub *h, const struct relay_secret *secret)
{
	h->secret = *secret;
}

void hub_set_allowed(struct hub *h, struct map *allowed)
{
	map_free(h->allowed);
	h->allowed = allowed;
}

void hub_set_url(struct hub *h, const char *url)
{
	snprintf(h->url, sizeof(h->url), "%s", url);
}

size_t hub_clients(const struct hub *h)
{
	return map_count(h->clients);
}

/* A hostile crowd must not fill the disk: so many lines a second, the others are counted only. */
static bool may_log(struct hub *h, uint64_t now)
{
	return log_allowed(&h->lines, now, LINES_EACH, LINES_BURST);
}

/* ---- queues ---- */

static size_t frame_header(uint8_t *out, size_t len)
{
	out[0] = 0x82; /* final, binary */
	if (len < 126) {
		out[1] = (uint8_t)len;
		return 2;
	}
	out[1] = 126;
	out[2] = (uint8_t)(len >> 8);
	out[3] = (uint8_t)len;
	return 4;
}

static struct hub_message *message_new(size_t len, size_t room)
{
	struct hub_message *m = xmalloc(sizeof(*m) + FRAME_HEADER_MAX + room);

	m->next = NULL;
	m->room = (uint32_t)room;
	m->transport = false;
	m->len = (uint32_t)(frame_header(m->frame, len) + len);
	return m;
}

static uint8_t *message_body(struct hub_message *m)
{
	return m->frame + (m->frame[1] == 126 ? 4 : 2);
}

static void append(struct hub *h, struct session *s, struct hub_message *m)
{
	if (s->last)
		s->last->next = m;
	else
		s->first = m;
	s->last = m;
	if (m->transport) {
		s->transport_bytes += m->len;
		h->queued_bytes += m->len;
	} else {
		s->control_bytes += m->len;
	}
	if (s->first == m)
		h->ops.writable(h->ops.arg, s);
}

static void take_first(struct hub *h, struct session *s)
{
	struct hub_message *m = s->first;

	s->first = m->next;
	if (!s->first)
		s->last = NULL;
	if (m->transport) {
		s->transport_bytes -= m->len;
		h->queued_bytes -= m->len;
	} else {
		s->control_bytes -= m->len;
	}
	free(m);
}

static void drop_queue(struct hub *h, struct session *s)
{
	while (s->first)
		take_first(h, s);
}

static void set_timer(struct hub *h, struct session *s)
{
	uint64_t at = earlier(earlier(s->cut_at, s->health_next), s->resume_at);

	if (at)
		heap_set(&h->timers, &s->timer, at);
	else
		heap_remove(&h->timers, &s->timer);
}

/* Ends a session from outside of its own callback. */
static void cut(struct hub *h, struct session *s, enum hub_reason reason)
{
	hub_fault(s, reason);
	s->closing = true;
	s->cut_at = s->health_next = s->resume_at = 0;
	set_timer(h, s);
	h->ops.close(h->ops.arg, s);
}

static bool hub_queue(struct hub *h, struct session *s, const uint8_t *message, size_t len)
{
	struct hub_message *m;

	if (s->closing)
		return true;
	if (s->control_bytes + len > CONTROL_MAX) {
		cut(h, s, HUB_NOT_READING);
		return false;
	}
	m = message_new(len, len);
	memcpy(message_body(m), message, len);
	append(h, s, m);
	return true;
}

/* Facts of the same kind share a message as long as nothing came between them. */
bool hub_queue_fact(struct hub *h, struct session *s, enum relay_type type, const struct relay_id *id)
{
	const size_t list_max = 2 + RELAY_LIST_MAX * RELAY_ID_LEN;
	struct hub_message *m = s->last, *grown;
	uint8_t list[2 + RELAY_ID_LEN], *body;
	size_t len;

	if (s->closing)
		return true;
	if (m && !m->transport && message_body(m)[1] == type) {
		body = message_body(m);
		len = m->len - (size_t)(body - m->frame);
		if (len + RELAY_ID_LEN <= list_max && len + RELAY_ID_LEN <= m->room &&
		    s->control_bytes + RELAY_ID_LEN <= CONTROL_MAX) {
			size_t header = (size_t)(body - m->frame);

			memcpy(body + len, id, RELAY_ID_LEN);
			len += RELAY_ID_LEN;
			if (len >= 126 && header == 2)
				memmove(m->frame + 4, body, len);
			s->control_bytes -= m->len;
			m->len = (uint32_t)(frame_header(m->frame, len) + len);
			s->control_bytes += m->len;
			return true;
		}
	}
	if (s->control_bytes + sizeof(list) > CONTROL_MAX) {
		cut(h, s, HUB_NOT_READING);
		return false;
	}
	relay_put_list(list, sizeof(list), type, id, 1);
	/* Room for the next ones only where others wait already: most facts are alone. */
	grown = message_new(sizeof(list), s->first ? 2 + 32 * RELAY_ID_LEN : sizeof(list));
	memcpy(message_body(grown), list, sizeof(list));
	append(h, s, grown);
	return true;
}

size_t hub_fill(struct hub *h, struct session *s, uint8_t *out, size_t size)
{
	size_t used = 0;

	while (s->first && used + s->first->len <= size) {
		memcpy(out + used, s->first->frame, s->first->len);
		used += s->first->len;
		if (s->first->transport) {
			s->tx_packets++;
			s->tx_bytes += s->first->len;
		}
		take_first(h, s);
	}
	return used;
}

bool hub_waits(const struct session *s)
{
	return s->first;
}

/* ---- sessions ---- */

struct session *hub_add(struct hub *h, void *owner, const char *address, uint64_t now)
{
	struct session *s = xcalloc(1, sizeof(*s));

	s->owner = owner;
	s->number = ++h->numbers;
	s->since = now;
	s->cut_at = now + h->settings.login_ns;
	snprintf(s->address, sizeof(s->address), "%s", address);
	list_init(&s->subscriptions);
	list_append(&h->sessions, &s->link);
	h->session_count++;
	h->counts.connections++;
	set_timer(h, s);
	return s;
}

void hub_fault(struct session *s, enum hub_reason reason)
{
	if (!s->reason)
		s->reason = reason;
}

static const char *short_id(char out[RELAY_ID_TEXT], const struct relay_id *id)
{
	relay_id_print(out, id);
	out[12] = '\0';
	return out;
}

static void log_end(struct hub *h, const struct session *s, uint64_t now)
{
	char id[RELAY_ID_TEXT];

	if (!may_log(h, now))
		return;
	if (s->logged_in || s->reason == HUB_REPLACED)
		log_info("relay", "%s logged out, %s, after %llu s: %s", short_id(id, &s->id), s->address,
			 (unsigned long long)((now - s->since) / NS_PER_SEC), reasons[s->reason].text);
	else if (s->reason != HUB_NO_UPGRADE)
		log_info("relay", "%s was refused: %s", s->address, reasons[s->reason].text);
}

void hub_remove(struct hub *h, struct session *s, enum hub_reason reason, uint64_t now)
{
	hub_fault(s, reason);
	h->counts.ended[s->reason]++;
	log_end(h, s, now);
	drop_queue(h, s);
	hub_forget(h, s);
	heap_remove(&h->timers, &s->timer);
	list_remove(&s->link);
	h->session_count--;
	if (s->logged_in) {
		map_remove(h->clients, &s->id);
		hub_announce(h, &s->id, false);
	}
	free(s);
}

/* The last words to a client, which replace all that waits. */
static void say_close(struct hub *h, struct session *s, enum hub_reason reason, uint64_t deadline)
{
	uint8_t message[2];

	if (s->closing)
		return;
	hub_fault(s, reason);
	drop_queue(h, s);
	relay_put_simple(message, sizeof(message), RELAY_CLOSE);
	hub_queue(h, s, message, sizeof(message));
	s->closing = true;
	s->health_next = s->resume_at = 0;
	s->cut_at = deadline;
	set_timer(h, s);
}

/* ---- login ---- */

static void note_duel(struct hub *h, struct session *s, const struct session *older, uint64_t now)
{
	char id[RELAY_ID_TEXT];

	memcpy(s->rival, older->address, sizeof(s->rival));
	s->replaced_at = now;
	s->replacements =
		older->replaced_at && now - older->replaced_at < DUEL_NS ? older->replacements + 1 : 1;
	if (s->replacements < DUEL_COUNT)
		return;
	h->counts.duels++;
	if (s->replacements % DUEL_COUNT == 0 && may_log(h, now))
		log_warn("relay",
			 "two hosts use the key of %s: %s and %s replace each other (%u times in a row); "
			 "give one of them "
			 "a key of its own",
			 short_id(id, &s->id), s->address, older->address, s->replacements);
}

/* The newer session takes the place of the older; nobody is told that the peer went offline, for it did not.
 */
static void replace(struct hub *h, struct session *s, struct session *older, uint64_t now)
{
	note_duel(h, s, older, now);
	h->counts.replaced++;
	older->logged_in = false;
	hub_forget(h, older);
	say_close(h, older, HUB_REPLACED, now + CLOSING_NS);
}

static enum hub_reason token_reason(enum relay_token t)
{
	switch (t) {
	case RELAY_TOKEN_GOOD:
		return HUB_OPEN;
	case RELAY_TOKEN_MALFORMED:
		return HUB_TOKEN_MALFORMED;
	case RELAY_TOKEN_WRONG:
		return HUB_TOKEN_WRONG;
	case RELAY_TOKEN_EXPIRED:
		return HUB_TOKEN_EXPIRED;
	}
	return HUB_TOKEN_WRONG;
}

/* Why this Auth message does not log in, HUB_OPEN: it does. The token says nothing about the id: any good one
 * will do. */
static enum hub_reason check_login(struct hub *h, const struct relay_message *m, struct instant now)
{
	enum hub_reason bad;
	uint64_t expiry;

	bad = token_reason(relay_token_check(&h->secret, m->data, m->len, now.wall / NS_PER_SEC, &expiry));
	if (bad)
		return bad;
	if (h->allowed && !map_get(h->allowed, m->id))
		return HUB_NOT_ALLOWED;
	if (map_count(h->clients) >= h->settings.clients_max && !map_get(h->clients, m->id))
		return HUB_FULL;
	return HUB_OPEN;
}

static bool log_in(struct hub *h, struct session *s, const struct relay_message *m, struct instant now)
{
	uint8_t answer[RELAY_RESPONSE_MAX];
	struct session *older;
	char id[RELAY_ID_TEXT];
	int len;

	hub_fault(s, check_login(h, m, now));
	if (s->reason)
		return false;
	memcpy(&s->id, m->id, RELAY_ID_LEN);
	s->logged_in = true;
	s->since = now.boot;
	s->cut_at = 0;
	s->health_next = now.boot + h->settings.health_ns;
	s->tokens_at = now.boot;
	s->tokens = BURST_MIN;
	older = map_get(h->clients, &s->id);
	map_put(h->clients, &s->id, s);
	h->counts.logins++;
	if (may_log(h, now.boot))
		log_info("relay", "%s logged in, %s", short_id(id, &s->id), s->address);
	if (older)
		replace(h, s, older, now.boot);
	/* Before anybody hears of this session and can send to it: clients take anything else for a failed
	 * login. */
	len = relay_put_auth_response(answer, sizeof(answer), h->url);
	hub_queue(h, s, answer, (size_t)len);
	hub_announce(h, &s->id, true);
	set_timer(h, s);
	return true;
}

/* ---- messages ---- */

static void pass_on(struct hub *h, struct session *s, const struct relay_message *m)
{
	struct session *to = map_get(h->clients, m->id);
	size_t len = RELAY_TRANSPORT_LEN + m->len;
	struct hub_message *copy;
	uint8_t *body;

	s->rx_packets++;
	s->rx_bytes += len;
	if (!to || to->closing) {
		h->counts.dropped_absent++;
		return;
	}
	/* The newest is dropped: what waits already is in order, and the senders' congestion control counts
	 * on it. */
	if (to->transport_bytes + len > h->settings.queue_bytes) {
		to->dropped++;
		h->counts.dropped_queue++;
		return;
	}
	if (h->queued_bytes + len > h->settings.memory_bytes) {
		to->dropped++;
		h->counts.dropped_memory++;
		return;
	}
	copy = message_new(len, len);
	copy->transport = true;
	body = message_body(copy);
	relay_put_transport(body, &s->id);
	memcpy(body + RELAY_TRANSPORT_LEN, m->data, m->len);
	append(h, to, copy);
	h->counts.transport_packets++;
	h->counts.transport_bytes += len;
}

/* A token bucket that may go below zero by one message; then the session is not read until it is full enough
 * again. */
static void charge(struct hub *h, struct session *s, size_t len, uint64_t now)
{
	uint64_t rate = h->settings.rate, passed = now - s->tokens_at;
	int64_t most = BURST_MIN > rate / 10 ? BURST_MIN : (int64_t)(rate / 10);

	if (!rate)
		return;
	if (passed > NS_PER_SEC)
		passed = NS_PER_SEC;
	s->tokens += (int64_t)((double)rate * (double)passed / NS_PER_SEC);
	if (s->tokens > most)
		s->tokens = most;
	s->tokens_at = now;
	s->tokens -= (int64_t)len;
	if (s->tokens >= 0 || s->paused)
		return;
	s->paused = true;
	h->counts.pauses++;
	s->resume_at = now + (uint64_t)((double)-s->tokens / (double)rate * NS_PER_SEC) + 1;
	set_timer(h, s);
	h->ops.pause(h->ops.arg, s, true);
}

static bool dispatch(struct hub *h, struct session *s, const struct relay_message *m, struct instant now)
{
	switch (m->type) {
	case RELAY_TRANSPORT:
		pass_on(h, s, m);
		return true;
	case RELAY_CLOSE:
		hub_fault(s, HUB_BY_CLIENT);
		return false;
	case RELAY_HEALTH_CHECK:
		s->cut_at = 0;
		set_timer(h, s);
		return true;
	case RELAY_AUTH:
		if (may_log(h, now.boot))
			log_warn("relay", "%s sent a second Auth message, which means nothing", s->address);
		return true;
	case RELAY_SUBSCRIBE:
		return hub_subscribe(h, s, m->data, m->count);
	case RELAY_UNSUBSCRIBE:
		hub_unsubscribe(h, s, m->data, m->count);
		return true;
	default:
		hub_fault(s, HUB_BAD_TYPE);
		return false;
	}
}

static enum hub_reason verdict_reason(enum relay_verdict v)
{
	static const enum hub_reason of[RELAY_VERDICTS] = {
		[RELAY_OK] = HUB_OPEN,
		[RELAY_EMPTY] = HUB_EMPTY,
		[RELAY_BAD_VERSION] = HUB_BAD_VERSION,
		[RELAY_BAD_TYPE] = HUB_BAD_TYPE,
		[RELAY_BAD_LENGTH] = HUB_BAD_LENGTH,
		[RELAY_BAD_MAGIC] = HUB_BAD_MAGIC,
	};

	return of[v];
}

bool hub_take(struct hub *h, struct session *s, const uint8_t *message, size_t len, struct instant now)
{
	struct relay_message m;

	if (s->closing)
		return true; /* it has not read our Close yet */
	hub_fault(s, verdict_reason(relay_parse(message, len, &m)));
	if (s->reason)
		return false;
	if (s->logged_in) {
		charge(h, s, len, now.boot);
		return dispatch(h, s, &m, now);
	}
	if (m.type == RELAY_AUTH)
		return log_in(h, s, &m, now);
	hub_fault(s, HUB_NOT_LOGGED_IN);
	return false;
}

/* ---- time ---- */

static void check_health(struct hub *h, struct session *s, uint64_t now)
{
	uint8_t message[2];

	relay_put_simple(message, sizeof(message), RELAY_HEALTH_CHECK);
	h->counts.health_checks++;
	s->health_next = now + h->settings.health_ns;
	if (hub_queue(h, s, message, sizeof(message)) && !s->cut_at)
		s->cut_at = now + h->settings.answer_ns;
}

static void wake(struct hub *h, struct session *s, uint64_t now)
{
	if (s->cut_at && s->cut_at <= now) {
		cut(h, s, s->logged_in ? HUB_SILENT : HUB_NO_LOGIN);
		return;
	}
	if (s->resume_at && s->resume_at <= now) {
		s->resume_at = 0;
		s->paused = false;
		h->ops.pause(h->ops.arg, s, false);
	}
	if (s->health_next && s->health_next <= now)
		check_health(h, s, now);
	set_timer(h, s);
}

uint64_t hub_deadline(const struct hub *h)
{
	struct heap_node *first = heap_first(&h->timers);

	return first ? first->key : 0;
}

void hub_run(struct hub *h, uint64_t now)
{
	struct heap_node *first;

	while ((first = heap_first(&h->timers)) && first->key <= now)
		wake(h, container_of(first, struct session, timer), now);
}

void hub_drain(struct hub *h, uint64_t now, uint64_t deadline)
{
	(void)now;
	list_for_each_safe (at, &h->sessions) {
		struct session *s = container_of(at, struct session, link);

		if (s->logged_in)
			say_close(h, s, HUB_DRAINED, deadline);
		else if (!s->closing)
			cut(h, s, HUB_DRAINED);
	}
}
