/* The parts of weir bundle and weir replay: files in memory, and the archive that they are on disk. */
#ifndef WEIR_CMD_BUNDLE_H
#define WEIR_CMD_BUNDLE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/strbuf.h"
#include "cmd/bundle_hide.h"
#include "cmd/options.h"
#include "control/client.h"

#define BUNDLE_SCHEMA 1
#define BUNDLE_KIND   "weir-bundle"

struct bundle_file {
	char name[64];
	const char *what; /* for the manifest */
	struct strbuf bytes;
};

struct bundle {
	struct hide *hide;
	struct bundle_file files[64];
	size_t count;
	json_t *failed; /* {"what", "why"} */
	json_t *warnings;
	char *config_path; /* what the engine says it reads; NULL: nothing, or there is no engine */
};

/* An empty file to be filled. */
struct strbuf *bundle_add(struct bundle *b, const char *name, const char *what);
void bundle_failed(struct bundle *b, const char *what, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
void bundle_clear(struct bundle *b);

/* bundle_engine.c: what the engine tells. `seconds` more are watched first. */
void bundle_engine(struct bundle *b, struct client *c, unsigned seconds);

/* bundle_host.c: what the host's tools print, and the configuration. */
struct tool;
struct tool *tool_start(const char *const argv[], struct error *e);
/* Waits for its end, at most so many seconds; its output is the caller's. Frees it. */
int tool_finish(struct tool *t, double seconds, struct strbuf *out, struct error *e);
void bundle_host(struct bundle *b, const char *ifname);
void bundle_config(struct bundle *b, const char *word);

/*
 * bundle_archive.c. Writing: a gzipped tar with one folder, mode 0600, under its name only once it is
 * complete. Reading: the files of these names (NULL ends them), whatever folder they are in; nothing is
 * unpacked to disk, and an archive that is no bundle, is damaged, or would take too much memory is an error.
 */
int bundle_write(const struct bundle *b, const char *path, const char *folder, struct error *e);
int bundle_open(const char *path, struct error *e); /* descriptor, or -errno */
int bundle_read(int fd, const char *const *names, struct strbuf *files, struct error *e); /* closes fd */
int bundle_read_bytes(const void *bytes, size_t len, const char *const *names, struct strbuf *files,
		      struct error *e);

#endif
