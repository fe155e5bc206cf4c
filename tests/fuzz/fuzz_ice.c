/*
 * What the remote says about its candidates, and what libnice writes into its debug lines (addresses from
 * outside are in them). First byte even: a candidate. Odd: lines.
 */
#include <stdlib.h>
#include <string.h>

#include "ice/candidate.h"
#include "ice/pairs.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int truth)
{
	if (!truth)
		abort();
}

static void try_candidate(const char *text)
{
	struct candidate c;
	char address[ADDRESS_TEXT];

	if (candidate_parse(&c, text))
		return;
	require(strlen(text) < ICE_CANDIDATE_MAX);
	require(c.address.sa.sa_family == AF_INET || c.address.sa.sa_family == AF_INET6);
	require(c.tcp || c.address.in.sin_port != 0);
	require(c.type <= ICE_RELAYED && candidate_same(&c, &c));
	address_format(address, &c.address);
}

static void try_lines(char *text)
{
	struct ice_pairs p = {0};
	struct ice_line line;
	uint64_t now = 0;

	for (char *one; (one = strsep(&text, "\n"));)
		if (ice_line_parse(&line, one))
			ice_pairs_take(&p, &line, ++now);
	require(p.count <= ICE_PAIRS_MAX && p.count <= p.room);
	for (unsigned n = 0; n < p.count; n++)
		require(p.pair[n].rtt <= now && p.pair[n].state <= ICE_PAIR_UNKNOWN);
	ice_pairs_clear(&p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text;

	if (!size)
		return 0;
	text = malloc(size); /* of its own, so that one byte too far is seen */
	require(text != NULL);
	memcpy(text, data + 1, size - 1);
	text[size - 1] = '\0';
	if (data[0] & 1)
		try_lines(text);
	else
		try_candidate(text);
	free(text);
	return 0;
}
