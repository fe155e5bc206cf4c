/* Stands until the room has files of its own. */
#include "peer/peer.h"
