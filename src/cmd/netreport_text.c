#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/xalloc.h"
#include "cmd/netreport.h"
#include "cmd/text.h"

/* ---- JSON ---- */

static json_t *seconds(uint64_t ns)
{
	return json_real((double)(ns / NS_PER_US) / 1e6);
}

/* What was given on the command line, or came over the network and was cut, need not be UTF-8. */
static json_t *string(const char *text)
{
	char shown[1024];
	json_t *j = json_string(text);

	if (j)
		return j;
	log_visible(shown, sizeof(shown), text, strlen(text));
	return json_string(shown);
}

static json_t *tri(enum report_tri t)
{
	return t == REPORT_UNKNOWN ? json_null() : json_boolean(t == REPORT_YES);
}

static json_t *address(const union address *a, bool port)
{
	char text[ADDRESS_TEXT] = "";

	if (a->sa.sa_family == AF_INET && !port)
		inet_ntop(AF_INET, &a->in.sin_addr, text, sizeof(text));
	else if (a->sa.sa_family == AF_INET6 && !port)
		inet_ntop(AF_INET6, &a->in6.sin6_addr, text, sizeof(text));
	else if (a->sa.sa_family != AF_UNSPEC)
		address_format(text, a);
	return json_string(text);
}

static json_t *answer(const struct report_options *o, const struct report_answer *a)
{
	char server[REPORT_HOST + 16] = "";

	if (a->server < o->stun_count)
		snprintf(server, sizeof(server), strchr(o->stun[a->server].host, ':') ? "[%s]:%u" : "%s:%u",
			 o->stun[a->server].host, o->stun[a->server].port);
	return json_pack("{s:o, s:o, s:b, s:o, s:o, s:b, s:s}", "server", string(server), "address",
			 address(&a->to, true), "answered", a->answered, "mappedAddress",
			 address(&a->mapped, true), "rtt", seconds(a->rtt), "behaviour", a->behaviour,
			 "error", a->error ? strerror(a->error) : "");
}

static json_t *family(const struct report_options *o, const struct report_family *f)
{
	json_t *j = json_object(), *servers = json_array();

	json_object_set_new(j, "asked", json_boolean(f->asked));
	json_object_set_new(j, "udp", json_boolean(f->answered));
	json_object_set_new(j, "routeError", json_string(f->route_error ? strerror(f->route_error) : ""));
	json_object_set_new(j, "interface", json_string(f->ifname));
	json_object_set_new(j, "sourceAddress", address(&f->source, false));
	json_object_set_new(j, "gateway", address(&f->gateway, false));
	json_object_set_new(j, "nat", json_boolean(f->nat));
	json_object_set_new(j, "mapping", json_string(nat_mapping_name(f->mapping)));
	json_object_set_new(j, "filtering", json_string(nat_filtering_name(f->filtering)));
	json_object_set_new(j, "portKept", tri(f->port_kept));
	json_object_set_new(j, "hairpin", tri(f->hairpin));
	json_object_set_new(j, "linkMtu", json_integer(f->link_mtu));
	json_object_set_new(j, "pathMtu", json_integer(f->path_mtu));
	json_object_set_new(j, "blackHole", json_boolean(f->black_hole));
	for (unsigned i = 0; i < f->answer_count; i++)
		json_array_append_new(servers, answer(o, &f->answers[i]));
	json_object_set_new(j, "servers", servers);
	return j;
}

static json_t *relay(const struct report_relay *r, const json_t *engine)
{
	const json_t *known;
	size_t i;
	json_t *j =
		json_pack("{s:o, s:o, s:b, s:o, s:o, s:o, s:o}", "url", string(r->url), "address",
			  address(&r->to, true), "tls", r->tls, "connect", seconds(r->connect), "handshake",
			  seconds(r->handshake), "upgrade", seconds(r->upgrade), "error", string(r->error));

	/* Whether it lets us log in is what the engine alone has tried: it has the secret. */
	json_array_foreach(json_object_get(engine, "relays"), i, known)
	{
		const char *url = json_string_value(json_object_get(known, "url"));
		json_t *copy;

		if (!url || strcmp(url, r->url) != 0)
			continue;
		copy = json_object();
		json_object_set(copy, "state", json_object_get(known, "state"));
		json_object_set(copy, "error", json_object_get(known, "error"));
		json_object_set(copy, "rtt", json_object_get(known, "rtt"));
		json_object_set_new(j, "engine", copy);
		break;
	}
	return j;
}

static json_t *lan(const struct report_lan *l)
{
	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:s}", "gateway", address(&l->gateway, false), "natPmp",
			 tri(l->nat_pmp), "natPmpAddress", address(&l->nat_pmp_address, false), "pcp",
			 tri(l->pcp), "upnp", tri(l->upnp), "upnpLocation", l->upnp_location);
}

static json_t *verdicts(const struct report *r)
{
	static const char *const levels[] = {
		[REPORT_GOOD] = "good", [REPORT_NOTE] = "note", [REPORT_BAD] = "bad"};
	struct report_verdict list[REPORT_VERDICTS];
	unsigned count = report_verdicts(r, list);
	json_t *j = json_array();

	for (unsigned i = 0; i < count; i++)
		json_array_append_new(j, json_pack("{s:s, s:o}", "level", levels[list[i].level], "text",
						   string(list[i].text)));
	return j;
}

json_t *netreport_json(const struct report_options *o, const struct report *r, const json_t *engine)
{
	static const char *const portals[] = {
		[PORTAL_NOT_ASKED] = "not-asked",     [PORTAL_NONE] = "none",
		[PORTAL_CAPTIVE] = "captive",	      [PORTAL_UNCLEAR] = "unclear",
		[PORTAL_UNREACHABLE] = "unreachable",
	};
	json_t *j = json_object(), *relays = json_array(), *names = json_array();

	json_object_set_new(j, "schema", json_integer(NETREPORT_SCHEMA));
	json_object_set_new(j, "at", json_real((double)(r->at_wall / NS_PER_MS) / 1e3));
	json_object_set_new(j, "took", seconds(r->took));
	json_object_set_new(j, "marked", json_boolean(r->marked));
	json_object_set_new(j, "ipv4", family(o, &r->four));
	json_object_set_new(j, "ipv6", family(o, &r->six));
	for (unsigned i = 0; i < r->relay_count; i++)
		json_array_append_new(relays, relay(&r->relays[i], engine));
	json_object_set_new(j, "relays", relays);
	for (unsigned i = 0; i < r->name_count; i++)
		json_array_append_new(names,
				      json_pack("{s:o, s:o, s:i, s:o}", "host", string(r->names[i].host),
						"took", seconds(r->names[i].took), "found",
						(int)r->names[i].found, "error", string(r->names[i].error)));
	json_object_set_new(j, "dns", names);
	json_object_set_new(j, "portal",
			    json_pack("{s:s, s:i, s:o}", "state", portals[r->portal], "status",
				      (int)r->portal_status, "text", string(r->portal_text)));
	if (r->lan.asked)
		json_object_set_new(j, "lan", lan(&r->lan));
	json_object_set_new(j, "verdicts", verdicts(r));
	return j;
}

/* ---- text, from the JSON: what is shown and what scripts read cannot differ ---- */

static const char *text_of(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));

	return text ? text : "";
}

static double number_of(const json_t *object, const char *name)
{
	return json_number_value(json_object_get(object, name));
}

static const char *yes_no(const json_t *object, const char *name)
{
	const json_t *v = json_object_get(object, name);

	return json_is_true(v) ? "yes" : json_is_false(v) ? "no" : "not known";
}

static void line(const char *label, char *text)
{
	printf("  %-12s %s\n", label, text_tame(text));
	free(text);
}

static void print_servers(const json_t *f)
{
	const json_t *a;
	size_t i;

	json_array_foreach(json_object_get(f, "servers"), i, a)
	{
		const char *name = *text_of(a, "server") ? text_of(a, "server") : text_of(a, "address");

		if (json_is_true(json_object_get(a, "answered")))
			line(i ? "" : "servers",
			     xasprintf("%s: %s, %.1f ms", name, text_of(a, "mappedAddress"),
				       number_of(a, "rtt") * 1000));
		else
			line(i ? "" : "servers",
			     xasprintf("%s: %s", name,
				       *text_of(a, "error") ? text_of(a, "error") : "no answer"));
	}
}

static void print_family(const char *title, const json_t *f)
{
	if (!json_is_true(json_object_get(f, "asked")))
		return;
	puts(title);
	if (*text_of(f, "routeError")) {
		line("route", xasprintf("none: %s", text_of(f, "routeError")));
		return;
	}
	line("route", xasprintf("%s from %s%s%s", text_of(f, "interface"), text_of(f, "sourceAddress"),
				*text_of(f, "gateway") ? " by " : "", text_of(f, "gateway")));
	print_servers(f);
	if (!json_is_true(json_object_get(f, "udp")))
		return;
	line("mapping", xstrdup(text_of(f, "mapping")));
	line("filtering", xstrdup(text_of(f, "filtering")));
	if (json_is_true(json_object_get(f, "nat"))) {
		line("port kept", xstrdup(yes_no(f, "portKept")));
		line("hairpin", xstrdup(yes_no(f, "hairpin")));
	}
	if (number_of(f, "pathMtu") > 0)
		line("MTU", xasprintf("%.0f pass, the link has %.0f", number_of(f, "pathMtu"),
				      number_of(f, "linkMtu")));
}

static void print_relays(const json_t *report)
{
	const json_t *r, *engine;
	size_t i;

	json_array_foreach(json_object_get(report, "relays"), i, r)
	{
		char *url = text_tame(xstrdup(text_of(r, "url")));

		printf("Relay %s\n", url);
		free(url);
		if (number_of(r, "connect") > 0)
			line("TCP",
			     xasprintf("%s, %.1f ms", text_of(r, "address"), number_of(r, "connect") * 1000));
		if (number_of(r, "handshake") > 0)
			line("TLS", xasprintf("%.1f ms", number_of(r, "handshake") * 1000));
		if (number_of(r, "upgrade") > 0)
			line("WebSocket", xasprintf("%.1f ms", number_of(r, "upgrade") * 1000));
		if (*text_of(r, "error"))
			line("error", xstrdup(text_of(r, "error")));
		engine = json_object_get(r, "engine");
		if (engine)
			line("engine",
			     xasprintf("%s%s%s", text_of(engine, "state"),
				       *text_of(engine, "error") ? ": " : "", text_of(engine, "error")));
	}
}

static void print_rest(const json_t *report)
{
	const json_t *item, *l = json_object_get(report, "lan"), *portal = json_object_get(report, "portal");
	size_t i;

	json_array_foreach(json_object_get(report, "dns"), i, item)
	{
		if (!i)
			puts("Names");
		line("", *text_of(item, "error")
				 ? xasprintf("%s: %s", text_of(item, "host"), text_of(item, "error"))
				 : xasprintf("%s: %.0f addresses, %.1f ms", text_of(item, "host"),
					     number_of(item, "found"), number_of(item, "took") * 1000));
	}
	if (strcmp(text_of(portal, "state"), "not-asked") != 0) {
		puts("Portal");
		if (number_of(portal, "status") > 0)
			line(text_of(portal, "state"),
			     xasprintf("HTTP status %.0f %s", number_of(portal, "status"),
				       text_of(portal, "text")));
		else
			line(text_of(portal, "state"), xstrdup(text_of(portal, "text")));
	}
	if (!l)
		return;
	puts("LAN");
	line("gateway", xstrdup(*text_of(l, "gateway") ? text_of(l, "gateway") : "none"));
	line("NAT-PMP", xasprintf("%s %s", yes_no(l, "natPmp"), text_of(l, "natPmpAddress")));
	line("PCP", xstrdup(yes_no(l, "pcp")));
	line("UPnP", xasprintf("%s %s", yes_no(l, "upnp"), text_of(l, "upnpLocation")));
}

void netreport_print(const json_t *report, bool color)
{
	static const struct {
		const char *level, *mark, *color;
	} marks[] = {
		{"good", "ok  ", "\033[32m"}, {"note", "note", "\033[33m"}, {"bad", "BAD ", "\033[1;31m"}};
	const json_t *v;
	size_t i;

	print_family("IPv4", json_object_get(report, "ipv4"));
	print_family("IPv6", json_object_get(report, "ipv6"));
	print_relays(report);
	print_rest(report);
	puts("Verdict");
	json_array_foreach(json_object_get(report, "verdicts"), i, v)
	{
		char *text = text_tame(xstrdup(text_of(v, "text")));

		for (size_t k = 0; k < sizeof(marks) / sizeof(marks[0]); k++)
			if (!strcmp(text_of(v, "level"), marks[k].level))
				printf("  %s%s%s %s\n", color ? marks[k].color : "", marks[k].mark,
				       color ? "\033[0m" : "", text);
		free(text);
	}
	printf("It took %.1f s.\n", number_of(report, "took"));
}
