/* Lines of a UAPI set request, whatever is in them. First byte odd: the request begins at peer scope. */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "control/uapi_parse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int truth)
{
	if (!truth)
		abort();
}

/* What is accepted is of the scope, and its value is in range. */
static void check_item(const struct uapi_item *item, int peer_scope)
{
	const struct uapi_prefix *p = &item->value.prefix;

	require(item->key == UAPI_PUBLIC_KEY || (item->key > UAPI_PUBLIC_KEY) == !!peer_scope);
	switch (item->key) {
	case UAPI_LISTEN_PORT:
	case UAPI_KEEPALIVE:
		require(item->value.number <= UINT16_MAX);
		break;
	case UAPI_ENDPOINT:
		require(item->value.endpoint.sa.sa_family == AF_INET ||
			item->value.endpoint.sa.sa_family == AF_INET6);
		break;
	case UAPI_ALLOWED_IP:
		require(p->family == AF_INET ? p->len <= 32 : p->family == AF_INET6 && p->len <= 128);
		break;
	default:
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int peer_scope = size && data[0] & 1;
	const uint8_t *at = data + !!size, *end = data + size;

	while (at < end) {
		const uint8_t *newline = memchr(at, '\n', (size_t)(end - at));
		size_t len = (size_t)((newline ? newline : end) - at);
		char *line = malloc(len + 1); /* of its own, so that one byte too far is seen */
		struct uapi_item item;
		const char *name = NULL;
		int r;

		require(line != NULL);
		memcpy(line, at, len);
		line[len] = '=';
		r = uapi_parse(line, len, peer_scope, &item, &name);
		require(r == 0 || r == -EINVAL || r == -EPROTO);
		require((name != NULL) == (r != -EPROTO));
		if (!r) {
			check_item(&item, peer_scope);
			peer_scope |= item.key == UAPI_PUBLIC_KEY;
		}
		free(line);
		at += len + 1;
	}
	return 0;
}
