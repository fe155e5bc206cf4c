/* Bulk AEAD on one core: GB/s by packet size, sealing and opening in place. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "crypto/aead.h"
#include "crypto/primitives.h"

#define ENOUGH (300 * NS_PER_MS)

static double rate(struct aead *a, size_t len, bool open)
{
	static uint8_t buffer[8192 + AEAD_TAG_LEN], sealed[8192 + AEAD_TAG_LEN];
	struct key key;
	uint64_t start, now, bytes = 0;

	crypto_random(key.bytes, KEY_LEN);
	aead_seal(a, &key, 7, sealed, len);
	start = clock_boot_ns();
	do {
		for (int i = 0; i < 256; i++) {
			if (open) {
				memcpy(buffer, sealed, len + AEAD_TAG_LEN);
				if (!aead_open(a, &key, 7, buffer, len))
					abort();
			} else {
				aead_seal(a, &key, (uint64_t)i, buffer, len);
			}
			bytes += len;
		}
		now = clock_boot_ns();
	} while (now - start < ENOUGH);
	return (double)bytes / (double)(now - start);
}

int main(void)
{
	static const size_t sizes[] = {64, 256, 1420, 8192};
	struct aead *a;

	if (crypto_init())
		return 1;
	a = aead_new();
	printf("%s\n%8s %8s %8s  GB/s on one core\n", aead_name(a), "bytes", "seal", "open");
	for (unsigned i = 0; i < sizeof(sizes) / sizeof(*sizes); i++)
		printf("%8zu %8.2f %8.2f\n", sizes[i], rate(a, sizes[i], false), rate(a, sizes[i], true));
	aead_free(a);
	return 0;
}
