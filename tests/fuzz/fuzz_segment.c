/* A struct virtio_net_hdr and a packet: refused, or cut into pieces that make up exactly what was announced.
 */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "net/segment.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool truth)
{
	if (!truth)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct virtio_net_hdr h;
	struct segmenter s;
	uint8_t *packet, *piece;
	size_t len, n, payload = 0;
	unsigned count = 0;

	if (size < sizeof(h))
		return 0;
	memcpy(&h, data, sizeof(h));
	len = size - sizeof(h);
	packet = malloc(len + !len); /* of its own, so that a sanitizer sees its end */
	if (!packet)
		return 0;
	memcpy(packet, data + sizeof(h), len);
	if (!segmenter_init(&s, &h, packet, len)) {
		require(s.count > 0 && s.last_len > 0 && s.last_len <= s.full_len && s.full_len <= len);
		piece = malloc(s.full_len);
		require(piece);
		while ((n = segmenter_next(&s, piece)) > 0) {
			require(n == (++count < s.count ? s.full_len : s.last_len));
			payload += n - s.header_len;
		}
		require(count == s.count && payload == len - s.header_len);
		require(segmenter_next(&s, piece) == 0);
		free(piece);
	}
	free(packet);
	return 0;
}
