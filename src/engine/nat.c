#include "engine/nat.h"

#include <ifaddrs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/xalloc.h"
#include "crypto/primitives.h"
#include "engine/paths.h"

#define TRY_EVERY   (400 * NS_PER_MS)
#define TRIES	    5 /* two seconds: loss and slow lines do not look like a firewall */
#define PATIENCE    2 /* tries, until a server counts as one that does not answer while others do */
#define AGAIN	    (60 * NS_PER_SEC)
#define BLOCKED_FOR (15 * NS_PER_SEC)
#define IN_DOUBT    (5 * NS_PER_SEC) /* what was known is older than the trouble */

bool nat_address_is_ours(const union address *a)
{
	struct ifaddrs *all;
	bool found = false;

	if (getifaddrs(&all))
		return false;
	for (const struct ifaddrs *i = all; i && !found; i = i->ifa_next)
		found = i->ifa_addr && address_same_host((const union address *)i->ifa_addr, a);
	freeifaddrs(all);
	return found;
}

/* ---- the end of a round ---- */

static bool has_mapped(const struct nat_question *q)
{
	return q->mapped.sa.sa_family != AF_UNSPEC;
}

/*
 * RFC 5780 section 4.3 compares what a server sees at another address of its own. Ports of one address tell a
 * NAT that maps by port (RFC 4787: address-and-port-dependent), but not one that maps by address from one
 * that does not.
 */
enum signal_nat nat_judge(const struct nat_question *q, unsigned count, bool sent, bool refused,
			  bool *two_addresses)
{
	const union address *first = NULL;
	bool varies = false, two_ports = false;

	*two_addresses = false;
	for (unsigned i = 0; i < count; i++) {
		if (!has_mapped(&q[i]))
			continue;
		if (!first)
			first = &q[i].mapped;
		for (unsigned k = 0; k < i; k++) {
			if (!has_mapped(&q[k]) || address_equal(&q[i].to, &q[k].to))
				continue;
			varies |= !address_equal(&q[i].mapped, &q[k].mapped);
			if (address_same_host(&q[i].to, &q[k].to))
				two_ports = true;
			else
				*two_addresses = true;
		}
	}
	if (!first) /* an ICMP message that came back went through as UDP does: nobody listens there, that is
		       all */
		return sent && !refused ? SIGNAL_NAT_BLOCKED : SIGNAL_NAT_UNKNOWN;
	if (varies)
		return SIGNAL_NAT_VARIES;
	if (nat_address_is_ours(first))
		return SIGNAL_NAT_OPEN;
	if (*two_addresses)
		return SIGNAL_NAT_SAME;
	return two_ports ? SIGNAL_NAT_SAME_PORTS : SIGNAL_NAT_UNKNOWN;
}

static void keep_mapped(struct nat *n, uint64_t now)
{
	struct nat_view *v = &n->view;

	v->turn_answers = false;
	for (unsigned i = n->count; i-- > 0;) {
		const struct nat_question *q = &n->asked[i];

		if (!has_mapped(q))
			continue;
		v->turn_answers |= q->turn;
		if (i)
			continue;
		/* the socket is another each time, and its port with it */
		if (v->mapped.sa.sa_family != AF_UNSPEC && !address_same_host(&v->mapped, &q->mapped)) {
			v->mapped_before = v->mapped;
			v->mapped_changed_at = now;
		}
		v->mapped = q->mapped;
	}
}

static void stop(struct nat *n)
{
	loop_fd_remove(n->watch);
	n->watch = NULL;
	if (n->fd >= 0)
		close(n->fd);
	n->fd = -1;
	loop_timer_set(n->timer, 0);
}

static void finish(struct nat *n)
{
	uint64_t now = clock_boot_ns();

	n->view.kind = nat_judge(n->asked, n->count, n->sent, n->refused, &n->view.two_addresses);
	n->view.judged_at = n->view.asked_at;
	n->view.servers = n->count;
	keep_mapped(n, now);
	n->ask_at = now + (n->view.kind == SIGNAL_NAT_BLOCKED ? BLOCKED_FOR : AGAIN);
	stop(n);
}

static bool all_answered(const struct nat *n)
{
	for (unsigned i = 0; i < n->count; i++)
		if (!n->asked[i].answered)
			return false;
	return true;
}

/* ---- asking ---- */

static void ask(struct nat *n)
{
	uint8_t request[ASK_MIN];

	n->tries++;
	for (unsigned i = 0; i < n->count; i++) {
		const struct nat_question *q = &n->asked[i];

		if (q->answered)
			continue;
		stun_ask(request, sizeof(request), q->transaction, q->change);
		n->sent |= sendto(n->fd, request, sizeof(request), MSG_NOSIGNAL | MSG_DONTWAIT, &q->to.sa,
				  address_len(&q->to)) > 0;
	}
	loop_timer_set(n->timer, clock_boot_ns() + TRY_EVERY);
}

static void add(struct nat *n, const union address *to, enum ask_change change, bool turn)
{
	struct nat_question *q = &n->asked[n->count];

	if (n->count == NAT_ASKED_MAX || (n->count && to->sa.sa_family != n->asked[0].to.sa.sa_family) ||
	    to->sa.sa_family == AF_UNSPEC)
		return;
	for (unsigned i = 0; i < n->count; i++)
		if (address_equal(&n->asked[i].to, to) && n->asked[i].change == change)
			return;
	memset(q, 0, sizeof(*q));
	q->to = *to;
	q->change = change;
	q->turn = turn;
	crypto_random(q->transaction, sizeof(q->transaction));
	n->count++;
}

/* The server's other port at the address where it answered, and its other address, if it has one. */
static void add_other(struct nat *n, const struct nat_question *q)
{
	union address port = q->to, other = q->other;
	bool other_address = q->other_address, turn = q->turn;

	port.in.sin_port = other.in.sin_port; /* at the same place in both families */
	add(n, &port, ASK_CHANGE_NONE, turn);
	if (other_address && address_is_unicast(&other))
		add(n, &other, ASK_CHANGE_NONE, turn);
}

/*
 * One server alone that answers: its other places are the second opinion. It is asked which it has, unless it
 * has said so (relay/stun.c). Not before others have had their chance to answer. False: there is nothing more
 * to ask.
 */
static bool ask_further(struct nat *n)
{
	const struct nat_question *only = NULL;
	unsigned count = n->count;
	bool waits = false;

	for (unsigned i = 0; i < count; i++) {
		const struct nat_question *q = &n->asked[i];

		if (has_mapped(q) && only && !address_same_host(&only->to, &q->to))
			return false;
		if (has_mapped(q) && (!only || q->other.sa.sa_family != AF_UNSPEC))
			only = q;
	}
	for (unsigned i = 0; only && i < count; i++)
		waits |= !n->asked[i].answered && !address_same_host(&n->asked[i].to, &only->to);
	if (!only || (waits && n->tries < PATIENCE))
		return false;
	if (only->other.sa.sa_family == only->to.sa.sa_family)
		add_other(n, only);
	else
		add(n, &only->to, ASK_OTHER, only->turn);
	if (n->count == count)
		return false;
	n->tries = 0;
	ask(n);
	return true;
}

static void on_timer(void *arg)
{
	struct nat *n = arg;

	if (n->fd < 0 || ask_further(n))
		return;
	if (n->tries >= TRIES)
		finish(n);
	else
		ask(n);
}

static void take_answer(struct nat *n, const struct stun_reply *reply)
{
	for (unsigned i = 0; i < n->count; i++) {
		struct nat_question *q = &n->asked[i];

		if (q->answered || memcmp(q->transaction, reply->transaction, ASK_TRANSACTION) != 0)
			continue;
		q->mapped = reply->mapped;
		q->other = reply->other;
		q->other_address = stun_has_other_address(reply, &q->to);
		/* A server that knows no CHANGE-REQUEST says so: that is an answer to it. */
		q->answered |= has_mapped(q) || q->change != ASK_CHANGE_NONE;
		if (has_mapped(q)) /* UDP passes, whatever the rest of the questions will tell */
			n->view.answered_at = clock_boot_ns();
	}
}

static void on_answer(void *arg, int fd, unsigned events)
{
	struct nat *n = arg;
	struct stun_reply reply;
	uint8_t data[1500];
	ssize_t len;

	(void)events;
	while (recv(fd, data, sizeof(data), MSG_ERRQUEUE | MSG_DONTWAIT) >= 0)
		n->refused = true;
	while ((len = recv(fd, data, sizeof(data), MSG_DONTWAIT)) > 0)
		if (stun_read(data, (size_t)len, &reply))
			take_answer(n, &reply);
	if (!ask_further(n) && all_answered(n))
		finish(n);
}

static void begin(struct nat *n)
{
	struct paths *s = n->paths;
	uint32_t mark = s->engine->fwmark;
	unsigned turn = 0;
	int family;

	n->count = n->tries = 0;
	n->sent = n->refused = false;
	for (unsigned i = 0; i < s->name_count && n->count < NAT_SERVERS_MAX; i++)
		add(n, &s->names[i].address, ASK_CHANGE_NONE, i >= s->stun_names);
	while (turn < n->count && !n->asked[turn].turn)
		turn++;
	if (!n->count)
		return;
	n->view.server = n->asked[0].to;
	n->view.turn = turn < n->count ? n->asked[turn].to : (union address){0};
	family = n->asked[0].to.sa.sa_family;
	n->fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (n->fd < 0)
		return;
	if (mark)
		setsockopt(n->fd, SOL_SOCKET, SO_MARK, &mark, sizeof(mark));
	if (family == AF_INET)
		setsockopt(n->fd, IPPROTO_IP, IP_RECVERR, &(int){1}, sizeof(int));
	else
		setsockopt(n->fd, IPPROTO_IPV6, IPV6_RECVERR, &(int){1}, sizeof(int));
	n->watch = loop_fd_add(s->engine->loop, n->fd, LOOP_READ, on_answer, n);
	n->view.asked_at = clock_boot_ns();
	ask(n);
}

void nat_want(struct nat *n, uint64_t broke_at)
{
	uint64_t now = clock_boot_ns();
	bool doubt = n->view.asked_at < broke_at && now >= n->view.asked_at + IN_DOUBT;

	if (n->fd >= 0 || n->paths->network.ice_off || (now < n->ask_at && !doubt))
		return;
	n->ask_at = now + NS_PER_SEC; /* without a server: names may be looked up still */
	begin(n);
}

void nat_network_changed(struct nat *n)
{
	stop(n);
	n->view.kind = SIGNAL_NAT_UNKNOWN;
	n->ask_at = 0;
}

const char *nat_word(const struct nat *n)
{
	static const char *const words[SIGNAL_NATS] = {
		[SIGNAL_NAT_BLOCKED] = "blocked",	    [SIGNAL_NAT_OPEN] = "none",
		[SIGNAL_NAT_SAME] = "endpoint-independent", [SIGNAL_NAT_SAME_PORTS] = "port-independent",
		[SIGNAL_NAT_VARIES] = "symmetric",
	};

	return n ? words[n->view.kind] : NULL;
}

struct nat *nat_new(struct paths *s)
{
	struct nat *n = xcalloc(1, sizeof(*n));

	n->paths = s;
	n->fd = -1;
	n->timer = loop_timer_new(s->engine->loop, on_timer, n);
	return n;
}

void nat_free(struct nat *n)
{
	if (!n)
		return;
	stop(n);
	loop_timer_free(n->timer);
	free(n);
}
