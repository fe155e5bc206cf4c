/* The word "path" for all rooms: kinds and states, in the order that they are preferred in. */
#ifndef WEIR_BASE_PATH_H
#define WEIR_BASE_PATH_H

enum path_kind { PATH_KIND_NONE, PATH_KIND_RELAY, PATH_KIND_TURN, PATH_KIND_ICE, PATH_KIND_DIRECT, PATH_KINDS };
enum path_state { PATH_NONE, PATH_CHECKING, PATH_UP, PATH_STALE };

const char *path_kind_name(enum path_kind k);	 /* "none", "relay", "turn", "ice", "direct" */
const char *path_state_name(enum path_state s); /* "none", "checking", "up", "stale" */

#endif
