/* Every now and then: the watchdog is fed, systemd gets a line about the peers, and a lost dashboard is
 * noted. */
#include "base/clock.h"
#include "cmd/notify.h"
#include "cmd/serve_internal.h"

#define VIEW_INTERVAL	NS_PER_SEC
#define STATUS_INTERVAL (10 * NS_PER_SEC)

/* A view that ends does not end the tunnel; the log keeps when it happened. */
static void look_at_views(struct serve *s)
{
	bool has = control_views(s->control) > 0;

	if (s->had_views && !has && s->phase == PHASE_RUNNING)
		log_notice("engine", "the last dashboard has left: %s goes on without one (weir attach %s)",
			   engine_ifname(s->engine), engine_ifname(s->engine));
	s->had_views = has;
}

static void tell_status(struct serve *s)
{
	unsigned words[WORD_DOWN + 1] = {0};
	struct engine_peer_view view;
	size_t count = engine_peer_count(s->engine);

	for (struct engine_peer *p = engine_first_peer(s->engine); p; p = engine_next_peer(p)) {
		engine_look_peer(p, &view);
		words[view.state.word]++;
	}
	notify_status("%s %s, %zu %s: %u up, %u waiting, %u stuck", engine_ifname(s->engine),
		      engine_is_up(s->engine) ? "up" : "down", count, count == 1 ? "peer" : "peers",
		      words[WORD_DIRECT] + words[WORD_RELAY], words[WORD_WAIT] + words[WORD_DRAIN],
		      words[WORD_STUCK]);
}

static void on_beat(void *arg)
{
	struct serve *s = arg;
	uint64_t now = clock_boot_ns(), turns = loop_turns(s->loop),
		 next = s->had_views ? now + VIEW_INTERVAL : 0;

	/* This runs in the loop, but a loop that only ever served this timer would be no progress. */
	if (s->alive_interval && now >= s->alive_due) {
		if (engine_makes_progress(s->engine) && turns != s->turns)
			notify_alive();
		s->turns = turns;
		s->alive_due = now + s->alive_interval;
	}
	look_at_views(s);
	if (notify_wanted() && s->phase == PHASE_RUNNING && now >= s->status_due) {
		tell_status(s);
		s->status_due = now + STATUS_INTERVAL;
	}
	next = earlier(next, s->alive_interval ? s->alive_due : 0);
	next = earlier(next, notify_wanted() ? (s->status_due ? s->status_due : now + VIEW_INTERVAL) : 0);
	loop_timer_set(s->beat, next);
}

void beat_start(struct serve *s)
{
	s->alive_interval = notify_alive_interval();
	s->had_views = s->o->views[0] >= 0;
	s->beat = loop_timer_new(s->loop, on_beat, s);
	loop_timer_set(s->beat, clock_boot_ns() + VIEW_INTERVAL);
}

void beat_stop(struct serve *s)
{
	loop_timer_free(s->beat);
}
