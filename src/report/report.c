#include "report/report.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "net/netlink.h"
#include "relay/wire.h"
#include "report/internal.h"

#define NAME_WAIT (3 * NS_PER_SEC)

struct name_probe {
	const struct report_target *target;
	union address found[8];
	unsigned count;
	struct report_name name;
};

static void *run_name(void *arg)
{
	struct name_probe *p = arg;
	uint64_t start = clock_boot_ns();

	p->count = names_resolve(p->target->host, p->target->port, p->found, 8, NAME_WAIT, p->name.error,
				 sizeof(p->name.error));
	p->name.found = p->count;
	p->name.took = clock_boot_ns() - start;
	snprintf(p->name.host, sizeof(p->name.host), "%s", p->target->host);
	return NULL;
}

static void *run_family(void *arg)
{
	probe_family(arg);
	return NULL;
}

static void *run_relay(void *arg)
{
	probe_relay(arg);
	return NULL;
}

static void *run_portal(void *arg)
{
	probe_portal(arg);
	return NULL;
}

static void *run_nat_pmp(void *arg)
{
	probe_nat_pmp(arg);
	return NULL;
}

static void *run_pcp(void *arg)
{
	probe_pcp(arg);
	return NULL;
}

static void *run_upnp(void *arg)
{
	probe_upnp(arg);
	return NULL;
}

/* Threads that are joined together. */
struct crowd {
	pthread_t threads[REPORT_SERVERS + 8];
	unsigned count;
};

static void start(struct crowd *c, void *(*run)(void *), void *arg)
{
	if (pthread_create(&c->threads[c->count], NULL, run, arg) == 0)
		c->count++;
	else
		run(arg);
}

static void join(struct crowd *c)
{
	for (unsigned i = 0; i < c->count; i++)
		pthread_join(c->threads[i], NULL);
	c->count = 0;
}

static bool is_numeric(const char *host)
{
	char text[REPORT_HOST + 8];
	union address a;

	snprintf(text, sizeof(text), strchr(host, ':') ? "[%s]:1" : "%s:1", host);
	return address_parse(&a, text);
}

static void keep_name(struct report *out, const struct report_name *n)
{
	for (unsigned i = 0; i < out->name_count; i++)
		if (!strcmp(out->names[i].host, n->host))
			return;
	if (out->name_count < REPORT_NAMES && !is_numeric(n->host))
		out->names[out->name_count++] = *n;
}

/* The hosts of all servers at once. The first address of each IP version is the one that is asked. */
static void resolve_all(const struct report_options *o, struct report *out, struct family_probe families[2])
{
	struct report_target relays[REPORT_SERVERS];
	struct name_probe names[2 * REPORT_SERVERS] = {0};
	struct crowd servers = {0}, others = {0};
	unsigned count = 0;

	for (unsigned i = 0; i < o->stun_count; i++, count++) {
		names[count].target = &o->stun[i];
		start(&servers, run_name, &names[count]);
	}
	for (unsigned i = 0; i < o->relay_count; i++) {
		struct relay_url url;

		if (!relay_url_parse(&url, o->relays[i]))
			continue;
		relays[i].port = url.port;
		snprintf(relays[i].host, sizeof(relays[i].host), "%s", url.host);
		names[count].target = &relays[i];
		start(&others, run_name, &names[count++]);
	}
	join(&servers);
	join(&others);
	for (unsigned i = 0; i < count; i++)
		keep_name(out, &names[i].name);
	for (unsigned i = 0; i < o->stun_count; i++) {
		bool has[2] = {false, false};

		for (unsigned k = 0; k < names[i].count; k++) {
			bool six = names[i].found[k].sa.sa_family == AF_INET6;
			struct family_probe *f = &families[six];

			if (has[six])
				continue;
			has[six] = true;
			f->indices[f->count] = i;
			f->servers[f->count++] = names[i].found[k];
		}
	}
}

/* The router of IPv4's default route, with which port mappings would be made. */
static void find_gateway(struct report_lan *lan)
{
	static const uint8_t somewhere[4] = {192, 0, 2, 1}; /* RFC 5737; nothing is sent there */
	struct netlink *n = netlink_open(NULL);
	struct netlink_way way;

	if (n && !netlink_route_get(n, AF_INET, somewhere, 0, &way) && way.has_gateway) {
		lan->gateway.in.sin_family = AF_INET;
		memcpy(&lan->gateway.in.sin_addr, way.gateway, 4);
	}
	netlink_close(n);
}

void report_run(const struct report_options *o, struct report *out)
{
	struct family_probe families[2] = {
		{.family = AF_INET, .fwmark = o->fwmark, .out = &out->four},
		{.family = AF_INET6, .fwmark = o->fwmark, .out = &out->six},
	};
	struct portal_probe portal = {.url = o->portal_url, .fwmark = o->fwmark, .out = out};
	struct relay_probe relays[REPORT_SERVERS];
	struct crowd crowd = {0};
	uint64_t began = clock_boot_ns();

	memset(out, 0, sizeof(*out));
	out->at_wall = clock_wall_ns();
	if (o->lan) {
		out->lan.asked = true;
		find_gateway(&out->lan);
		start(&crowd, run_upnp, &out->lan);
	}
	if (o->lan && out->lan.gateway.sa.sa_family == AF_INET) {
		start(&crowd, run_nat_pmp, &out->lan);
		start(&crowd, run_pcp, &out->lan);
	}
	if (o->portal_url)
		start(&crowd, run_portal, &portal);
	for (unsigned i = 0; i < o->relay_count; i++) {
		struct report_relay *r = &out->relays[out->relay_count++];

		snprintf(r->url, sizeof(r->url), "%s", o->relays[i]);
		relays[i] = (struct relay_probe){.fwmark = o->fwmark, .ca_file = o->ca_file, .out = r};
		start(&crowd, run_relay, &relays[i]);
	}
	resolve_all(o, out, families);
	for (unsigned i = 0; i < 2; i++)
		if (families[i].count)
			start(&crowd, run_family, &families[i]);
	join(&crowd);
	out->marked = families[0].marked || families[1].marked;
	out->took = clock_boot_ns() - began;
}
