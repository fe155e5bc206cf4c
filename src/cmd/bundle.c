/* weir bundle: one archive of all that helps to find out what is wrong, without a secret in it. */
#include "config.h"
#include "cmd/bundle.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/xalloc.h"
#include "cmd/command.h"
#include "crypto/primitives.h"

#define NETREPORT_TIME 30 /* s */

/* ---- the report of the network, in a process of its own: it takes a while ---- */

static struct tool *start_netreport(struct bundle *b, const struct options *o, const char *word)
{
	const char *argv[] = {"/proc/self/exe", "netreport", "--json", word, o->run_dir ? "--run-dir" : NULL,
			      o->run_dir,	NULL};
	struct error e = {0};
	struct tool *t = tool_start(argv, &e);

	if (!t)
		bundle_failed(b, "netreport.json", "%s", e.text);
	return t;
}

static void take_netreport(struct bundle *b, struct tool *t, uint64_t started)
{
	double left = NETREPORT_TIME - (double)(clock_boot_ns() - started) / 1e9;
	struct strbuf out = {0};
	struct error e = {0};

	if (!t)
		return;
	/* What it finds wrong is told by its exit code, too. */
	if (tool_finish(t, left, &out, &e) && (!out.len || *out.text != '{'))
		bundle_failed(b, "netreport.json", "%s", e.text);
	else
		strbuf_append(
			bundle_add(b, "netreport.json", "what this network lets through (weir netreport)"),
			out.text, out.len);
	strbuf_clear(&out);
}

/* ---- cleaning, manifest ---- */

/* All names are known now: only here anything is replaced. */
static void clean(struct bundle *b)
{
	for (size_t i = 0; i < b->count;) {
		struct bundle_file *f = &b->files[i];
		struct strbuf out = {0};

		hide_text(b->hide, f->bytes.text ? f->bytes.text : "", f->bytes.len, &out);
		if (f->bytes.text)
			explicit_bzero(f->bytes.text, f->bytes.len);
		strbuf_clear(&f->bytes);
		f->bytes = out;
		if (!hide_leaks(b->hide, out.text ? out.text : "", out.len)) {
			i++;
			continue;
		}
		bundle_failed(b, f->name, "left out: a secret could not be taken out of it");
		strbuf_clear(&f->bytes);
		memmove(f, f + 1, (--b->count - i) * sizeof(*f));
	}
}

static void add_manifest(struct bundle *b, const char *ifname, bool anonymise)
{
	json_t *files = json_array(), *o;
	struct strbuf text = {0}, *to;
	char *dump, shown[4 * IFNAMSIZ];

	for (size_t i = 0; i < b->count; i++)
		json_array_append_new(files,
				      json_pack("{s:s, s:I, s:s}", "name", b->files[i].name, "size",
						(json_int_t)b->files[i].bytes.len, "what", b->files[i].what));
	/* What was typed need not be UTF-8. */
	log_visible(shown, sizeof(shown), ifname, strlen(ifname));
	o = json_pack("{s:s, s:i, s:s, s:s, s:f, s:b, s:o, s:O, s:O}", "kind", BUNDLE_KIND, "schema",
		      BUNDLE_SCHEMA, "version", VERSION, "interface", shown, "at",
		      (double)clock_wall_ns() / 1e9, "anonymised", anonymise, "files", files, "failed",
		      b->failed, "warnings", b->warnings);
	dump = json_dumps(o, JSON_INDENT(1));
	hide_text(b->hide, dump, strlen(dump), &text);
	strbuf_add(&text, "\n");
	/* It comes first. */
	memmove(&b->files[1], &b->files[0], b->count++ * sizeof(b->files[0]));
	memset(&b->files[0], 0, sizeof(b->files[0]));
	snprintf(b->files[0].name, sizeof(b->files[0].name), "MANIFEST.json");
	to = &b->files[0].bytes;
	*to = text;
	free(dump);
	json_decref(o);
}

/* ---- the command ---- */

static void print_done(const struct bundle *b, const char *path, bool anonymise)
{
	const json_t *o;
	size_t i;

	printf("%s: %zu files, without secrets%s\n", path, b->count,
	       anonymise ? "; keys, addresses and names are pseudonyms" : "");
	json_array_foreach(b->failed, i, o)
		printf("  not complete: %s: %s\n", json_string_value(json_object_get(o, "what")),
		       json_string_value(json_object_get(o, "why")));
	json_array_foreach(b->warnings, i, o) printf("  note: %s\n", json_string_value(o));
	if (!anonymise)
		printf("  it holds public keys, addresses and names: --anonymise replaces them\n");
}

static void gather(struct bundle *b, const struct options *o, struct client *c, const char *word,
		   const char *ifname)
{
	uint64_t started = clock_boot_ns();
	struct tool *netreport = start_netreport(b, o, word);

	if (c)
		bundle_engine(b, c, o->seconds);
	bundle_config(b, word);
	bundle_host(b, ifname);
	take_netreport(b, netreport, started);
	clean(b);
	add_manifest(b, ifname, o->anonymise);
}

int bundle_main(const struct options *o, int count, char **words, struct error *e)
{
	struct bundle b = {.failed = json_array(), .warnings = json_array()};
	char ifname[IFNAMSIZ], stamp[32], *folder, *path;
	const char *word = count ? words[0] : NULL;
	time_t now = time(NULL);
	struct client *c;
	struct tm tm;
	int r;

	crypto_init();
	b.hide = hide_new(o->anonymise);
	c = command_connect(o, word, ifname, e);
	/* An engine that is gone leaves a host to be looked at, if we know which. */
	if (!c && (e->exit != EXIT_NOT_RUNNING || (!word && !o->interface))) {
		bundle_clear(&b);
		return command_failed(e);
	}
	if (!c)
		bundle_failed(&b, "the engine", "%s", e->text);
	gather(&b, o, c, word ? word : ifname, ifname);
	if (c)
		client_close(c);
	strftime(stamp, sizeof(stamp), "%Y%m%dT%H%M%SZ", gmtime_r(&now, &tm));
	folder = xasprintf("weir-%s-%s", ifname, stamp);
	for (char *at = folder; *at; at++)
		if (!isalnum((unsigned char)*at) && !strchr("-_.", *at))
			*at = '_';
	path = o->output ? xstrdup(o->output) : xasprintf("%s.tar.gz", folder);
	r = bundle_write(&b, path, folder, e);
	if (!r)
		print_done(&b, path, o->anonymise);
	bundle_clear(&b);
	free(folder);
	free(path);
	return r ? command_failed(e) : EXIT_OK;
}
