#include "peer_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "test.h"

const struct peer_path_ref rig_direct = {PATH_KIND_DIRECT, 0, 1};

struct peer_path_ref rig_relay(uint32_t server, uint32_t generation)
{
	return (struct peer_path_ref){PATH_KIND_RELAY, server, generation};
}

struct peer_path_ref rig_ice(uint32_t generation)
{
	return (struct peer_path_ref){PATH_KIND_ICE, 0, generation};
}

static bool same(struct peer_path_ref a, struct peer_path_ref b)
{
	return a.kind == b.kind && a.id == b.id && a.generation == b.generation;
}

static struct rig_way *find(struct rig *r, struct peer_path_ref ref)
{
	for (int i = 0; i < RIG_WAYS; i++) {
		if (r->ways[i].ref.kind != PATH_KIND_NONE && same(r->ways[i].ref, ref))
			return &r->ways[i];
	}
	return NULL;
}

struct rig_way *rig_way(struct rig *r, struct peer_path_ref ref)
{
	struct rig_way *w = find(r, ref);

	for (int i = 0; i < RIG_WAYS && !w; i++) {
		if (r->ways[i].ref.kind == PATH_KIND_NONE) {
			w = &r->ways[i];
			*w = (struct rig_way){
				.ref = ref, .alive = true, .out = true, .in = true, .rtt = 20 * NS_PER_MS};
		}
	}
	assert_non_null(w);
	return w;
}

static void later(struct rig *r, uint64_t after, struct peer_path_ref path, const struct signal_message *m)
{
	struct rig_queued *q = &r->queue[r->queued++];

	assert_true(r->queued < RIG_QUEUE);
	*q = (struct rig_queued){.at = r->now + after, .path = path};
	if (m) {
		q->message = malloc(sizeof(*m));
		*q->message = *m;
	}
}

struct signal_message rig_message(struct rig *r, enum signal_type type)
{
	return (struct signal_message){.type = type, .boot = r->boot, .generation = r->remote_generation};
}

/* A WireGuard packet of ours leaves on a way; `answer`: the far end has something to say there. */
static void tunnel_out(struct rig *r, struct peer_path_ref path, bool data, bool answer)
{
	struct rig_way *w = find(r, path);

	if (!w)
		return;
	w->sent++;
	w->last_sent = r->facts.last_sent = r->now;
	if (data && !r->facts.unanswered_since)
		r->facts.unanswered_since = r->now;
	if (!w->alive || !w->out)
		return;
	w->far_received++;
	if (answer) {
		w->far_sent++;
		if (w->in)
			later(r, w->rtt, path, NULL);
	}
}

static void frame_out(struct rig *r, const struct peer_action *a)
{
	struct rig_way *w = find(r, a->path);
	bool ping = a->frame == SIGNAL_PING || a->frame == SIGNAL_RELAY_OPEN;

	r->frames[a->frame]++;
	r->last_frame[a->frame] = *a;
	if (!ping || !w || !w->alive || !r->boot || (w->mtu && a->size > w->mtu))
		return;
	struct signal_message m = rig_message(r, a->frame == SIGNAL_PING ? SIGNAL_PONG : SIGNAL_RELAY_OPENED);
	m.has = SIGNAL_HAS_ECHO;
	memcpy(m.echo, a->echo, sizeof(m.echo));
	if (r->counts) {
		m.has |= SIGNAL_HAS_COUNTS;
		m.data_sent = w->far_sent;
		m.data_received = w->far_received;
	}
	later(r, w->rtt, a->path, &m);
}

static void perform(struct rig *r, const struct peer_actions *out)
{
	if (out->count > r->most_actions)
		r->most_actions = out->count;
	for (unsigned i = 0; i < out->count; i++) {
		const struct peer_action *a = &out->items[i];

		r->acts[a->type]++;
		r->last[a->type] = *a;
		if (a->type == PEER_ACT_SEND) {
			frame_out(r, a);
		} else if (a->type == PEER_ACT_CHOOSE) {
			r->chosen = a->path;
		} else if (a->type == PEER_ACT_KEEPALIVE) {
			tunnel_out(r, a->path, false, r->courts);
		} else if (a->type == PEER_ACT_NOTE && r->notes_len + PEER_NOTE_MAX + 16 < sizeof(r->notes)) {
			r->notes_len += snprintf(r->notes + r->notes_len, sizeof(r->notes) - r->notes_len,
						 "%s %s\n", a->kind, a->text);
		}
	}
}

static void gather(struct rig *r)
{
	unsigned n = 0;

	memset(r->facts.paths, 0, sizeof(r->facts.paths));
	for (int i = 0; i < RIG_WAYS; i++) {
		const struct rig_way *w = &r->ways[i];

		if (w->ref.kind == PATH_KIND_NONE || peer_find_slot(r->m, &w->ref) == PEER_NO_SLOT)
			continue;
		r->facts.paths[n++] = (struct tunnel_path_facts){.ref = w->ref,
								 .last_received = w->last_received,
								 .last_sent = w->last_sent,
								 .received = w->received,
								 .sent = w->sent};
	}
}

void rig_step(struct rig *r, struct peer_event ev)
{
	static struct peer_actions out;
	const char *wrong;

	gather(r);
	peer_step(r->m, &ev, &r->facts, r->now, &out);
	wrong = peer_check(r->m);
	if (wrong)
		fail_msg("%s at %llu ms, after %s\n%s", wrong, (unsigned long long)(r->now / NS_PER_MS),
			 peer_event_name(ev.type), r->notes);
	perform(r, &out);
}

void rig_event(struct rig *r, enum peer_event_type type, struct peer_path_ref path, bool up)
{
	rig_step(r, (struct peer_event){.type = type, .path = path, .up = up, .known = up, .count = 3});
}

void rig_command(struct rig *r, enum peer_command c)
{
	rig_step(r, (struct peer_event){.type = PEER_EV_COMMAND, .command = c});
}

void rig_frame(struct rig *r, struct peer_path_ref path, struct signal_message *m, bool new_boot)
{
	rig_step(r, (struct peer_event){
			    .type = PEER_EV_FRAME, .path = path, .message = m, .new_boot = new_boot});
}

void rig_hello(struct rig *r, struct peer_path_ref path)
{
	struct signal_message m = rig_message(r, SIGNAL_HELLO);

	rig_frame(r, path, &m, true);
}

void rig_packet(struct rig *r, struct peer_path_ref path)
{
	struct rig_way *w = rig_way(r, path);

	w->received++;
	w->last_received = r->facts.last_received = r->now;
	r->facts.received++;
	r->facts.unanswered_since = 0;
	if (!same(r->chosen, path))
		rig_event(r, PEER_EV_ARRIVED, path, true);
}

static void deliver(struct rig *r, unsigned i)
{
	struct rig_queued q = r->queue[i];

	r->queue[i] = r->queue[--r->queued];
	if (q.message)
		rig_frame(r, q.path, q.message, false);
	else
		rig_packet(r, q.path);
	free(q.message);
}

/* One thing happens: the earliest. False: nothing until `end`. */
static bool turn(struct rig *r, uint64_t end)
{
	uint64_t at = peer_deadline(r->m) ? peer_deadline(r->m) : UINT64_MAX;
	int which = -1;

	for (unsigned i = 0; i < r->queued; i++) {
		if (r->queue[i].at < at) {
			at = r->queue[i].at;
			which = (int)i;
		}
	}
	if (r->traffic && r->next_data < at) {
		at = r->next_data;
		which = -2;
	}
	if (at > end)
		return false;
	if (at > r->now)
		r->now = at;
	if (which >= 0) {
		deliver(r, (unsigned)which);
	} else if (which == -2) {
		bool begins = !r->facts.unanswered_since;

		r->next_data = r->now + r->traffic;
		tunnel_out(r, r->chosen, true, !r->one_way);
		if (begins)
			rig_event(r, PEER_EV_TRAFFIC, r->chosen, true);
	} else {
		rig_step(r, (struct peer_event){.type = PEER_EV_TIMER});
	}
	return true;
}

void rig_run(struct rig *r, uint64_t milliseconds)
{
	uint64_t end = r->now + milliseconds * NS_PER_MS;
	unsigned turns = 0;

	if (r->traffic && r->next_data < r->now)
		r->next_data = r->now;
	while (turn(r, end))
		assert_true(++turns < 3000000);
	r->now = end;
}

bool rig_until_chosen(struct rig *r, struct peer_path_ref path, uint64_t milliseconds)
{
	for (uint64_t i = 0; i < milliseconds && !same(r->chosen, path); i++)
		rig_run(r, 1);
	return same(r->chosen, path);
}

void rig_relay_up(struct rig *r, uint32_t server, uint32_t generation)
{
	rig_way(r, rig_relay(server, generation));
	rig_event(r, PEER_EV_RELAY, rig_relay(server, generation), true);
	rig_event(r, PEER_EV_PRESENCE, rig_relay(server, generation), true);
}

void rig_tunnel(struct rig *r)
{
	r->facts.usable = true;
	r->facts.wants = true;
	r->facts.attempt = 0;
	r->facts.unanswered_since = 0;
	r->facts.last_handshake = r->now;
	rig_packet(r, r->chosen);
	rig_event(r, PEER_EV_HANDSHAKE, r->chosen, true);
}

struct peer_look rig_look(const struct rig *r)
{
	struct peer_look l;

	peer_look(r->m, &l);
	return l;
}

void rig_forget(struct rig *r)
{
	memset(r->acts, 0, sizeof(r->acts));
	memset(r->frames, 0, sizeof(r->frames));
	r->notes_len = 0;
	r->notes[0] = '\0';
	r->changes_before = rig_look(r).path_changes;
}

unsigned rig_changes(const struct rig *r)
{
	return rig_look(r).path_changes - r->changes_before;
}

bool rig_noted(const struct rig *r, const char *text)
{
	return strstr(r->notes, text);
}

struct rig *rig_new(enum peer_mode mode, bool controlling)
{
	struct rig *r = calloc(1, sizeof(*r));

	r->settings = (struct peer_settings){.mode = mode,
					     .controlling = controlling,
					     .ice = true,
					     .servers = {0, 1, PEER_NO_SERVER, PEER_NO_SERVER},
					     .home = 0,
					     .full_size = 1452};
	r->now = 1000 * NS_PER_SEC;
	r->boot = 77;
	r->courts = r->counts = true;
	r->facts.device_up = true;
	r->m = peer_machine_new(&r->settings, 1, 1);
	return r;
}

void rig_free(struct rig *r)
{
	for (unsigned i = 0; i < r->queued; i++)
		free(r->queue[i].message);
	peer_machine_free(r->m);
	free(r);
}

int rig_setup(void **state)
{
	struct rig *r = rig_new(PEER_AUTO, true);

	rig_step(r, (struct peer_event){.type = PEER_EV_START});
	*state = r;
	return 0;
}

int rig_teardown(void **state)
{
	rig_free(*state);
	return 0;
}
