/* Words for what is on the wire. */
#include "signal/signal.h"

const char *signal_type_name(enum signal_type t)
{
	switch (t) {
#define X(name, number, text)                                                                                \
	case SIGNAL_##name:                                                                                  \
		return text;
		SIGNAL_TYPE_TABLE(X)
#undef X
	}
	return "unknown";
}

const char *signal_reason_name(enum signal_reason r)
{
	switch (r) {
#define X(name, number, text)                                                                                \
	case SIGNAL_REASON_##name:                                                                           \
		return #name;
		SIGNAL_REASON_TABLE(X)
#undef X
	}
	return "none";
}

const char *signal_reason_text(enum signal_reason r)
{
	switch (r) {
#define X(name, number, text)                                                                                \
	case SIGNAL_REASON_##name:                                                                           \
		return text;
		SIGNAL_REASON_TABLE(X)
#undef X
	}
	return signal_reason_text(SIGNAL_REASON_none);
}

const char *signal_verdict_name(enum signal_verdict v)
{
	static const char *const names[] = {"ok",     "new-boot", "malformed", "version",
					    "forged", "replayed", "old-boot"};

	return (unsigned)v < SIGNAL_VERDICTS ? names[v] : "unknown";
}
