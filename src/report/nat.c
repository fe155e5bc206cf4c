/* One IP version: reachability, mapping, filtering and hairpin by the servers given. */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "net/netlink.h"
#include "report/internal.h"

#define FIRST_WAIT (800 * NS_PER_MS) /* the servers are asked one after the other at first */

/* ---- the way there ---- */

static void take_address(union address *out, int family, const uint8_t *bytes, bool has)
{
	memset(out, 0, sizeof(*out));
	if (!has)
		return;
	out->sa.sa_family = (sa_family_t)family;
	if (family == AF_INET)
		memcpy(&out->in.sin_addr, bytes, 4);
	else
		memcpy(&out->in6.sin6_addr, bytes, 16);
}

static void look_at_route(struct family_probe *p)
{
	const union address *to = &p->servers[0];
	const void *addr =
		p->family == AF_INET ? (const void *)&to->in.sin_addr : (const void *)&to->in6.sin6_addr;
	struct netlink *n = netlink_open(NULL);
	struct netlink_way way;
	int r;

	if (!n)
		return;
	r = netlink_route_get(n, p->family, addr, p->marked ? p->fwmark : 0, &way);
	netlink_close(n);
	p->out->route_error = -r;
	if (r)
		return;
	memcpy(p->out->ifname, way.ifname, sizeof(p->out->ifname));
	p->out->link_mtu = way.mtu > 0 ? (unsigned)way.mtu : 0;
	take_address(&p->out->source, p->family, way.source, way.has_source);
	take_address(&p->out->gateway, p->family, way.gateway, way.has_gateway);
}

/* Our side of a socket as a server would see it without a NAT. */
static union address own_address(const struct family_probe *p, int fd)
{
	union address bound = {0}, own = p->out->source;
	socklen_t len = sizeof(bound);

	if (own.sa.sa_family == AF_UNSPEC || getsockname(fd, &bound.sa, &len))
		return (union address){0};
	address_set_port(&own, address_port(&bound));
	return own;
}

/* ---- answers ---- */

static struct report_answer *record(struct report_family *f, unsigned server, const struct question *q)
{
	struct report_answer *a = &f->answers[f->answer_count];

	if (f->answer_count == REPORT_ANSWERS)
		return NULL;
	f->answer_count++;
	*a = (struct report_answer){.server = server, .to = q->to, .error = q->error};
	a->answered = q->answered && q->reply.success && q->reply.mapped.sa.sa_family != AF_UNSPEC;
	if (!a->answered)
		return a;
	a->mapped = q->reply.mapped;
	a->behaviour = q->reply.other.sa.sa_family == q->to.sa.sa_family;
	a->rtt = q->rtt;
	f->answered++;
	return a;
}

static bool has_other(const struct question *q)
{
	return q->answered && q->reply.success && q->reply.other.sa.sa_family == q->to.sa.sa_family;
}

static bool has_other_address(const struct question *q)
{
	return has_other(q) && stun_has_other_address(&q->reply, &q->to);
}

/* One server. A server with two ports of a single address names the other to those only who ask for it. */
static void ask_server(struct family_probe *p, int fd, unsigned i, struct question *q)
{
	struct question again = {.to = p->servers[i], .change = ASK_OTHER};

	*q = (struct question){.to = p->servers[i]};
	exchange(fd, q, 1, FIRST_WAIT);
	if (q->answered && !has_other(q)) {
		exchange(fd, &again, 1, FIRST_WAIT);
		if (has_other(&again))
			q->reply = again.reply;
	}
	record(p->out, p->indices[i], q);
}

/*
 * Asks one server after the other until one has answered that can help with filtering by its other address;
 * one with another port is the second choice, any the third: whether a NAT lets strangers in can only be told
 * while they are strangers. The index behind the last one that was asked.
 */
static unsigned first_answers(struct family_probe *p, int fd, struct question *helper)
{
	unsigned i = 0;

	while (i < p->count && !has_other_address(helper)) {
		struct question q;

		ask_server(p, fd, i++, &q);
		if (has_other_address(&q) || (has_other(&q) && !helper->answered))
			*helper = q;
	}
	return i;
}

static enum nat_reply reply_of(const struct question *q)
{
	return !q->answered ? NAT_REPLY_NONE : q->reply.success ? NAT_REPLY_CAME : NAT_REPLY_REFUSED;
}

/* RFC 5780 section 4.4: a socket that has spoken to one address asks for answers from others. */
static void find_filtering(struct family_probe *p, const struct question *helper)
{
	struct question known = {.to = helper->to}, q[2];
	int fd = probe_socket(p->family, p->fwmark, NULL);

	if (fd < 0)
		return;
	exchange(fd, &known, 1, FIRST_WAIT);
	if (known.answered) {
		q[0] = (struct question){.to = helper->to, .change = ASK_CHANGE_ADDRESS | ASK_CHANGE_PORT};
		q[1] = (struct question){.to = helper->to, .change = ASK_CHANGE_PORT};
		exchange(fd, q, 2, STUN_WAIT);
		p->out->filtering = nat_judge_filtering(reply_of(&q[0]), reply_of(&q[1]));
	}
	close(fd);
}

/* The helper's other port and, if it has one, its other address, by both ports. */
static unsigned add_others(const struct question *helper, struct question q[REPORT_OTHERS])
{
	union address other = helper->reply.other, at = helper->to;
	unsigned count = 0;

	address_set_port(&at, address_port(&other));
	if (!address_equal(&at, &helper->to))
		q[count++] = (struct question){.to = at};
	if (!has_other_address(helper))
		return count;
	q[count++] = (struct question){.to = other};
	if (address_port(&other) != address_port(&helper->to)) {
		address_set_port(&other, address_port(&helper->to));
		q[count++] = (struct question){.to = other};
	}
	return count;
}

/* The servers that were not asked yet, and the helper's other address and ports, all from the same socket. */
static void find_mapping(struct family_probe *p, int fd, unsigned asked, const struct question *helper)
{
	struct question q[REPORT_ANSWERS];
	struct nat_sight sights[REPORT_ANSWERS];
	unsigned servers[REPORT_ANSWERS], count = 0, seen = 0;
	union address own = own_address(p, fd);

	for (unsigned i = asked; i < p->count; i++) {
		servers[count] = p->indices[i];
		q[count++] = (struct question){.to = p->servers[i]};
	}
	if (helper)
		for (unsigned others = add_others(helper, q + count); others; others--)
			servers[count++] = REPORT_SERVERS;
	exchange(fd, q, count, STUN_WAIT);
	for (unsigned i = 0; i < count; i++)
		record(p->out, servers[i], &q[i]);
	for (unsigned i = 0; i < p->out->answer_count; i++) {
		const struct report_answer *a = &p->out->answers[i];

		if (!a->answered)
			continue;
		sights[seen++] = (struct nat_sight){.to = a->to, .mapped = a->mapped};
		if (seen == 1 && own.sa.sa_family != AF_UNSPEC) {
			p->out->nat = !address_same_host(&a->mapped, &own);
			p->out->port_kept =
				address_port(&a->mapped) == address_port(&own) ? REPORT_YES : REPORT_NO;
		}
	}
	p->out->mapping = nat_judge_mapping(sights, seen, &own);
}

/* ---- hairpin ---- */

static bool heard(int fd, const uint8_t transaction[ASK_TRANSACTION])
{
	uint8_t datagram[2048];
	const uint8_t *t;
	ssize_t n;

	while ((n = recv(fd, datagram, sizeof(datagram), 0)) >= 0) {
		t = stun_request_transaction(datagram, (size_t)n);
		if (t && !memcmp(t, transaction, ASK_TRANSACTION))
			return true;
	}
	return false;
}

/*
 * Two sockets, each of which calls the other where the server sees it. Both call, so that a box which lets in
 * only whom one has called is passed. Any packet that arrives came by hairpin.
 */
static void find_hairpin(struct report_family *out, int family, const union address *server, uint32_t fwmark)
{
	int fd[2] = {probe_socket(family, fwmark, NULL), probe_socket(family, fwmark, NULL)};
	struct question q[2] = {{.to = *server}, {.to = *server}};
	uint8_t request[ASK_MIN], transaction[ASK_TRANSACTION];
	bool arrived = false;

	if (fd[0] >= 0 && fd[1] >= 0 && getrandom(transaction, sizeof(transaction), 0) > 0) {
		exchange(fd[0], &q[0], 1, FIRST_WAIT);
		exchange(fd[1], &q[1], 1, FIRST_WAIT);
	}
	if (q[0].answered && q[1].answered && q[0].reply.success && q[1].reply.success) {
		stun_ask(request, sizeof(request), transaction, ASK_CHANGE_NONE);
		for (unsigned turn = 0; turn < 4 && !arrived; turn++) {
			struct pollfd p[2] = {{.fd = fd[0], .events = POLLIN},
					      {.fd = fd[1], .events = POLLIN}};

			for (unsigned i = 0; i < 2; i++) {
				const union address *to = &q[!i].reply.mapped;

				/* A refusal is no hairpin, either. */
				if (sendto(fd[i], request, sizeof(request), 0, &to->sa, address_len(to)) < 0)
					continue;
			}
			if (poll(p, 2, 150) > 0)
				arrived = heard(fd[0], transaction) || heard(fd[1], transaction);
		}
		out->hairpin = arrived ? REPORT_YES : REPORT_NO;
	}
	for (unsigned i = 0; i < 2; i++)
		if (fd[i] >= 0)
			close(fd[i]);
}

/* ---- all of it ---- */

struct beside {
	struct family_probe *p;
	union address server;
};

static void *run_hairpin(void *arg)
{
	const struct beside *b = arg;

	find_hairpin(b->p->out, b->p->family, &b->server, b->p->fwmark);
	return NULL;
}

static void *run_mtu(void *arg)
{
	const struct beside *b = arg;

	probe_mtu(b->p->out, &b->server, b->p->fwmark);
	return NULL;
}

/* What needs no more than one server runs beside the search for mapping and filtering. */
static void probe_beside(struct family_probe *p, int fd, unsigned asked, const struct question *helper)
{
	struct beside b = {.p = p, .server = helper ? helper->to : p->servers[0]};
	pthread_t hairpin, mtu;
	bool has_hairpin, has_mtu;

	for (unsigned i = 0; i < p->out->answer_count && !helper; i++)
		if (p->out->answers[i].answered)
			b.server = p->out->answers[i].to;
	has_hairpin = pthread_create(&hairpin, NULL, run_hairpin, &b) == 0;
	has_mtu = pthread_create(&mtu, NULL, run_mtu, &b) == 0;
	if (helper)
		find_filtering(p, helper);
	find_mapping(p, fd, asked, helper);
	if (has_hairpin)
		pthread_join(hairpin, NULL);
	if (has_mtu)
		pthread_join(mtu, NULL);
	/* Without a NAT there is nothing that could turn packets around. */
	if (p->out->mapping == MAPPING_NONE)
		p->out->hairpin = REPORT_UNKNOWN;
}

void probe_family(struct family_probe *p)
{
	struct question helper = {0};
	int fd = probe_socket(p->family, p->fwmark, &p->marked);
	unsigned asked;

	p->out->asked = true;
	if (fd < 0) {
		p->out->route_error = -fd;
		return;
	}
	look_at_route(p);
	if (!p->out->route_error) {
		asked = first_answers(p, fd, &helper);
		if (p->out->answered)
			probe_beside(p, fd, asked, helper.answered ? &helper : NULL);
	}
	close(fd);
}
