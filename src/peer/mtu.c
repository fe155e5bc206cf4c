/*
 * The largest datagram that a path carries: pings padded to a size, not to be fragmented (the idea of RFC
 * 8899, with our own acknowledged probes). First the size that is wanted; if that does not come back while
 * small pings do, a binary search.
 */
#include "peer/internal.h"

#define FLOOR	1232 /* RFC 8200 5: 1280 less IPv6 and UDP headers; carried everywhere */
#define STEP	16   /* WireGuard pads to 16: a finer answer is worth nothing */
#define TRIES	3
#define RECHECK 600000 /* ms */
#define CONFIRM 15000  /* ms between confirmations of the size in use, while the path carries data */
#define BUSY	20     /* packets in between that make it one that does */
#define CALM	5000   /* ms between those that a doubt asks for */

static bool searchable(const struct peer_machine *m, enum peer_slot slot)
{
	const struct path *p = &m->paths[slot];

	return p->ready && !p->turn && p->ref.kind != PATH_KIND_RELAY && m->settings.full_size &&
	       m->remote_is_weir;
}

void mtu_begin(struct step *s, enum peer_slot slot)
{
	struct mtu *t = &s->m->paths[slot].mtu;

	if (searchable(s->m, slot) && !t->next)
		t->next = s->now + ms(s->m, 50);
}

/* Another way, so whatever was known is void. */
void mtu_restart(struct step *s, enum peer_slot slot)
{
	struct mtu *t = &s->m->paths[slot].mtu;

	t->size = 0;
	t->confirming = false;
	t->next = t->top = s->now;
}

static void confirm(struct step *s, struct mtu *t)
{
	t->size = t->proven;
	t->tries = 0;
	t->confirming = true;
	t->next = s->now;
}

/* Data is unanswered while pings pass: the path may have become narrower. */
void mtu_doubt(struct step *s, enum peer_slot slot)
{
	struct mtu *t = &s->m->paths[slot].mtu;

	/* once in a doubt, and then now and then while it lasts: one-way traffic is always in some doubt */
	if (t->searched > s->m->watch.probe_from && s->now < t->searched + ms(s->m, CALM))
		return;
	if (t->proven > FLOOR && !t->size && searchable(s->m, slot))
		confirm(s, t);
}

/* Large packets may be what is lost: until that is known, nothing else is blamed. */
bool mtu_searching(const struct peer_machine *m, enum peer_slot slot)
{
	return m->paths[slot].mtu.size != 0;
}

static void tell(struct step *s, enum peer_slot slot, uint16_t size)
{
	struct path *p = &s->m->paths[slot];
	struct peer_action *a = act(s, PEER_ACT_MTU);

	a->path = p->ref;
	a->size = size;
	if (size < p->mtu.limit)
		p->mtu.narrowed = s->now;
	p->mtu.limit = size;
}

static void done(struct step *s, enum peer_slot slot, uint16_t size)
{
	struct path *p = &s->m->paths[slot];
	struct mtu *t = &p->mtu;
	bool changed = t->limit != size;

	if (!t->confirming || !t->top)
		t->top = s->now + jitter(s->m, ms(s->m, RECHECK));
	t->proven = size;
	t->size = 0;
	t->tries = 0;
	t->confirming = false;
	t->searched = s->now;
	t->sent_mark = facts_of(s, slot)->sent;
	t->next = t->top;
	if (!changed)
		return;
	tell(s, slot, size);
	if (t->failed)
		note(s, LOG_NOTICE, "mtu",
		     "%s carries %u bytes of UDP payload; %u did not get through in %d tries", path_word(p),
		     size, t->failed, TRIES);
	else
		note(s, LOG_INFO, "mtu", "%s carries %u bytes of UDP payload", path_word(p), size);
}

/* Nothing came back of that size. Until it is known what passes, nothing larger than what must pass is sent.
 */
static void size_failed(struct step *s, enum peer_slot slot)
{
	struct path *p = &s->m->paths[slot];
	struct mtu *t = &p->mtu;

	t->failed = t->size;
	if (t->proven >= t->failed)
		t->proven = 0;
	if (t->limit && t->limit < t->failed)
		return;
	if (t->limit)
		note(s, LOG_WARN, "mtu",
		     "%s carries %u bytes no more, small pings pass: kept to %u meanwhile", path_word(p),
		     t->failed, FLOOR);
	tell(s, slot, FLOOR);
}

/* The next size between what passed and what did not; 0: settled. */
static uint16_t between(const struct mtu *t)
{
	uint16_t low = t->proven > FLOOR ? t->proven : FLOOR;

	if (!t->failed || t->failed <= low + STEP)
		return 0;
	return (uint16_t)(low + (t->failed - low) / 2);
}

static void go_on(struct step *s, enum peer_slot slot)
{
	struct mtu *t = &s->m->paths[slot].mtu;

	t->size = between(t);
	t->tries = 0;
	if (!t->size)
		done(s, slot, t->proven > FLOOR ? t->proven : FLOOR);
	else
		t->next = s->now;
}

void mtu_pong(struct step *s, enum peer_slot slot, uint16_t size)
{
	struct mtu *t = &s->m->paths[slot].mtu;

	if (!size || !t->size || size < t->size)
		return;
	if (size >= s->m->settings.full_size) {
		t->failed = 0;
		done(s, slot, size);
		return;
	}
	t->proven = size;
	if (t->failed && t->failed <= size)
		t->failed = 0;
	go_on(s, slot);
}

static void probe_size(struct step *s, enum peer_slot slot)
{
	struct path *p = &s->m->paths[slot];
	struct mtu *t = &p->mtu;
	uint64_t wait = patience(s->m, p) / 2; /* one and a half round trips at least */

	if (!t->size) { /* from the top, whatever was known */
		t->size = s->m->settings.full_size;
		t->failed = 0;
		t->proven = 0;
		t->tries = 0;
	}
	if (t->tries >= TRIES) {
		if (p->last_pong + TRIES * wait <
		    s->now) { /* small ones do not come back either: says nothing */
			t->tries = 0;
		} else {
			size_failed(s, slot);
			if (t->size <= FLOOR) {
				done(s, slot, FLOOR);
				return;
			}
			go_on(s, slot);
			if (!t->size)
				return;
		}
	}
	ping(s, slot, t->size);
	if (t->tries)
		ping(s, slot, 0); /* its answer says that only the size is to blame */
	t->tries++;
	t->next = s->now + wait;
}

void mtu_run(struct step *s)
{
	for (unsigned i = 0; i < PEER_SLOTS; i++) {
		struct mtu *t = &s->m->paths[i].mtu;

		if (!searchable(s->m, i) || s->m->paths[i].state != PATH_UP || !path_allowed(s->m, i) ||
		    s->m->away)
			continue;
		mtu_begin(s, i);
		if (i == s->m->chosen && !t->size && t->proven > FLOOR &&
		    s->now >= t->searched + ms(s->m, CONFIRM) && facts_of(s, i)->sent > t->sent_mark + BUSY)
			confirm(s, t);
		if (s->now >= t->next && s->m->paths[i].last_pong)
			probe_size(s, i);
		if (s->m->paths[i].last_pong)
			want_turn(s, t->next);
	}
}
