/* The Packets screen: what is typed, and what is copied. */
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tui/format.h"
#include "tui/packets_internal.h"
#include "tui/text.h"

/* ---- the filter's words ---- */

static bool is_one_of(const char *word, size_t len, const char *const *list)
{
	for (; *list; list++)
		if (strlen(*list) == len && strncmp(*list, word, len) == 0)
			return true;
	return false;
}

bool packet_filter_asks_names(const char *text)
{
	static const char *const askers[] = {"host", "net", "gateway", "src", "dst", NULL};
	/* Words of the language that may stand behind those; behind the last six anything may, and is no
	 * host. */
	static const char *const known[] = {
		"and",	     "or",	"not",	      "host",	"net",	 "src",	      "dst",	   "gateway",
		"mask",	     "tcp",	"udp",	      "icmp",	"icmp6", "ip",	      "ip6",	   "sctp",
		"less",	     "greater", "len",	      "in",	"out",	 "broadcast", "multicast", "dropped",
		"wire",	     "inner",	"relay",      "signal", "init",	 "resp",      "cookie",	   "data",
		"keep",	     "stun",	"frame",      "direct", "ice",	 "turn",      "other",	   "port",
		"portrange", "proto",	"protochain", "peer",	"point", "type",      "path",	   NULL};
	static const char *const takers[] = {"port",  "portrange", "proto", "peer",
					     "point", "type",	   "path",  NULL};
	bool asks = false, taken = false;

	while (*text) {
		size_t len = strcspn(text, " \t()!&|");

		if (!len) {
			text++;
			continue;
		}
		if (asks && !taken && isalpha((unsigned char)*text) && !memchr(text, ':', len) &&
		    !memchr(text, '[', len) && !is_one_of(text, len, known))
			return true;
		taken = is_one_of(text, len, takers);
		asks |= is_one_of(text, len, askers);
		text += len;
	}
	return false;
}

/* ---- # ---- */

/* "03:12:39", "03:12:39.203", "3:12": seconds of the day; -1 if it is no time. */
static double time_of_day(const char *text)
{
	unsigned hours, minutes;
	double seconds = 0;
	int used = 0;

	if (sscanf(text, "%2u:%2u%n", &hours, &minutes, &used) != 2 || hours > 23 || minutes > 59)
		return -1;
	if (text[used] == ':') {
		char *end;

		if (!isdigit((unsigned char)text[used + 1]))
			return -1;
		seconds = strtod(text + used + 1, &end);
		used = (int)(end - text);
	}
	return text[used] || !(seconds >= 0 && seconds < 61) ? -1 : hours * 3600 + minutes * 60 + seconds;
}

/* The first packet at that time of the day or after it, on the day of the newest or the one before. */
static size_t row_at_time(const struct packet_model *pm, const struct packets *p, double of_day)
{
	const struct packet *last = packets_get(p, pm->rows[pm->count - 1]);
	double newest = last ? (double)last->meta.at / 1e9 : 0, at = floor(newest / 86400) * 86400 + of_day;

	if (at > newest)
		at -= 86400;
	for (size_t i = 0; i < pm->count; i++) {
		const struct packet *k = packets_get(p, pm->rows[i]);

		/* Half a millisecond: the screen shows times that were cut. */
		if (k && (double)k->meta.at / 1e9 >= at - 0.0005)
			return i;
	}
	return pm->count - 1;
}

static void jump(struct model *m, const struct packets *p, double now)
{
	struct packet_model *pm = &m->packets;
	double of_day = time_of_day(pm->jump);
	char *end;
	uint64_t number = strtoull(pm->jump, &end, 10);

	if (!pm->count)
		model_say(m, now, false, "there is no packet");
	else if (of_day >= 0)
		packets_go(m, row_at_time(pm, p, of_day));
	else if (*pm->jump && !*end && isdigit((unsigned char)*pm->jump))
		packets_go(m, packets_row_from(pm, number));
	else
		model_say(m, now, true, "\"%s\" is neither a number nor a time (03:12:39)", pm->jump);
}

void packets_jump_key(struct model *m, const struct data *d, uint32_t code, double now, struct effects *fx)
{
	if (code == '\r' || code == '\n') {
		m->mode = MODE_NORMAL;
		jump(m, d->packets, now);
	} else if (code == K_ESCAPE || code == CTRL_('C')) {
		m->mode = MODE_NORMAL;
	} else {
		line_edit(m->packets.jump, sizeof(m->packets.jump), code);
	}
	packets_sync(m, d, fx);
}

/* ---- y ---- */

const char *packets_peer(void *arg, const struct key *key)
{
	static const char none[] = "";
	char text[KEY_BASE64_LEN + 1];
	const struct peer *p;

	key_to_base64(text, key);
	p = data_peer(arg, text);
	return p ? p->name : none;
}

static void copy_line(struct strbuf *out, const struct data *d, const struct packet *k)
{
	char clock[FORMAT_ROOM];
	struct decode brief;

	decode_brief(&brief, &k->meta, k->data, k->captured);
	strbuf_add(out, "%llu %sZ %s %s %s %s %u %s", (unsigned long long)k->number, packet_clock(clock, k),
		   k->meta.out ? "out" : "in", tap_point_name(k->meta.point),
		   k->meta.has_peer ? packets_peer((void *)d, &k->meta.peer) : "-", brief.protocol,
		   k->meta.length, brief.info);
}

static void copy_field(struct strbuf *out, const struct packet_model *pm, const struct packets *p,
		       const struct packet *k)
{
	uint8_t shown[DECODE_LINES];
	struct decode d;
	unsigned count, line;

	packets_decode(&d, p, k, "", 0);
	count = packet_tree(pm, &d, shown);
	line = pm->line == PACKET_NO_LINE ? packet_main_line(pm, &d) : pm->line;
	if (line < count)
		strbuf_add(out, "%s %s", d.lines[shown[line]].label, d.lines[shown[line]].value);
}

void packets_copy(struct model *m, const struct data *d, double now, struct effects *fx)
{
	static const char *const what[] = {"the line", "this field", "the bytes in hex"};
	struct packet_model *pm = &m->packets;
	const struct packet *k = packets_selected(pm, d->packets);
	struct strbuf text = {0};
	struct effect *e;

	if (!k) {
		model_say(m, now, false, "there is no packet");
		return;
	}
	if (pm->pane == PACKET_BYTES)
		packets_hex(&text, k);
	else if (pm->pane == PACKET_TREE)
		copy_field(&text, pm, d->packets, k);
	else
		copy_line(&text, d, k);
	if (!text.text)
		return;
	e = effect_add(fx, EFFECT_COPY);
	e->bytes = text;
	model_say(m, now, false, "copied, if the terminal allows it (OSC 52): %s of packet %llu",
		  what[pm->pane], (unsigned long long)k->number);
}
