/* Answers of STUN servers that we do not know: whatever they say is read within its bounds. */
#include <assert.h>
#include <stdint.h>

#include "net/stun.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct stun_reply r;

	if (stun_read(data, size, &r)) {
		assert(!stun_request_transaction(data, size));
		assert(r.mapped.sa.sa_family == AF_UNSPEC || r.mapped.sa.sa_family == AF_INET ||
		       r.mapped.sa.sa_family == AF_INET6);
	}
	return 0;
}
