/* Two ends of an ICE session in one process, with the test as their signalling. */
#ifndef WEIR_TESTS_ICE_HELP_H
#define WEIR_TESTS_ICE_HELP_H

#include <string.h>

#include "base/clock.h"
#include "base/loop.h"
#include "ice/ice.h"

#define ICE_PATIENCE (15 * NS_PER_SEC) /* a sanitizer on a busy machine */

struct end {
	struct loop *loop;
	struct ice *ice;
	struct ice_agent *agent;
	struct end *other;
	bool deaf; /* its candidates are not passed on */
	bool free_on_candidate, free_on_selected, free_on_state, free_on_datagram;
	unsigned candidates, gathered, selections, states, datagrams, callbacks;
	unsigned host, reflexive, relayed;
	enum ice_state state;
	struct ice_pair pair;
	uint8_t last[2048];
	size_t last_len;
	char texts[32][ICE_CANDIDATE_MAX];
};

static inline void end_free_agent(struct end *s)
{
	ice_agent_free(s->agent);
	s->agent = NULL;
}

static inline void end_candidate(void *arg, uint32_t generation, const char *text)
{
	struct end *s = arg;

	(void)generation;
	s->callbacks++;
	if (s->candidates < 32)
		strcpy(s->texts[s->candidates], text);
	s->candidates++;
	s->host += strstr(text, "typ host") != NULL;
	s->reflexive += strstr(text, "typ srflx") != NULL;
	s->relayed += strstr(text, "typ relay") != NULL;
	if (s->free_on_candidate)
		end_free_agent(s);
	else if (!s->deaf && s->other->agent)
		ice_agent_add_candidate(s->other->agent, text);
}

static inline void end_gathered(void *arg, uint32_t generation)
{
	struct end *s = arg;

	(void)generation;
	s->callbacks++;
	s->gathered++;
	if (s->other->agent)
		ice_agent_remote_done(s->other->agent);
}

static inline void end_selected(void *arg, uint32_t generation, const struct ice_pair *pair)
{
	struct end *s = arg;

	(void)generation;
	s->callbacks++;
	s->selections++;
	s->pair = *pair;
	if (s->free_on_selected)
		end_free_agent(s);
}

static inline void end_state(void *arg, uint32_t generation, enum ice_state state)
{
	struct end *s = arg;

	(void)generation;
	s->callbacks++;
	s->states++;
	s->state = state;
	if (s->free_on_state)
		end_free_agent(s);
}

static inline void end_datagram(void *arg, uint32_t generation, const uint8_t *data, size_t len,
				const struct ice_pair *pair)
{
	struct end *s = arg;

	(void)generation, (void)pair;
	s->callbacks++;
	s->datagrams++;
	s->last_len = len < sizeof(s->last) ? len : sizeof(s->last);
	memcpy(s->last, data, s->last_len);
	if (s->free_on_datagram)
		end_free_agent(s);
}

static const struct ice_ops end_ops = {.candidate = end_candidate,
				       .gathered = end_gathered,
				       .selected = end_selected,
				       .state = end_state,
				       .datagram = end_datagram};

/* Runs the loop until *what reaches `least`, or patience ends. */
static inline bool end_wait(struct loop *loop, const unsigned *what, unsigned least)
{
	uint64_t until = clock_boot_ns() + ICE_PATIENCE;

	while (*what < least && clock_boot_ns() < until)
		loop_step(loop, true);
	return *what >= least;
}

static inline bool ends_introduce(struct end *x, struct end *y)
{
	char ufrag[ICE_CREDENTIAL_MAX], pwd[ICE_CREDENTIAL_MAX];

	ice_agent_credentials(x->agent, ufrag, pwd);
	if (ice_agent_set_remote(y->agent, ufrag, pwd))
		return false;
	ice_agent_credentials(y->agent, ufrag, pwd);
	return ice_agent_set_remote(x->agent, ufrag, pwd) == 0;
}

#endif
