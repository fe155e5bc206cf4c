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

/* Data is unanswered while pings pass: the path may have become narrower. */
void mtu_recheck(struct step *s, enum peer_slot slot)
{
	struct mtu *t = &s->m->paths[slot].mtu;

	/* not again within a minute of the last search */
	if (t->proven && !t->size && searchable(s->m, slot) &&
	    t->next <= s->now + ms(s->m, RECHECK - RECHECK / 10 - 10000))
		t->next = s->now;
}

static void done(struct step *s, enum peer_slot slot, uint16_t size)
{
	struct path *p = &s->m->paths[slot];
	bool changed = p->mtu.proven != size || !p->mtu.told;

	p->mtu.proven = size;
	p->mtu.size = 0;
	p->mtu.tries = 0;
	p->mtu.told = true;
	p->mtu.next = s->now + jitter(s->m, ms(s->m, RECHECK));
	if (!changed)
		return;
	struct peer_action *a = act(s, PEER_ACT_MTU);
	a->path = p->ref;
	a->size = size;
	if (p->mtu.failed)
		note(s, LOG_NOTICE, "mtu",
		     "%s carries %u bytes of UDP payload; %u did not get through in %d tries", path_word(p),
		     size, p->mtu.failed, TRIES);
	else
		note(s, LOG_INFO, "mtu", "%s carries %u bytes of UDP payload", path_word(p), size);
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
	uint64_t wait = patience(s->m, p);

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
			t->failed = t->size;
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
		if (s->now >= t->next && s->m->paths[i].last_pong)
			probe_size(s, i);
		if (s->m->paths[i].last_pong)
			want_turn(s, t->next);
	}
}
