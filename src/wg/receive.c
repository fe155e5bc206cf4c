/* Handshake messages and cookies as they come in, and what they lead to. Control thread. */
#include <endian.h>
#include <errno.h>
#include <string.h>

#include "wg/internal.h"

#define LOAD_THRESHOLD 64		/* messages that wait behind this one */
#define LOAD_KEPT      (1 * NS_PER_SEC) /* load is felt this long after it was seen, as in the kernel */

static const struct wg_event no_details;

/*
 * What cookies and limits know a source by: its address. Behind a relay there is none; then the way stands
 * for it, as a network of the discard-only prefix (RFC 6666), which no packet comes from.
 */
static union address limited_as(const struct endpoint *from)
{
	union address a = from->remote;

	if (a.sa.sa_family != AF_UNSPEC)
		return a;
	a = (union address){.in6 = {.sin6_family = AF_INET6}};
	a.in6.sin6_addr.s6_addr[0] = 1;
	memcpy(&a.in6.sin6_addr.s6_addr[4], &from->via, sizeof(from->via));
	return a;
}

/* May the message go on to the expensive part? */
static bool admit(struct wg_device *d, const void *m, size_t len, uint32_t sender,
		  const struct endpoint *from, unsigned queued, struct instant now)
{
	union address source = limited_as(from);
	bool load;

	if (queued >= LOAD_THRESHOLD)
		d->load_until = now.boot + LOAD_KEPT;
	load = wg_under_load(d, now.boot);
	switch (cookie_check(&d->checker, m, len, &source, load, now.boot)) {
	case COOKIE_BAD_MAC1:
		device_reject(d, NULL, WG_COUNT_reject_mac1, from, no_details, now);
		return false;
	case COOKIE_NO_MAC2:
		if (load) {
			struct message_cookie reply;

			cookie_reply(&d->checker, &reply, sender, m, len, &source, now.boot);
			device_reject(d, NULL, WG_COUNT_reject_mac2, from, no_details, now);
			counter_add(&d->counters[WG_COUNT_cookie_sent], 1);
			d->ops->send(d->ctx, NULL, from, 0, &reply, sizeof(reply));
			return false;
		}
		return true;
	case COOKIE_VALID:
		break;
	}
	if (load && !ratelimiter_allow(d->limiter, &source, now.boot)) {
		device_reject(d, NULL, WG_COUNT_reject_rate, from, no_details, now);
		return false;
	}
	return true;
}

/* An authenticated handshake message moves the endpoint, as data does. */
static void learn(struct wg_peer *p, const struct endpoint *from, struct instant now)
{
	counter_set(&p->last_received, now.boot);
	counter_set(&p->unanswered_since, 0);
	counter_set(&p->silence_from, 0);
	peer_learn_endpoint(p, from, now);
}

static void refuse_initiation(struct wg_peer *p, enum noise_result r, const struct noise_incoming *in,
			      const struct endpoint *from, struct instant now)
{
	struct wg_event details = no_details;

	switch (r) {
	case NOISE_REPLAYED_TIMESTAMP: {
		uint64_t theirs = tai64n_decode(in->timestamp),
			 latest = tai64n_decode(p->handshake.latest_timestamp);

		details.ns = latest > theirs ? latest - theirs : 0;
		device_reject(p->device, p, WG_COUNT_reject_replayed_timestamp, from, details, now);
		break;
	}
	case NOISE_FLOOD:
		device_reject(p->device, p, WG_COUNT_reject_flood, from, details, now);
		break;
	default:
		/* Whoever knows the peer's public key gets this far. */
		device_reject(p->device, NULL, WG_COUNT_reject_undecryptable, from, details, now);
		break;
	}
}

/*
 * The answer, and the keys that follow from it. All on a copy of the handshake: an initiation of ours that is
 * under way stays valid, so that two ends that call at the same moment both get through, where a kernel would
 * wait for a retry.
 */
static void answer(struct wg_peer *p, struct handshake *h, const struct endpoint *from, struct instant now)
{
	struct wg_device *d = p->device;
	struct message_response m;
	struct wg_keypair *k;
	uint32_t index = index_add(d->indices, INDEX_HANDSHAKE, p);

	if (noise_create_response(h, &m, index) != NOISE_OK) {
		index_remove(d->indices, index);
		return;
	}
	cookie_add_macs(&p->cookie, &m, sizeof(m), now.boot);
	peer_tell_ephemeral(p, h);
	k = session_begin(p, h, now.boot);
	session_install(p, k, now);
	p->last_handshake_sent = now.boot;
	counter_set(&p->last_sent, now.boot);
	counter_set(&p->unreplied_since, 0);
	count(p, WG_COUNT_response_sent, 1);
	d->ops->send(d->ctx, p, from, 0, &m, sizeof(m));
	device_emit(d, p,
		    (struct wg_event){.type = WG_EVENT_RESPONSE_SENT,
				      .a = k->local_index,
				      .b = k->remote_index,
				      .from = from},
		    now);
}

static struct wg_peer *take_initiation(struct wg_device *d, const uint8_t *datagram,
				       const struct endpoint *from, unsigned queued, struct instant now)
{
	struct message_initiation m;
	struct noise_incoming in;
	struct handshake h;
	struct wg_peer *p;
	enum noise_result r;

	memcpy(&m, datagram, sizeof(m));
	if (!admit(d, &m, sizeof(m), m.sender, from, queued, now))
		return NULL;
	r = noise_open_static(&in, &d->identity, &m);
	if (r != NOISE_OK) {
		device_reject(d, NULL, WG_COUNT_reject_undecryptable, from, no_details, now);
		noise_incoming_wipe(&in);
		return NULL;
	}
	p = wg_find_peer(d, &in.remote_static);
	if (!p || p->own) {
		device_reject(d, NULL, WG_COUNT_reject_unknown_peer, from,
			      (struct wg_event){.key = in.remote_static.bytes}, now);
		noise_incoming_wipe(&in);
		return NULL;
	}
	h = p->handshake;
	r = noise_consume_initiation(&h, &in, &m, now.boot);
	if (r == NOISE_OK) {
		memcpy(p->handshake.latest_timestamp, h.latest_timestamp, TAI64N_LEN);
		p->handshake.last_initiation = h.last_initiation;
		count(p, WG_COUNT_initiation_received, 1);
		device_emit(d, p, (struct wg_event){.type = WG_EVENT_INITIATION_RECEIVED, .from = from}, now);
		learn(p, from, now);
		if (peer_may_use(p, from))
			answer(p, &h, from, now);
		peer_schedule(p);
	} else {
		refuse_initiation(p, r, &in, from, now);
	}
	noise_wipe(&h);
	noise_incoming_wipe(&in);
	return r == NOISE_OK ? p : NULL;
}

static struct wg_peer *take_response(struct wg_device *d, const uint8_t *datagram,
				     const struct endpoint *from, unsigned queued, struct instant now)
{
	struct message_response m;
	struct wg_keypair *k;
	struct wg_peer *p;
	enum noise_result r;

	memcpy(&m, datagram, sizeof(m));
	if (!admit(d, &m, sizeof(m), m.sender, from, queued, now))
		return NULL;
	p = index_lookup(d->indices, le32toh(m.receiver), INDEX_HANDSHAKE);
	if (!p) {
		device_reject(d, NULL, WG_COUNT_reject_unexpected_response, from, no_details, now);
		return NULL;
	}
	r = noise_consume_response(&p->handshake, &d->identity, &m);
	if (r != NOISE_OK) {
		device_reject(d, p,
			      r == NOISE_WRONG_STATE ? WG_COUNT_reject_unexpected_response
						     : WG_COUNT_reject_response,
			      from, no_details, now);
		return NULL;
	}
	count(p, WG_COUNT_response_received, 1);
	learn(p, from, now);
	k = session_begin(p, &p->handshake, now.boot);
	session_install(p, k, now);
	session_done(p, k, now.boot > p->last_initiation ? now.boot - p->last_initiation : 1, now);
	peer_schedule(p);
	return p;
}

/* Cookie replies are not authenticated by the peer's key: they move no endpoint and start no timer. */
static void take_cookie(struct wg_device *d, const uint8_t *datagram, const struct endpoint *from,
			struct instant now)
{
	struct message_cookie m;
	struct wg_keypair *k;
	struct wg_peer *p;

	memcpy(&m, datagram, sizeof(m));
	p = index_lookup(d->indices, le32toh(m.receiver), INDEX_HANDSHAKE);
	if (!p) {
		k = index_lookup(d->indices, le32toh(m.receiver), INDEX_KEYPAIR);
		p = k ? k->peer : NULL;
	}
	if (!p || !cookie_consume(&p->cookie, &m, now.boot)) {
		device_reject(d, p, WG_COUNT_reject_cookie, from, no_details, now);
		return;
	}
	d->refusal.peer = p;
	count(p, WG_COUNT_cookie_received, 1);
	device_emit(d, p, (struct wg_event){.type = WG_EVENT_COOKIE_RECEIVED, .from = from}, now);
}

struct wg_refusal wg_last_refusal(const struct wg_device *d)
{
	return d->refusal;
}

bool wg_under_load(const struct wg_device *d, uint64_t now)
{
	return now < d->load_until;
}

struct wg_peer *wg_receive_handshake(struct wg_device *d, const uint8_t *datagram, size_t len,
				     const struct endpoint *from, unsigned queued, struct instant now)
{
	uint32_t type = 0;

	if (len >= sizeof(type)) {
		memcpy(&type, datagram, sizeof(type));
		type = le32toh(type);
	}
	d->refusal = (struct wg_refusal){0};
	if (!d->up || !d->identity.present)
		return NULL;
	if (type == MESSAGE_INITIATION && len == sizeof(struct message_initiation))
		return take_initiation(d, datagram, from, queued, now);
	if (type == MESSAGE_RESPONSE && len == sizeof(struct message_response))
		return take_response(d, datagram, from, queued, now);
	if (type == MESSAGE_COOKIE && len == sizeof(struct message_cookie))
		take_cookie(d, datagram, from, now);
	else
		device_reject(d, NULL, WG_COUNT_reject_malformed, from, no_details, now);
	return NULL;
}
