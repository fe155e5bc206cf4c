/*
 * Presence, as NetBird's server gives it: a subscription asks for two things, to be told once that the peer
 * is there (and at once when it is there already), and every time that it went. Facts go through the
 * session's one queue, so they arrive in the order in which they happened.
 */
#include <stdlib.h>
#include <string.h>

#include "base/xalloc.h"
#include "relay/hub.h"

struct topic {
	struct relay_id id;
	struct list subscribers;
};

struct subscription {
	struct session *session;
	struct topic *topic;
	struct list in_session, in_topic;
	bool wants_online;
};

struct key_of_subscription {
	uint8_t bytes[sizeof(uint64_t) + RELAY_ID_LEN];
};

static struct key_of_subscription key_of(const struct session *s, const void *id)
{
	struct key_of_subscription key;

	memcpy(key.bytes, &s->number, sizeof(s->number));
	memcpy(key.bytes + sizeof(s->number), id, RELAY_ID_LEN);
	return key;
}

static struct topic *topic_of(struct hub *h, const struct relay_id *id)
{
	struct topic *t = map_get(h->topics, id);

	if (t)
		return t;
	t = xcalloc(1, sizeof(*t));
	t->id = *id;
	list_init(&t->subscribers);
	map_put(h->topics, &t->id, t);
	return t;
}

static void subscription_free(struct hub *h, struct subscription *sub)
{
	struct key_of_subscription key = key_of(sub->session, &sub->topic->id);

	map_remove(h->subscriptions, &key);
	list_remove(&sub->in_session);
	list_remove(&sub->in_topic);
	sub->session->subscription_count--;
	if (list_empty(&sub->topic->subscribers)) {
		map_remove(h->topics, &sub->topic->id);
		free(sub->topic);
	}
	free(sub);
}

static struct subscription *subscription_of(struct hub *h, struct session *s, const struct relay_id *id)
{
	struct key_of_subscription key = key_of(s, id);
	struct subscription *sub = map_get(h->subscriptions, &key);

	if (sub)
		return sub;
	if (s->subscription_count >= h->settings.subscriptions)
		return NULL;
	sub = xcalloc(1, sizeof(*sub));
	sub->session = s;
	sub->topic = topic_of(h, id);
	list_append(&s->subscriptions, &sub->in_session);
	list_append(&sub->topic->subscribers, &sub->in_topic);
	s->subscription_count++;
	map_put(h->subscriptions, &key, sub);
	return sub;
}

bool hub_subscribe(struct hub *h, struct session *s, const uint8_t *ids, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct subscription *sub;
		struct relay_id id;

		memcpy(&id, ids + i * RELAY_ID_LEN, RELAY_ID_LEN);
		sub = subscription_of(h, s, &id);
		if (!sub) {
			hub_fault(s, HUB_SUBSCRIPTIONS);
			return false;
		}
		/* The next time counts as well: a peer that is there now may go and come back. */
		sub->wants_online = true;
		if (!map_get(h->clients, &id))
			continue;
		h->counts.online_facts++;
		if (!hub_queue_fact(h, s, RELAY_PEERS_ONLINE, &id))
			return false;
	}
	return true;
}

void hub_unsubscribe(struct hub *h, struct session *s, const uint8_t *ids, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct key_of_subscription key = key_of(s, ids + i * RELAY_ID_LEN);
		struct subscription *sub = map_get(h->subscriptions, &key);

		if (sub)
			subscription_free(h, sub);
	}
}

void hub_forget(struct hub *h, struct session *s)
{
	while (!list_empty(&s->subscriptions))
		subscription_free(h, container_of(s->subscriptions.next, struct subscription, in_session));
}

void hub_announce(struct hub *h, const struct relay_id *id, bool online)
{
	struct topic *t = map_get(h->topics, id);

	if (!t)
		return;
	list_for_each_safe (at, &t->subscribers) {
		struct subscription *sub = container_of(at, struct subscription, in_topic);

		if (online && !sub->wants_online)
			continue;
		if (online)
			sub->wants_online = false;
		*(online ? &h->counts.online_facts : &h->counts.offline_facts) += 1;
		hub_queue_fact(h, sub->session, online ? RELAY_PEERS_ONLINE : RELAY_PEERS_OFFLINE, id);
	}
}
