/* Which files may be written, by Landlock (landlock(7)). */
#ifndef WEIR_CMD_LANDLOCK_H
#define WEIR_CMD_LANDLOCK_H

#include "base/error.h"

/*
 * From here on this process can make, change and remove files in these folders (ends with NULL; one that is
 * missing is left out) and below them only, and write to the devices that an engine needs; reading stays as
 * it is. Needs no_new_privs. 0 also where the kernel has no Landlock (before 5.13, or switched off): the
 * other walls stand.
 */
int landlock_writing(const char *const *folders, struct error *e);

#endif
