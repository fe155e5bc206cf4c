/* What the user changed in the view, kept for the next time. */
#ifndef WEIR_TUI_SETTINGS_H
#define WEIR_TUI_SETTINGS_H

#include "base/error.h"
#include "tui/model.h"

/* Applies the file to a fresh model. A missing file, and lines that are not known, mean the defaults. */
void settings_load(struct model *m, const char *path);

/* Replaces the file at once, with what differs from the defaults only. */
int settings_save(const struct model *m, const char *path, struct error *e);

#endif
