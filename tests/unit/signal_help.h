/* Messages to try the codec with. */
#ifndef WEIR_TESTS_SIGNAL_HELP_H
#define WEIR_TESTS_SIGNAL_HELP_H

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "base/path.h"
#include "signal/signal.h"

#define EVERY_FIELD ((SIGNAL_HAS_NAT << 1) - 1)

/* A message with every field at a value of its own, as many candidates as fit, all texts as long as they may
 * be. */
static inline void fill_message(struct signal_message *m, enum signal_type type)
{
	uint64_t *number = &m->report.wall;

	memset(m, 0, sizeof(*m));
	m->type = type;
	m->flags = SIGNAL_ASK | SIGNAL_NO_ICE | SIGNAL_RESTARTS;
	m->boot = 0x0102030405060708;
	m->started = 1767225600ull * 1000000000;
	m->sequence = 0xfffffffffffffff0;
	memcpy(m->session, "session!", SIGNAL_SESSION_LEN);
	m->generation = 0x80000001;
	m->has = EVERY_FIELD;
	m->reason = SIGNAL_REASON_remote_restarted;
	memset(m->ufrag, 'u', sizeof(m->ufrag) - 1);
	memset(m->pwd, 'p', sizeof(m->pwd) - 1);
	memset(m->relay, 'r', sizeof(m->relay) - 1);
	memcpy(m->answered, "answered", SIGNAL_SESSION_LEN);
	memcpy(m->echo, "0123456789abcdef", sizeof(m->echo));
	m->observed.in6 = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = htons(51820)};
	inet_pton(AF_INET6, "2001:db8::1", &m->observed.in6.sin6_addr);
	m->size = 1472;
	m->data_sent = 0x1111111111111111;
	m->data_received = 0x2222222222222222;
	m->back_in_ms = 0x33333333;
	m->path = PATH_KIND_TURN;
	m->nat = SIGNAL_NAT_VARIES;
	memset(m->version, 'v', sizeof(m->version) - 1);
	for (unsigned i = 0; i < 15; i++) /* wall to rejected_other lie in a row */
		number[i] = 0x4400000000000000 + i;
	m->report.last_received_age = UINT64_MAX;
	m->report.last_handshake_age = 5;
	m->report.packets_lost = 6;
	m->report.path = PATH_KIND_DIRECT;
	m->report.mtu = 1420;
	m->candidate_count = SIGNAL_CANDIDATES;
	for (unsigned i = 0; i < SIGNAL_CANDIDATES; i++)
		memset(m->candidates[i], 'a' + (int)i, SIGNAL_CANDIDATE_MAX - 1);
}

#endif
