/* Named faults: the catalogue's classes (F1...) and others, injected one at a time, and what the engine makes
 * of each. */
#include "tests/sim/stage.h"

#include <stdio.h>
#include <string.h>

const struct scenario *scenario_at(size_t i)
{
	if (i < path_scenario_count)
		return &path_scenarios[i];
	i -= path_scenario_count;
	if (i < relay_scenario_count)
		return &relay_scenarios[i];
	i -= relay_scenario_count;
	return i < tunnel_scenario_count ? &tunnel_scenarios[i] : NULL;
}

const struct scenario *scenario_find(const char *id)
{
	const struct scenario *s;

	for (size_t i = 0; (s = scenario_at(i)); i++)
		if (!strcmp(s->id, id))
			return s;
	return NULL;
}

void scenario_run(const struct scenario *s, uint64_t seed, bool verbose, struct result *out)
{
	struct world *w = world_new(seed, s->nodes, s->servers, verbose);

	memset(out, 0, sizeof(*out));
	s->run(w, out);
	if (!w->failed && out->recovered > s->bound)
		world_fail(w, "%s: %.2f s, the bound is %.2f s", s->id, (double)out->recovered / 1e9,
			   (double)s->bound / 1e9);
	out->failed = w->failed;
	snprintf(out->failure, sizeof(out->failure), "%s", w->failure);
	snprintf(out->evidence, sizeof(out->evidence), "%s", w->evidence);
	world_free(w);
}
