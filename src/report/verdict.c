#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "report/report.h"

struct verdicts {
	struct report_verdict *list;
	unsigned count;
};

static void say(struct verdicts *v, enum report_level level, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
static void say(struct verdicts *v, enum report_level level, const char *fmt, ...)
{
	struct report_verdict *out = &v->list[v->count];
	va_list args;

	if (v->count == REPORT_VERDICTS)
		return;
	v->count++;
	out->level = level;
	va_start(args, fmt);
	vsnprintf(out->text, sizeof(out->text), fmt, args);
	va_end(args);
}

static bool tcp_passes(const struct report *r, int family)
{
	for (unsigned i = 0; i < r->relay_count; i++)
		if (r->relays[i].connect && r->relays[i].to.sa.sa_family == family)
			return true;
	return false;
}

static void say_udp(struct verdicts *v, const struct report *r, const struct report_family *f, int family,
		    const char *ip)
{
	char text[ADDRESS_TEXT];

	if (f->answered) {
		for (unsigned i = 0; i < f->answer_count; i++) {
			if (!f->answers[i].answered)
				continue;
			say(v, REPORT_GOOD, "UDP over %s gets out; servers see this host as %s", ip,
			    address_format(text, &f->answers[i].mapped));
			return;
		}
	}
	if (f->route_error)
		say(v, family == AF_INET ? REPORT_BAD : REPORT_NOTE, "there is no route over %s (%s)", ip,
		    strerror(f->route_error));
	else if (tcp_passes(r, family))
		say(v, REPORT_BAD,
		    "UDP over %s is blocked: no STUN server answers, but TCP passes; tunnels must go by a "
		    "relay",
		    ip);
	else
		say(v, REPORT_BAD, "UDP over %s finds no answer: it is blocked, or none of the servers runs",
		    ip);
}

static void say_mapping(struct verdicts *v, const struct report_family *f, const char *ip)
{
	switch (f->mapping) {
	case MAPPING_NONE:
		say(v, REPORT_GOOD, "no NAT over %s: servers see this host's own address and port", ip);
		break;
	case MAPPING_ENDPOINT_INDEPENDENT:
		say(v, REPORT_GOOD,
		    "the NAT keeps one mapping for all destinations (endpoint-independent): direct paths can "
		    "be found");
		break;
	case MAPPING_PORT_INDEPENDENT:
		say(v, REPORT_NOTE,
		    "the NAT keeps one mapping for two ports of a server, so it does not map by port; whether it "
		    "maps by address needs a second address to ask (--stun)");
		break;
	case MAPPING_ADDRESS_DEPENDENT:
	case MAPPING_ADDRESS_PORT_DEPENDENT:
	case MAPPING_DEPENDENT:
		say(v, REPORT_BAD,
		    "the NAT makes a new mapping for each destination (symmetric, %s): no direct path to "
		    "peers "
		    "that are behind such a NAT as well, or one that filters by port; those go by a relay",
		    nat_mapping_name(f->mapping));
		break;
	case MAPPING_UNKNOWN:
		say(v, REPORT_NOTE,
		    "one answer is too little to tell how the NAT maps: name a second server (--stun)");
		break;
	}
}

static void say_filtering(struct verdicts *v, const struct report_family *f)
{
	switch (f->filtering) {
	case FILTERING_ENDPOINT_INDEPENDENT:
		say(v, REPORT_GOOD, "strangers get in where a mapping is (endpoint-independent filtering)");
		break;
	case FILTERING_ADDRESS_DEPENDENT:
		say(v, REPORT_GOOD, "only addresses that were called get in (address-dependent filtering)");
		break;
	case FILTERING_ADDRESS_PORT_DEPENDENT:
		say(v, REPORT_GOOD,
		    "only addresses and ports that were called get in (address-and-port-dependent "
		    "filtering)");
		break;
	case FILTERING_PORT_INDEPENDENT:
		say(v, REPORT_GOOD,
		    "every port of an address that was called gets in (no address-and-port-dependent "
		    "filtering); whether other addresses do needs a server with two of them (RFC 5780)");
		break;
	case FILTERING_UNKNOWN:
		say(v, REPORT_NOTE,
		    "who gets in is not known: none of the servers can answer from another port or address "
		    "(RFC 5780)");
		break;
	}
}

static void say_mtu(struct verdicts *v, const struct report_family *f, int family, const char *ip)
{
	unsigned overhead = family == AF_INET ? 60 : 80; /* IP, UDP and WireGuard */

	if (!f->path_mtu)
		return;
	if (f->black_hole)
		say(v, REPORT_BAD,
		    "packets over %u bytes vanish without a word on %s (an MTU black hole): the tunnel's MTU "
		    "must "
		    "be %u or less",
		    f->path_mtu, ip, f->path_mtu - overhead);
	else if (f->link_mtu && f->path_mtu + 4 <= f->link_mtu && f->path_mtu < 1497)
		say(v, REPORT_NOTE,
		    "the way over %s carries %u bytes, less than the link's %u: a tunnel MTU of %u fits", ip,
		    f->path_mtu, f->link_mtu, f->path_mtu - overhead);
	else
		say(v, REPORT_GOOD, "packets of %u bytes pass on %s", f->path_mtu, ip);
}

static void say_family(struct verdicts *v, const struct report *r, const struct report_family *f, int family)
{
	const char *ip = family == AF_INET ? "IPv4" : "IPv6";

	if (!f->asked) {
		say(v, REPORT_NOTE, "no server has an %s address to ask", ip);
		return;
	}
	say_udp(v, r, f, family, ip);
	if (!f->answered)
		return;
	say_mapping(v, f, ip);
	say_filtering(v, f);
	if (f->nat && f->port_kept == REPORT_NO)
		say(v, REPORT_NOTE, "the NAT changes the source port");
	if (f->nat && f->hairpin == REPORT_NO)
		say(v, REPORT_NOTE,
		    "no hairpin: peers behind the same NAT reach each other by their local addresses alone");
	say_mtu(v, f, family, ip);
}

static void say_relay(struct verdicts *v, const struct report_relay *r)
{
	if (*r->error)
		say(v, REPORT_BAD, "relay %.100s: %.190s", r->url, r->error);
	else
		say(v, REPORT_GOOD, "relay %.100s takes connections, %.1f ms away", r->url,
		    (double)r->connect / (double)NS_PER_MS);
}

static void say_portal(struct verdicts *v, const struct report *r)
{
	switch (r->portal) {
	case PORTAL_NOT_ASKED:
		break;
	case PORTAL_NONE:
		say(v, REPORT_GOOD, "no captive portal: the page answers as it should");
		break;
	case PORTAL_CAPTIVE:
		say(v, REPORT_BAD, "a captive portal answers in place of the page (HTTP status %u%s%.150s)",
		    r->portal_status, *r->portal_text ? ", to " : "", r->portal_text);
		break;
	case PORTAL_UNCLEAR:
		say(v, REPORT_NOTE,
		    "the portal page answers with HTTP status %u, not 204: this tells nothing",
		    r->portal_status);
		break;
	case PORTAL_UNREACHABLE:
		say(v, REPORT_BAD, "the portal page cannot be reached: %.150s", r->portal_text);
		break;
	}
}

static void say_lan(struct verdicts *v, const struct report_lan *l)
{
	if (!l->asked)
		return;
	if (l->nat_pmp == REPORT_YES || l->pcp == REPORT_YES || l->upnp == REPORT_YES)
		say(v, REPORT_GOOD, "ports are opened on request here, by%s%s%s: Upnp = on can help",
		    l->nat_pmp == REPORT_YES ? " NAT-PMP" : "", l->pcp == REPORT_YES ? " PCP" : "",
		    l->upnp == REPORT_YES ? " UPnP" : "");
	else
		say(v, REPORT_NOTE, "nothing on the LAN opens ports on request");
}

unsigned report_verdicts(const struct report *r, struct report_verdict out[REPORT_VERDICTS])
{
	struct verdicts v = {.list = out};

	if (r->four.asked || r->six.asked) {
		say_family(&v, r, &r->four, AF_INET);
		say_family(&v, r, &r->six, AF_INET6);
	}
	for (unsigned i = 0; i < r->relay_count; i++)
		say_relay(&v, &r->relays[i]);
	for (unsigned i = 0; i < r->name_count; i++)
		if (*r->names[i].error)
			say(&v, REPORT_BAD, "the name %.150s does not resolve: %.90s", r->names[i].host,
			    r->names[i].error);
	say_portal(&v, r);
	say_lan(&v, &r->lan);
	return v.count;
}
