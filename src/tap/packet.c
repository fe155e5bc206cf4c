#include "tap/packet.h"

const char *tap_point_name(enum tap_point p)
{
	static const char *const names[] = {"wire", "inner", "relay", "signal"};

	return names[p];
}

const char *tap_type_name(enum tap_type t)
{
	static const char *const names[] = {"other", "init", "resp",  "cookie", "data",
					    "keep",  "stun", "frame", "relay",	"ip"};

	return names[t];
}

const char *tap_drop_name(enum tap_drop d)
{
	static const char *const names[] = {"",		"malformed",	   "mac1",	    "mac2",
					    "rate",	"undecryptable",   "unknown-peer",  "old-timestamp",
					    "flood",	"unexpected",	   "unknown-index", "expired",
					    "replayed", "inner-malformed", "inner-source",  "ecn",
					    "no-route", "no-endpoint",	   "no-key",	    "send-failed",
					    "too-big",	"queue-full",	   "old-boot"};

	_Static_assert(sizeof(names) / sizeof(names[0]) == TAP_DROPS, "a name for each");
	return names[d];
}

const char *tap_drop_text(enum tap_drop d)
{
	static const char *const texts[] = {
#define X(name, text) text,
		TAP_DROP_TABLE(X)
#undef X
	};

	return texts[d];
}
