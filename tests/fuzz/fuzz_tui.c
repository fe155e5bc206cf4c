/*
 * The dashboard under any keys, sizes and lines of an engine. The input is a row of records, each one byte of
 * kind, one of length and that many bytes: 'l' a line of the control protocol, 'L' one whose length is in
 * units of 16, 'k' bytes from the keyboard, 's' a size.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "tui/frame.h"
#include "tui/input.h"
#include "tui/text.h"
#include "tui/view.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int truth)
{
	if (!truth)
		abort();
}

static void check(struct model *m, const struct data *d)
{
	struct scene s = {.d = d, .m = m, .now = d->at + 1};
	struct grid g;

	grid_init(&g, m->width, m->height, false);
	view_draw(&g, &s);
	for (int row = 0; row < g.height; row++)
		for (int col = 0; col < g.width; col++) {
			uint32_t ch = grid_at(&g, row, col)->ch;
			const struct cell *next = grid_at(&g, row, col + 1);

			require(ch ? text_width(ch) > 0 : col > 0);
			require(!ch || (text_width(ch) == 2) == (next && !next->ch));
		}
	require(g.cursor_row >= 0 && g.cursor_row < g.height && g.cursor_col >= 0 && g.cursor_col < g.width);
	grid_clear(&g);
}

static void press(struct model *m, struct data *d, struct input *in, const uint8_t *bytes, size_t len)
{
	struct effects fx = {0};
	uint32_t code;

	input_feed(in, bytes, len);
	while ((code = input_next(in, true)) != 0)
		model_key(m, d, code, d->at, &fx);
	effects_clear(&fx);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct data *d = data_new();
	struct input in;
	struct model m;
	struct effects fx = {0};
	struct reply reply;

	model_init(&m);
	input_init(&in);
	while (size >= 2) {
		size_t len = data[1] * (data[0] == 'L' ? 16u : 1u);
		const uint8_t *bytes = data + 2;

		size -= 2;
		len = len < size ? len : size;
		if (data[0] == 'l' || data[0] == 'L') {
			if (data_line(d, (const char *)bytes, len, 1, &reply) == NEWS_REPLY)
				model_reply(&m, &reply, d->at);
			model_sync(&m, d, &fx);
			effects_clear(&fx);
		} else if (data[0] == 's' && len >= 2) {
			model_resize(&m, d, 1 + bytes[0], 1 + bytes[1] % 80);
		} else {
			press(&m, d, &in, bytes, len);
		}
		check(&m, d);
		data = bytes + len;
		size -= len;
	}
	model_clear(&m);
	data_free(d);
	return 0;
}
