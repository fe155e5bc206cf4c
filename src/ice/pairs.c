#include "ice/pairs.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "base/xalloc.h"

/* Moves *at behind `word` if that is what stands there. */
static bool skip(const char **at, const char *word)
{
	size_t len = strlen(word);

	if (strncmp(*at, word, len) != 0)
		return false;
	*at += len;
	return true;
}

static bool pointer(const char **at, uintptr_t *out)
{
	const char *p = *at;
	uintptr_t value = 0;
	unsigned digits = 0;

	if (p[0] != '0' || p[1] != 'x')
		return false;
	for (p += 2; digits <= 16; p++, digits++) {
		unsigned digit;

		if (*p >= '0' && *p <= '9')
			digit = (unsigned)(*p - '0');
		else if (*p >= 'a' && *p <= 'f')
			digit = (unsigned)(*p - 'a') + 10;
		else
			break;
		value = value << 4 | digit;
	}
	if (!digits || digits > 16)
		return false;
	*at = p;
	*out = value;
	return true;
}

/* "[192.0.2.1]:4000" */
static bool place(const char **at, union address *out)
{
	char host[INET6_ADDRSTRLEN + 32];
	const char *end;
	char *after;
	unsigned long port;
	size_t len;

	memset(out, 0, sizeof(*out));
	if (!skip(at, "[") || !(end = strchr(*at, ']')))
		return false;
	len = (size_t)(end - *at);
	if (!len || len >= sizeof(host))
		return false;
	memcpy(host, *at, len);
	host[len] = '\0';
	host[strcspn(host, "%")] = '\0';
	*at = end + 1;
	if (!skip(at, ":") || **at < '0' || **at > '9')
		return false;
	port = strtoul(*at, &after, 10);
	if (port > UINT16_MAX)
		return false;
	*at = after;
	if (inet_pton(AF_INET, host, &out->in.sin_addr) == 1) {
		out->in.sin_family = AF_INET;
		out->in.sin_port = htons((uint16_t)port);
		return true;
	}
	if (inet_pton(AF_INET6, host, &out->in6.sin6_addr) != 1)
		return false;
	out->in6.sin6_family = AF_INET6;
	out->in6.sin6_port = htons((uint16_t)port);
	return true;
}

static enum ice_pair_state state_of(const char *at)
{
	static const struct {
		const char *word;
		enum ice_pair_state state;
	} words[] = {
		{"FROZEN", ICE_PAIR_FROZEN},	       {"WAITING", ICE_PAIR_WAITING},
		{"IN_PROGRESS", ICE_PAIR_IN_PROGRESS}, {"SUCCEEDED", ICE_PAIR_SUCCEEDED},
		{"FAILED", ICE_PAIR_FAILED},	       {"DISCOVERED", ICE_PAIR_DISCOVERED},
	};
	size_t len = strspn(at, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_");

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (len == strlen(words[i].word) && strncmp(at, words[i].word, len) == 0)
			return words[i].state;
	return ICE_PAIR_UNKNOWN;
}

/* "pair 0x... state WAITING (function)", "pair 0x... removed." */
static enum ice_line_kind about_pair(struct ice_line *out, const char *at)
{
	if (!pointer(&at, &out->pair))
		return ICE_LINE_OTHER;
	if (skip(&at, " state ")) {
		out->state = state_of(at);
		return ICE_LINE_STATE;
	}
	return skip(&at, " removed.") ? ICE_LINE_REMOVED : ICE_LINE_OTHER;
}

/* "new pair 0x... : [l]:p --> [r]:p" */
static enum ice_line_kind new_pair(struct ice_line *out, const char *at)
{
	if (pointer(&at, &out->pair) && skip(&at, " : ") && place(&at, &out->local) && skip(&at, " --> ") &&
	    place(&at, &out->remote))
		return ICE_LINE_PAIR;
	return ICE_LINE_OTHER;
}

/* "STUN-CC REQ [l]:p --> [r]:p, socket=9, pair=0x... (c-id:1), ..." */
static enum ice_line_kind request(struct ice_line *out, const char *at)
{
	if (place(&at, &out->local) && skip(&at, " --> ") && place(&at, &out->remote) &&
	    (at = strstr(at, ", pair=")) && skip(&at, ", pair=") && pointer(&at, &out->pair))
		return ICE_LINE_REQUEST;
	return ICE_LINE_OTHER;
}

/* "stun_bind_process/conncheck for 0x...: controlled,res=success,stun#=0." */
static enum ice_line_kind answer(struct ice_line *out, const char *at)
{
	if (!pointer(&at, &out->pair) || !(at = strstr(at, ",res=")) || !skip(&at, ",res="))
		return ICE_LINE_OTHER;
	out->success = strncmp(at, "success,", 8) == 0;
	return ICE_LINE_ANSWER;
}

static enum ice_line_kind rest(struct ice_line *out, const char *at)
{
	if (skip(&at, "pair "))
		return about_pair(out, at);
	if (skip(&at, "new pair "))
		return new_pair(out, at);
	if (skip(&at, "STUN-CC REQ "))
		return request(out, at);
	if (skip(&at, "stun_bind_process/conncheck for "))
		return answer(out, at);
	if (skip(&at, "marking pair "))
		return pointer(&at, &out->pair) && strstr(at, " as nominated") ? ICE_LINE_NOMINATED
									       : ICE_LINE_OTHER;
	if (skip(&at, "STUN transaction retransmitted on pair "))
		return pointer(&at, &out->pair) ? ICE_LINE_RETRANSMITTED : ICE_LINE_OTHER;
	if (skip(&at, "Keepalive STUN-CC REQ to "))
		return ICE_LINE_KEEPALIVE;
	if (skip(&at, "Keepalive for selected pair "))
		return pointer(&at, &out->pair) && skip(&at, " received") ? ICE_LINE_KEEPALIVE_ANSWER
									  : ICE_LINE_OTHER;
	if (skip(&at, "freeing conncheck_list"))
		return ICE_LINE_CLEARED;
	return ICE_LINE_OTHER;
}

bool ice_line_parse(struct ice_line *out, const char *text)
{
	memset(out, 0, sizeof(*out));
	if (!skip(&text, "Agent ") || !pointer(&text, &out->agent))
		return false;
	/* "Agent 0x... : ", "Agent 0x... :", "Agent 0x...: " and "Agent 0x..., " are all in use. */
	text += strspn(text, " :,");
	out->kind = rest(out, text);
	return true;
}

static struct ice_known_pair *find(struct ice_pairs *p, uintptr_t id)
{
	for (unsigned i = 0; i < p->count; i++)
		if (p->pair[i].id == id)
			return &p->pair[i];
	return NULL;
}

static struct ice_known_pair *find_or_add(struct ice_pairs *p, uintptr_t id)
{
	struct ice_known_pair *k = find(p, id);

	if (k || p->count == ICE_PAIRS_MAX)
		return k;
	if (p->count == p->room) {
		p->room = p->room ? 2 * p->room : 8;
		p->pair = xrealloc(p->pair, p->room * sizeof(*p->pair));
	}
	k = &p->pair[p->count++];
	*k = (struct ice_known_pair){.id = id, .state = ICE_PAIR_UNKNOWN};
	return k;
}

static void on_known(struct ice_known_pair *k, const struct ice_line *line, uint64_t now)
{
	switch (line->kind) {
	case ICE_LINE_NOMINATED:
		k->nominated = true;
		break;
	case ICE_LINE_REQUEST:
		k->requests++;
		k->sent_at = now;
		break;
	case ICE_LINE_RETRANSMITTED:
		k->requests++;
		k->sent_at = 0;
		break;
	case ICE_LINE_ANSWER:
		k->answers++;
		if (k->sent_at && line->success)
			k->rtt = now - k->sent_at;
		k->sent_at = 0;
		break;
	default:
		break;
	}
}

void ice_pairs_take(struct ice_pairs *p, const struct ice_line *line, uint64_t now)
{
	struct ice_known_pair *k;

	switch (line->kind) {
	case ICE_LINE_PAIR:
		/* Its state was told one line earlier; whatever else is known is about an older pair that lay
		 * there. */
		if ((k = find_or_add(p, line->pair)))
			*k = (struct ice_known_pair){.id = line->pair,
						     .local = line->local,
						     .remote = line->remote,
						     .state = k->state};
		break;
	case ICE_LINE_STATE:
		if ((k = find_or_add(p, line->pair)))
			k->state = line->state;
		break;
	case ICE_LINE_REMOVED:
		if ((k = find(p, line->pair)))
			*k = p->pair[--p->count];
		break;
	case ICE_LINE_KEEPALIVE:
		p->keepalives++;
		p->keepalive_at = now;
		break;
	case ICE_LINE_KEEPALIVE_ANSWER:
		p->keepalives_answered++;
		if (p->keepalive_at)
			p->keepalive_rtt = now - p->keepalive_at;
		p->keepalive_at = 0;
		break;
	case ICE_LINE_CLEARED:
		p->count = 0;
		break;
	default:
		if ((k = find(p, line->pair)))
			on_known(k, line, now);
	}
}

void ice_pairs_clear(struct ice_pairs *p)
{
	free(p->pair);
	memset(p, 0, sizeof(*p));
}

struct ice_keepalives ice_pairs_keepalives(const struct ice_pairs *p)
{
	unsigned settled = p->keepalives_answered + (p->keepalive_at ? 1 : 0);

	return (struct ice_keepalives){.unanswered = p->keepalives > settled ? p->keepalives - settled : 0,
				       .rtt = p->keepalive_rtt};
}
