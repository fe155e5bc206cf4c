/* The Packets screen. */
#include "tui/view.h"

void view_packets(struct grid *g, const struct scene *s)
{
	struct pen p = pen_at(g, 0, 1, g->width);

	part_time(&p, s);
	pen_print(&p, STYLE_HEAD, "packets of %s", s->d->interface);
	p = pen_at(g, 2, 1, g->width);
	pen_text(&p, STYLE_DIM, "none: packets are recorded by  weir capture");
}
