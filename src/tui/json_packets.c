/* Packets of the tap, as weir-control(7) has them, into the ring; and what is asked of the tap. */
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/path.h"
#include "tap/filter_json.h"
#include "tui/json_get.h"
#include "tui/packets.h"

#define SNAPLEN 2048 /* bytes of a packet that the view keeps: whole ones on all usual links */
#define RATE	2000 /* packets a second; more are counted, not sent */

/* The number of a name in a list of `count`; 0 if it is none of them. */
static uint8_t named(const json_t *o, const char *member, unsigned count, const char *(*name)(unsigned i))
{
	const char *text = json_string_value(json_object_get(o, member));

	for (unsigned i = 0; text && i < count; i++)
		if (strcmp(text, name(i)) == 0)
			return (uint8_t)i;
	return 0;
}

static const char *point_name(unsigned i)
{
	return tap_point_name((enum tap_point)i);
}

static const char *type_name(unsigned i)
{
	return tap_type_name((enum tap_type)i);
}

static const char *drop_name(unsigned i)
{
	return tap_drop_name((enum tap_drop)i);
}

static const char *path_name(unsigned i)
{
	return path_kind_name((enum path_kind)i);
}

static void get_address(const json_t *o, const char *name, union address *a)
{
	const char *text = json_string_value(json_object_get(o, name));

	if (text)
		address_parse(a, text);
}

static void get_meta(struct tap_meta *m, const json_t *o)
{
	const char *peer = json_string_value(json_object_get(o, "peer"));
	const char *dir = json_string_value(json_object_get(o, "dir"));
	double at = get_number(o, "at");

	*m = (struct tap_meta){.number = get_count(o, "n")};
	/* A double of this size is good for microseconds. */
	m->at = at > 0 && at < 1e10 ? (uint64_t)(at * 1e6 + 0.5) * 1000 : 0;
	m->point = named(o, "point", TAP_POINTS, point_name);
	m->type = named(o, "type", TAP_TYPES, type_name);
	m->drop = named(o, "drop", TAP_DROPS, drop_name);
	m->path = named(o, "path", PATH_KINDS, path_name);
	m->out = dir && strcmp(dir, "out") == 0;
	m->has_peer = peer && key_from_base64(&m->peer, peer);
	m->length = get_unsigned(o, "length");
	get_address(o, "local", &m->local);
	get_address(o, "remote", &m->remote);
	m->index = get_unsigned(o, "index");
	m->keypair = get_unsigned(o, "keypair");
	m->counter = get_count(o, "counter");
	m->attempt = (uint16_t)get_unsigned(o, "attempt");
	m->attempts = (uint16_t)get_unsigned(o, "attempts");
	m->generation = get_unsigned(o, "generation");
}

static void get_packet(struct packets *p, const json_t *o)
{
	const json_t *text = json_object_get(o, "data");
	uint8_t data[SNAPLEN];
	struct tap_meta m;
	size_t len = 0;

	if (!json_is_object(o))
		return;
	get_meta(&m, o);
	if (json_is_string(text) &&
	    sodium_base642bin(data, sizeof(data), json_string_value(text), json_string_length(text), NULL,
			      &len, NULL, sodium_base64_VARIANT_ORIGINAL) != 0)
		len = 0;
	if (m.length < len)
		m.length = (uint32_t)len;
	packets_add(p, &m, data, len);
}

void json_packets(struct data *d, const json_t *o)
{
	uint64_t lost = get_count(o, "lost");
	size_t i;
	json_t *item;

	if (!d->packets)
		d->packets = packets_new();
	json_array_foreach(json_object_get(o, "packets"), i, item) get_packet(d->packets, item);
	packets_lost(d->packets, lost);
}

void packets_request(json_t *params, const struct packet_model *pm)
{
	json_t *points = json_array();

	for (unsigned i = 0; i < TAP_POINTS; i++)
		if (!pm->points || pm->points >> i & 1)
			json_array_append_new(points, json_string(tap_point_name(i)));
	json_object_set_new(params, "points", points);
	if (pm->parsed && pm->parsed->count)
		json_object_set_new(params, "filter", tap_filter_to_json(pm->parsed));
	json_object_set_new(params, "snaplen", json_integer(SNAPLEN));
	json_object_set_new(params, "rate", json_integer(RATE));
}
