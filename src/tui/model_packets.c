/* The Packets screen: what is typed and moved there. */
#include "tui/model_internal.h"

void packets_shown(struct model *m, bool shown, struct effects *fx)
{
	(void)m;
	(void)shown;
	(void)fx;
}

void packets_sync(struct model *m, const struct data *d, struct effects *fx)
{
	(void)m;
	(void)d;
	(void)fx;
}

void packets_filtered(struct model *m, const struct data *d, struct effects *fx)
{
	(void)m;
	(void)d;
	(void)fx;
}

void packets_move(struct model *m, const struct data *d, long by, struct effects *fx)
{
	(void)m;
	(void)d;
	(void)by;
	(void)fx;
}

bool packets_command(struct model *m, const struct data *d, enum command c, double now, struct effects *fx)
{
	(void)m;
	(void)d;
	(void)c;
	(void)now;
	(void)fx;
	return false;
}
