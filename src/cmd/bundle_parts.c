/* A bundle while it is put together. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "cmd/bundle.h"

struct strbuf *bundle_add(struct bundle *b, const char *name, const char *what)
{
	struct bundle_file *f = &b->files[b->count++];

	snprintf(f->name, sizeof(f->name), "%s", name);
	f->what = what;
	return &f->bytes;
}

void bundle_failed(struct bundle *b, const char *what, const char *fmt, ...)
{
	char text[400], shown[800];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	/* What a tool printed need not be UTF-8. */
	log_visible(shown, sizeof(shown), text, strlen(text));
	json_array_append_new(b->failed, json_pack("{s:s, s:s}", "what", what, "why", shown));
}

void bundle_clear(struct bundle *b)
{
	for (size_t i = 0; i < b->count; i++) {
		if (b->files[i].bytes.text)
			explicit_bzero(b->files[i].bytes.text, b->files[i].bytes.len);
		strbuf_clear(&b->files[i].bytes);
	}
	free(b->config_path);
	json_decref(b->failed);
	json_decref(b->warnings);
	hide_free(b->hide);
}
