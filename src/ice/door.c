/* Stands until the room has files of its own. */
#include "ice/ice.h"
