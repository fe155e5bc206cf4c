/* Why a peer is not well, as the engine found it (weir-control(7), "diagnosis"). */
#ifndef WEIR_TUI_DIAGNOSIS_H
#define WEIR_TUI_DIAGNOSIS_H

#include <stdbool.h>
#include <stdint.h>

#define FINDINGS      4
#define FINDING_LINES 10
#define FINDINGS_GOOD 6

enum finding_mark { FINDING_GOOD, FINDING_BAD, FINDING_NOTE };

struct finding_line {
	enum finding_mark mark;
	double at; /* Unix seconds, 0: now */
	char layer[16], text[200];
};

struct finding {
	char rule[40], title[72], confidence[12], side[12];
	bool note; /* worth knowing, and no trouble */
	double since;
	char verdict[256], next[220], command[112];
	uint32_t key; /* of the dashboard, 0: none helps */
	unsigned line_count;
	struct finding_line lines[FINDING_LINES];
};

/* Best first: a cause before its symptoms. */
struct findings {
	unsigned count, good_count;
	struct finding items[FINDINGS];
	struct finding_line good[FINDINGS_GOOD]; /* what works, and what was ruled out */
};

#endif
