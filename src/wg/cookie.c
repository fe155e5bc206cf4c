/* The MACs are the last 32 bytes of an initiation or a response, whatever comes before: one code serves both.
 */
#include "wg/cookie.h"

#include <endian.h>
#include <string.h>

#define LABEL_LEN 8

static const char mac1_label[LABEL_LEN + 1] = "mac1----";
static const char cookie_label[LABEL_LEN + 1] = "cookie--";

/* Both ends derive the same two keys from the receiver's public key (paper 5.4.4, 5.4.7). */
static void derive(uint8_t mac1_key[HASH_LEN], struct key *cookie_key, const struct key *public_key)
{
	blake2s_256(mac1_key, mac1_label, LABEL_LEN, public_key->bytes, KEY_LEN);
	blake2s_256(cookie_key->bytes, cookie_label, LABEL_LEN, public_key->bytes, KEY_LEN);
}

static size_t macs_offset(size_t len)
{
	return len - sizeof(struct message_macs);
}

static void make_mac1(uint8_t out[MAC_LEN], const uint8_t key[HASH_LEN], const void *message, size_t len)
{
	blake2s_mac(out, key, HASH_LEN, message, macs_offset(len));
}

/* Over mac1 too. */
static void make_mac2(uint8_t out[MAC_LEN], const uint8_t cookie[COOKIE_LEN], const void *message, size_t len)
{
	blake2s_mac(out, cookie, COOKIE_LEN, message, macs_offset(len) + MAC_LEN);
}

void cookie_checker_init(struct cookie_checker *c, const struct key *own_public)
{
	memset(c, 0, sizeof(*c));
	cookie_checker_set_key(c, own_public);
}

void cookie_checker_set_key(struct cookie_checker *c, const struct key *own_public)
{
	derive(c->mac1_key, &c->cookie_key, own_public);
}

void cookie_checker_clear(struct cookie_checker *c)
{
	crypto_wipe(c, sizeof(*c));
}

/* The cookie of a source: port and all, or one host behind a NAT could use the cookie of another. */
static void make_cookie(struct cookie_checker *c, uint8_t out[COOKIE_LEN], const union address *from,
			uint64_t now)
{
	uint8_t source[sizeof(struct in6_addr) + sizeof(in_port_t)];
	size_t len = 0;

	if (!c->secret_born || now - c->secret_born >= COOKIE_SECRET_LIFE) {
		crypto_random(c->secret, sizeof(c->secret));
		c->secret_born = now;
	}
	if (from->sa.sa_family == AF_INET) {
		memcpy(source, &from->in.sin_addr, sizeof(from->in.sin_addr));
		len = sizeof(from->in.sin_addr);
		memcpy(source + len, &from->in.sin_port, sizeof(from->in.sin_port));
		len += sizeof(from->in.sin_port);
	} else if (from->sa.sa_family == AF_INET6) {
		memcpy(source, &from->in6.sin6_addr, sizeof(from->in6.sin6_addr));
		len = sizeof(from->in6.sin6_addr);
		memcpy(source + len, &from->in6.sin6_port, sizeof(from->in6.sin6_port));
		len += sizeof(from->in6.sin6_port);
	}
	blake2s_mac(out, c->secret, sizeof(c->secret), source, len);
}

enum cookie_verdict cookie_check(struct cookie_checker *c, const void *message, size_t len,
				 const union address *from, bool want_mac2, uint64_t now)
{
	uint8_t mac[MAC_LEN], cookie[COOKIE_LEN];
	const uint8_t *macs;
	bool equal;

	if (len < sizeof(struct message_macs))
		return COOKIE_BAD_MAC1;
	macs = (const uint8_t *)message + macs_offset(len);
	make_mac1(mac, c->mac1_key, message, len);
	if (!crypto_equal(mac, macs, MAC_LEN))
		return COOKIE_BAD_MAC1;
	if (!want_mac2)
		return COOKIE_NO_MAC2;
	make_cookie(c, cookie, from, now);
	make_mac2(mac, cookie, message, len);
	equal = crypto_equal(mac, macs + MAC_LEN, MAC_LEN);
	crypto_wipe(cookie, sizeof(cookie));
	crypto_wipe(mac, sizeof(mac)); /* what a forger would have to guess */
	return equal ? COOKIE_VALID : COOKIE_NO_MAC2;
}

void cookie_reply(struct cookie_checker *c, struct message_cookie *out, uint32_t sender, const void *message,
		  size_t len, const union address *from, uint64_t now)
{
	const uint8_t *mac1 = (const uint8_t *)message + macs_offset(len);
	uint8_t cookie[COOKIE_LEN];

	out->type = htole32(MESSAGE_COOKIE);
	out->receiver = sender;
	crypto_random(out->nonce, sizeof(out->nonce));
	make_cookie(c, cookie, from, now);
	xaead_seal(out->cookie_sealed, cookie, COOKIE_LEN, mac1, MAC_LEN, out->nonce, &c->cookie_key);
	crypto_wipe(cookie, sizeof(cookie));
}

void cookie_maker_init(struct cookie_maker *m, const struct key *peer_public)
{
	memset(m, 0, sizeof(*m));
	derive(m->mac1_key, &m->cookie_key, peer_public);
}

void cookie_maker_clear(struct cookie_maker *m)
{
	crypto_wipe(m, sizeof(*m));
}

void cookie_add_macs(struct cookie_maker *m, void *message, size_t len, uint64_t now)
{
	uint8_t *mac1 = (uint8_t *)message + macs_offset(len), *mac2 = mac1 + MAC_LEN;

	make_mac1(mac1, m->mac1_key, message, len);
	memcpy(m->last_mac1, mac1, MAC_LEN);
	m->awaits = true;
	/* Not to the end of the secret's life: the message must get there before the secret changes. */
	if (m->has_cookie && now - m->cookie_born < COOKIE_SECRET_LIFE - COOKIE_LATENCY)
		make_mac2(mac2, m->cookie, message, len);
	else
		memset(mac2, 0, MAC_LEN);
}

bool cookie_consume(struct cookie_maker *m, const struct message_cookie *reply, uint64_t now)
{
	uint8_t cookie[COOKIE_LEN];

	if (!m->awaits)
		return false;
	if (!xaead_open(cookie, reply->cookie_sealed, sizeof(reply->cookie_sealed), m->last_mac1, MAC_LEN,
			reply->nonce, &m->cookie_key))
		return false;
	memcpy(m->cookie, cookie, COOKIE_LEN);
	crypto_wipe(cookie, sizeof(cookie));
	m->cookie_born = now;
	m->has_cookie = true;
	m->awaits = false;
	return true;
}
