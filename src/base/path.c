#include "base/path.h"

const char *path_kind_name(enum path_kind k)
{
	static const char *const names[] = {"none", "relay", "turn", "ice", "direct"};

	return (unsigned)k < PATH_KINDS ? names[k] : "?";
}

const char *path_state_name(enum path_state s)
{
	static const char *const names[] = {"none", "checking", "up", "stale"};

	return (unsigned)s <= PATH_STALE ? names[s] : "?";
}
