/* For tests of the configuration file: reading one, what was told about it, and a folder to write it in. */
#ifndef WEIR_TESTS_CONF_HELP_H
#define WEIR_TESTS_CONF_HELP_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/xalloc.h"
#include "config/conf.h"
#include "tests/unit/test.h"

#define PRIVATE "oK56DE9Ue9zK76rAc8pBl6opph+1v36lm7cXXsQKrQM="
#define KEY_A	"GtL7fZc/bLnqZldpVofMCD6hDjrK28SsdLxevJ+qtKU="
#define KEY_B	"xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg="
#define PSK	"/UwcSPg38hW/D9Y3tcS1FOV0K1wuURMbS0sesJEP5ak="
#define HEAD	"[Interface]\nPrivateKey = " PRIVATE "\n"
#define PEER	"[Peer]\nPublicKey = " KEY_A "\n"

/* 01, 32 bytes, "1893456000": of weir-protocol(7). */
#define TOKEN "AQABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4fMTg5MzQ1NjAwMA=="

static inline struct conf *parse(const char *text, struct conf_messages *m)
{
	*m = (struct conf_messages){0};
	return conf_parse(text, strlen(text), NULL, "wg0", m);
}

/* All complaints in one text, "LINE:COLUMN: error: ...\n". */
static inline char *told(const struct conf_messages *m)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	conf_messages_print(m, "f", f);
	fclose(f);
	return text;
}

static inline struct conf *good(const char *text)
{
	struct conf_messages m;
	struct conf *c = parse(text, &m);
	char *all = told(&m);

	if (!c || m.count)
		fail_msg("expected no complaint, got:\n%s", all);
	free(all);
	conf_messages_clear(&m);
	return c;
}

struct wrong {
	const char *text;     /* behind HEAD: first line is 3; behind PEER: line 5 */
	const char *expected; /* start of the complaint's line, then a part of it */
	const char *part;
};

static inline void expect_wrong(const char *before, const struct wrong *w)
{
	struct conf_messages m;
	char *text = xasprintf("%s%s\n", before, w->text), *all;
	struct conf *c = parse(text, &m);
	size_t errors = m.errors;

	all = told(&m);
	if (c || errors != 1 || !strstr(all, w->expected) || !strstr(all, w->part))
		fail_msg("%s\nexpected one error \"%s ... %s\", got %zu:\n%s", w->text, w->expected, w->part,
			 errors, all);
	conf_free(c);
	conf_messages_clear(&m);
	free(all);
	free(text);
}

static char folder[] = "/tmp/weir-conf-XXXXXX";

static inline char *write_file(const char *name, const char *text, mode_t mode)
{
	char *path = xasprintf("%s/%s", folder, name);
	FILE *f = fopen(path, "w");

	fputs(text, f);
	fclose(f);
	chmod(path, mode);
	return path;
}

static inline int make_folder(void **state)
{
	(void)state;
	strcpy(folder, "/tmp/weir-conf-XXXXXX");
	return mkdtemp(folder) ? chmod(folder, 0755) : -1;
}

static inline int remove_folder(void **state)
{
	char *command = xasprintf("rm -r '%s'", folder);
	int r = system(command);

	(void)state;
	unsetenv("CREDENTIALS_DIRECTORY");
	free(command);
	return r;
}

#endif
