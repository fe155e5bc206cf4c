/* What a frame of the dashboard costs with many peers: tui_frame [PEERS ...]; 2,000 and 10,000 unless told.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "tui/frame.h"
#include "tui/view.h"
#include "../unit/tui_scenario.h"

static const char *move_to(void *arg, int row, int col)
{
	static char out[32];

	(void)arg;
	snprintf(out, sizeof(out), "\033[%d;%dH", row + 1, col + 1);
	return out;
}

static double ms_since(uint64_t start)
{
	return (double)(clock_boot_ns() - start) / 1e6;
}

static void measure(size_t peers)
{
	struct frame_caps caps = {.move = move_to, .clear = "", .clear_eol = "\033[K", .last_cell = true};
	struct data *d = data_new();
	struct model m;
	struct grid before, after;
	struct effects fx = {0};
	struct strbuf out = {0};
	struct reply reply;
	unsigned seed = 1;
	double load, sync = 0, draw = 0, key = 0, worst = 0;
	enum { FRAMES = 50 };
	char *line = random_snapshot(peers, 1000, &seed);
	uint64_t start = clock_boot_ns();

	for (int i = 0; i < 32; i++)
		caps.styles[i] = "\033[m";
	data_line(d, line, strlen(line), 1, &reply);
	load = ms_since(start);
	free(line);
	model_init(&m);
	model_resize(&m, d, 120, 40);
	grid_init(&before, 120, 40, false);
	grid_init(&after, 120, 40, false);
	for (int i = 0; i < FRAMES; i++) {
		struct scene s = {.d = d, .m = &m, .now = 1000 + i};
		struct grid swap = before;
		double frame;
		uint64_t begin = clock_boot_ns();

		model_sync(&m, d, &fx);
		sync += frame = ms_since(begin);
		start = clock_boot_ns();
		model_key(&m, d, 'j', s.now, &fx);
		key += ms_since(start);
		start = clock_boot_ns();
		view_draw(&after, &s);
		frame_diff(&out, &before, &after, &caps);
		draw += ms_since(start);
		frame = ms_since(begin);
		worst = frame > worst ? frame : worst;
		strbuf_consume(&out, out.len);
		before = after;
		after = swap;
		effects_clear(&fx);
	}
	printf("%6zu peers: full snapshot %.0f ms; frame %.2f ms (rows %.2f, key %.2f, draw %.2f), worst "
	       "%.2f ms\n",
	       peers, load, (sync + key + draw) / FRAMES, sync / FRAMES, key / FRAMES, draw / FRAMES, worst);
	strbuf_clear(&out);
	grid_clear(&before);
	grid_clear(&after);
	model_clear(&m);
	data_free(d);
}

int main(int argc, char **argv)
{
	if (argc < 2) {
		measure(2000);
		measure(10000);
	}
	for (int i = 1; i < argc; i++)
		measure((size_t)atol(argv[i]));
	return 0;
}
