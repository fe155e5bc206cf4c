#include "ice/ice.h"

const char *ice_state_name(enum ice_state s)
{
	static const char *const names[] = {"gathering", "connecting", "connected", "ready", "failed"};

	return names[s];
}

const char *ice_candidate_type_name(enum ice_candidate_type t)
{
	static const char *const names[] = {"host", "srflx", "prflx", "relay"};

	return names[t];
}

const char *ice_pair_state_name(enum ice_pair_state s)
{
	static const char *const names[] = {"frozen",	  "waiting", "in progress", "succeeded", "failed",
					    "discovered", "?"};

	return names[s];
}
