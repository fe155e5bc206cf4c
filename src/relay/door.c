/* Stands until the room has files of its own. */
#include "relay/wire.h"
#include "relay/pool.h"
#include "relay/server.h"
