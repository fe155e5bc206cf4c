/*
 * A bundle of a stranger, as weir replay reads it: an archive, or behind a first byte of 'f' the files
 * themselves (each with two bytes of length), the recorded lines of which are played; behind 'h' a text that
 * is to be made anonymous.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/bundle.h"
#include "cmd/replay.h"
#include "crypto/primitives.h"
#include "tui/past.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const names[] = {"MANIFEST.json", "status.json", "history.jsonl", NULL};

static void require(int truth)
{
	if (!truth)
		abort();
}

static void play(const struct replay *r)
{
	struct past *p = past_new(1);
	const char *at = r->lines.text, *end = at + r->lines.len;

	while (at < end) {
		const char *newline = memchr(at, '\n', (size_t)(end - at));

		require(newline != NULL);
		past_line(p, at, (size_t)(newline - at), 0);
		at = newline + 1;
	}
	past_seek(p, past_last(p));
	require(!past_data(p) == !past_lines(p));
	past_step(p, -1);
	require(past_at(p) <= past_last(p) && past_at(p) >= past_first(p));
	require(!past_data(p) == !past_lines(p));
	past_free(p);
}

static void look(struct strbuf files[3])
{
	struct replay r;
	struct error e;

	if (!replay_open(&r, &files[0], &files[1], &files[2], &e))
		play(&r);
	replay_close(&r);
}

static void from_files(const uint8_t *data, size_t size)
{
	struct strbuf files[3] = {0};

	for (size_t i = 0; i < 3 && size >= 2; i++) {
		size_t len = (size_t)data[0] << 8 | data[1];

		data += 2;
		size -= 2;
		len = len < size ? len : size;
		strbuf_append(&files[i], data, len);
		data += len;
		size -= len;
	}
	look(files);
	for (size_t i = 0; i < 3; i++)
		strbuf_clear(&files[i]);
}

static void hide(const char *text, size_t len)
{
	static const char secret[] = "swordfish";
	struct hide *h = hide_new(true);
	struct strbuf conf = {0}, out = {0};

	hide_secret(h, secret, sizeof(secret) - 1);
	hide_learn(h, text, len);
	hide_config(h, text, len, &conf);
	hide_text(h, conf.text ? conf.text : "", conf.len, &out);
	require(!out.len || !memmem(out.text, out.len, secret, sizeof(secret) - 1));
	strbuf_clear(&conf);
	strbuf_clear(&out);
	hide_free(h);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct strbuf files[3] = {0};
	struct error e;

	crypto_init();
	if (size && data[0] == 'f') {
		from_files(data + 1, size - 1);
	} else if (size && data[0] == 'h') {
		hide((const char *)data + 1, size - 1);
	} else {
		if (!bundle_read_bytes(data, size, names, files, &e))
			look(files);
		for (size_t i = 0; i < 3; i++)
			strbuf_clear(&files[i]);
	}
	return 0;
}
