/* Small file helpers. */
#ifndef WEIR_BASE_FILE_H
#define WEIR_BASE_FILE_H

#include <stddef.h>
#include <sys/types.h>

#include "base/error.h"

/* Whole file into a fresh NUL-terminated buffer (caller frees), at most max bytes. */
int file_read(const char *path, char **text, size_t *len, size_t max, struct error *e);

/* Replaces path: temporary file beside it, fsync, rename. Never leaves half a file. */
int file_replace(const char *path, const void *bytes, size_t len, mode_t mode, struct error *e);

/* Makes a folder (one level below an existing or made parent); an existing one is fine. */
int file_make_folder(const char *path, mode_t mode, struct error *e);

int fd_set_nonblocking(int fd);

#endif
