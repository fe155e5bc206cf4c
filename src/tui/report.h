/* What `w` writes to a file: all that the screens know of a peer without keys and addresses, or the log. */
#ifndef WEIR_TUI_REPORT_H
#define WEIR_TUI_REPORT_H

#include "base/error.h"
#include "base/strbuf.h"
#include "tui/view.h"

void report_peer(struct strbuf *out, const struct scene *s, const struct peer *p);
void report_log(struct strbuf *out,
		const struct scene *s); /* the lines that pass the filters, oldest first */

/* "weir-wg0-edge-sfo-20260112T031241Z.txt": letters that are safe in any file system. */
void report_name(char *out, size_t size, const struct scene *s, const struct peer *p);

/*
 * Writes a new file that only this user can read, in the current folder, or where that cannot be written to
 * at home, or in the folder for temporary files. `path` gets its name.
 */
int report_write(const char *name, const struct strbuf *text, char *path, size_t size, struct error *e);

#endif
