/* The menu of columns: as the width allows, always, never. */
#include "tui/model_internal.h"

static void cycle(struct model *m)
{
	unsigned bit = 1u << m->column_row;

	if (m->column_row <= COLUMN_STATE)
		return; /* who it is and how it is are always there */
	if (m->columns.off & bit) {
		m->columns.off &= ~bit;
	} else if (m->columns.on & bit) {
		m->columns.on &= ~bit;
		m->columns.off |= bit;
	} else {
		m->columns.on |= bit;
	}
}

void columns_key(struct model *m, const struct data *d, uint32_t code, struct effects *fx)
{
	if (code == K_DOWN || code == 'j')
		m->column_row = (m->column_row + 1) % COLUMNS;
	else if (code == K_UP || code == 'k')
		m->column_row = (m->column_row + COLUMNS - 1) % COLUMNS;
	else if (code == ' ')
		cycle(m);
	else if (code == '=')
		m->columns = (struct column_choice){0};
	else
		m->mode = MODE_NORMAL;
	if (code == ' ' || code == '=')
		effect_add(fx, EFFECT_SETTINGS);
	model_sync(m, d, fx);
}
