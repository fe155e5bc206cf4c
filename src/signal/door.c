/* Stands until the room has files of its own. */
#include "signal/signal.h"
