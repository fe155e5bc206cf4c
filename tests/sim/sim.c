/* The simulator's command line. A failing schedule prints one line that repeats it. */
#include "tests/sim/sim.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/xalloc.h"

#define STANDBY_MEDIAN SECONDS(1)
#define STANDBY_P99    SECONDS(2)
#define TABLE_SEEDS    10
#define FAILURES_MOST  50

struct options {
	uint64_t seeds, first;
	bool one, verbose, forever, table, verdicts;
	unsigned peers;
	const char *scenario;
};

static void usage(void)
{
	puts("usage: sim [--seeds N] [--from N] [--peers N] [--forever]     random schedules\n"
	     "       sim --seed N [--scenario NAME] [--peers N] [--verbose] one of them, told in words\n"
	     "       sim --scenario NAME|all [--seeds N]                    named faults\n"
	     "       sim --table                                            all named faults, with evidence "
	     "and times\n"
	     "       sim --verdicts                                         faults that the rules must name");
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

struct series {
	uint64_t *values;
	size_t count, room;
};

static void add(struct series *s, uint64_t value)
{
	if (s->count == s->room) {
		s->room = s->room ? 2 * s->room : 256;
		s->values = xrealloc(s->values, s->room * sizeof(*s->values));
	}
	s->values[s->count++] = value;
}

static uint64_t quantile(struct series *s, unsigned per_mille)
{
	if (!s->count)
		return 0;
	qsort(s->values, s->count, sizeof(*s->values), compare);
	return s->values[(s->count - 1) * per_mille / 1000];
}

static double seconds(uint64_t ns)
{
	return (double)ns / 1e9;
}

static void complain(const struct options *o, const char *scenario, uint64_t seed, const struct result *r)
{
	char peers[24] = "";

	if (o->peers)
		snprintf(peers, sizeof(peers), " --peers %u", o->peers);
	printf("FAILED: %s\n  tests/sim/sim --seed %" PRIu64 " --scenario %s%s --verbose\n", r->failure, seed,
	       scenario, peers);
	fflush(stdout);
}

static int run_chaos(const struct options *o)
{
	struct series healed = {0}, standby = {0};
	unsigned failures = 0;
	struct result r;

	for (uint64_t seed = o->first; o->forever || seed < o->first + o->seeds; seed++) {
		chaos_run(seed, o->peers, o->verbose, &r);
		if (r.failed) {
			complain(o, "chaos", seed, &r);
			if (++failures == FAILURES_MOST)
				break;
			continue;
		}
		add(&healed, r.healed);
		if (r.standby != UINT64_MAX)
			add(&standby, r.standby);
		if (o->forever && seed % 10000 == 9999) {
			printf("%" PRIu64 " schedules\n", seed + 1 - o->first);
			fflush(stdout);
		}
	}
	printf("chaos: %zu schedules well, %u failed; up after healing: median %.2f s, 99%% %.2f s, most "
	       "%.2f s\n",
	       healed.count, failures, seconds(quantile(&healed, 500)), seconds(quantile(&healed, 990)),
	       seconds(quantile(&healed, 1000)));
	printf("path in use dies while another lives (%zu times): median %.2f s, 99%% %.2f s, most %.2f s\n",
	       standby.count, seconds(quantile(&standby, 500)), seconds(quantile(&standby, 990)),
	       seconds(quantile(&standby, 1000)));
	if (standby.count > 100 &&
	    (quantile(&standby, 500) > STANDBY_MEDIAN || quantile(&standby, 990) > STANDBY_P99)) {
		puts("FAILED: switching to a standby path takes longer than 1 s in the median or 2 s at 99 "
		     "%");
		failures++;
	}
	free(healed.values);
	free(standby.values);
	return failures ? 1 : 0;
}

static int run_scenario(const struct options *o, const struct scenario *s, uint64_t seeds)
{
	struct series times = {0};
	char evidence[PEER_NOTE_MAX] = "";
	struct result r;
	int rc = 0;

	for (uint64_t seed = o->first; seed < o->first + seeds; seed++) {
		scenario_run(s, seed, o->verbose, &r);
		if (r.failed) {
			complain(o, s->id, seed, &r);
			rc = 1;
			continue;
		}
		add(&times, r.recovered);
		if (!evidence[0])
			memcpy(evidence, r.evidence, sizeof(evidence));
	}
	printf("%-8s %-52s %6.2f %6.2f  %s\n", s->id, s->what, seconds(quantile(&times, 500)),
	       seconds(quantile(&times, 1000)), evidence[0] ? evidence : "-");
	fflush(stdout);
	free(times.values);
	return rc;
}

static int run_scenarios(const struct options *o)
{
	uint64_t seeds = o->table ? TABLE_SEEDS : o->one ? 1 : o->seeds;
	const struct scenario *s;
	int rc = 0;

	if (!o->table && strcmp(o->scenario, "all") != 0) {
		s = scenario_find(o->scenario);
		if (!s) {
			fprintf(stderr, "sim: no scenario is called %s\n", o->scenario);
			return 2;
		}
		return run_scenario(o, s, seeds);
	}
	printf("%-8s %-52s %6s %6s  %s\n", "id", "fault", "median", "most", "found by");
	for (size_t i = 0; (s = scenario_at(i)); i++)
		rc |= run_scenario(o, s, seeds);
	return rc;
}

static bool number(const char *text, uint64_t *out)
{
	char *end;

	errno = 0;
	*out = strtoull(text, &end, 10);
	return !errno && end != text && !*end;
}

static bool parse(int argc, char **argv, struct options *o)
{
	static const struct option words[] = {{"seeds", required_argument, NULL, 'n'},
					      {"seed", required_argument, NULL, 's'},
					      {"from", required_argument, NULL, 'f'},
					      {"peers", required_argument, NULL, 'p'},
					      {"scenario", required_argument, NULL, 'c'},
					      {"verbose", no_argument, NULL, 'v'},
					      {"forever", no_argument, NULL, 'e'},
					      {"table", no_argument, NULL, 't'},
					      {"verdicts", no_argument, NULL, 'r'},
					      {"help", no_argument, NULL, 'h'},
					      {0}};
	uint64_t peers = 0;
	bool good = true;
	int c;

	while ((c = getopt_long(argc, argv, "", words, NULL)) != -1)
		switch (c) {
		case 'n':
			good = good && number(optarg, &o->seeds);
			break;
		case 's':
			o->one = true;
			o->seeds = 1;
			good = good && number(optarg, &o->first);
			break;
		case 'f':
			good = good && number(optarg, &o->first);
			break;
		case 'p':
			good = good && number(optarg, &peers) && peers >= 2 && peers <= NODES_MAX;
			break;
		case 'c':
			o->scenario = optarg;
			break;
		case 'v':
			o->verbose = true;
			break;
		case 'e':
			o->forever = true;
			break;
		case 't':
			o->table = true;
			break;
		case 'r':
			o->verdicts = true;
			break;
		default:
			good = false;
		}
	o->peers = (unsigned)peers;
	return good && optind == argc;
}

int main(int argc, char **argv)
{
	struct options o = {.seeds = 1000, .first = 1};

	if (!parse(argc, argv, &o)) {
		usage();
		return 2;
	}
	if (o.verdicts)
		return verdicts_run();
	if (o.forever) {
		o.first = (uint64_t)time(NULL) * 1000;
		printf("from seed %" PRIu64 " on\n", o.first);
	}
	if (o.table || (o.scenario && strcmp(o.scenario, "chaos") != 0))
		return run_scenarios(&o);
	return run_chaos(&o);
}
