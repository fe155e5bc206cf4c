/* Two nodes for each test of a program: with a session (set_up) or without. */
#ifndef WEIR_TESTS_WG_PAIR_H
#define WEIR_TESTS_WG_PAIR_H

#include "tests/unit/wg_rig.h"

static struct rig *rig;
static struct node *a, *b; /* a began */

static int set_up(void **state)
{
	(void)state;
	rig = rig_connected();
	a = &rig->n[0];
	b = &rig->n[1];
	return 0;
}

static int set_up_unconnected(void **state)
{
	(void)state;
	rig = rig_new();
	a = &rig->n[0];
	b = &rig->n[1];
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	rig_free(rig);
	return 0;
}

#define CONNECTED(f)   cmocka_unit_test_setup_teardown(f, set_up, tear_down)
#define UNCONNECTED(f) cmocka_unit_test_setup_teardown(f, set_up_unconnected, tear_down)

#endif
