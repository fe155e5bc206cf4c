/*
 * Any bytes as a relay message and as a token: what the reader points at lies inside, and a message that is
 * taken and written again is the same.
 */
#include <sodium.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "relay/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int truth)
{
	if (!truth)
		abort();
}

static void check_again(const struct relay_message *m, const uint8_t *data, size_t size)
{
	static uint8_t out[RELAY_MESSAGE_MAX];
	static struct relay_id ids[RELAY_LIST_MAX];
	struct relay_id id;
	char url[RELAY_RESPONSE_MAX];
	int len = 0;

	if (m->id)
		memcpy(id.bytes, m->id, RELAY_ID_LEN);
	switch (m->type) {
	case RELAY_TRANSPORT:
		relay_put_transport(out, &id);
		memcpy(out + RELAY_TRANSPORT_LEN, m->data, m->len);
		len = (int)(RELAY_TRANSPORT_LEN + m->len);
		break;
	case RELAY_AUTH:
		len = relay_put_auth(out, sizeof(out), &id, m->data, m->len);
		break;
	case RELAY_AUTH_RESPONSE:
		memcpy(url, m->data, m->len);
		url[m->len] = '\0';
		if (strlen(url) != m->len)
			return;
		len = relay_put_auth_response(out, sizeof(out), url);
		break;
	case RELAY_SUBSCRIBE:
	case RELAY_UNSUBSCRIBE:
	case RELAY_PEERS_ONLINE:
	case RELAY_PEERS_OFFLINE:
		require(m->count * RELAY_ID_LEN == m->len);
		memcpy(ids, m->data, m->len);
		len = relay_put_list(out, sizeof(out), m->type, ids, m->count);
		break;
	default:
		return;
	}
	require(len == (int)size && !memcmp(out, data, size));
}

static void check_token(const uint8_t *data, size_t size)
{
	struct relay_secret secret;
	uint64_t expiry = 0;

	relay_secret_set(&secret, "supersecret", 11);
	if (relay_token_check(&secret, data, size, 0, &expiry) == RELAY_TOKEN_GOOD)
		require(size >= 43 && size <= RELAY_TOKEN_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct relay_message m;
	enum relay_verdict verdict;

	require(sodium_init() >= 0);
	check_token(data, size);
	verdict = relay_parse(data, size, &m);
	require(verdict < RELAY_VERDICTS && relay_verdict_text(verdict));
	if (verdict != RELAY_OK)
		return 0;
	require(m.data >= data && m.data + m.len <= data + size);
	require(!m.id || (m.id >= data && m.id + RELAY_ID_LEN <= data + size));
	check_again(&m, data, size);
	return 0;
}
