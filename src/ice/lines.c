/*
 * libnice's debug lines, on the way to the pair tables of the agents that they are about. GLib's log has one
 * handler per process; engines in several threads may share it, therefore the lock. The handler runs inside
 * libnice, under the agent's own lock: it must not call libnice.
 *
 * Checks and keepalives are logged, data packets are not. Checks' lines hold the passwords of ICE sessions:
 * nothing of a debug line is kept but what pairs.c reads from it.
 */
#include <glib.h>
#include <nice/debug.h>

#include <pthread.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/map.h"
#include "ice/internal.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct map *agents; /* by libnice's pointer; NULL while there are none */
static bool listening;

static void take(const char *text)
{
	struct ice_line line;
	struct ice_agent *a;

	if (!ice_line_parse(&line, text) || line.kind == ICE_LINE_OTHER)
		return;
	pthread_mutex_lock(&lock);
	a = agents ? map_get(agents, &line.agent) : NULL;
	if (a)
		ice_pairs_take(&a->pairs, &line, clock_boot_ns());
	pthread_mutex_unlock(&lock);
}

static void on_log(const gchar *domain, GLogLevelFlags level, const gchar *message, gpointer data)
{
	char shown[200];

	(void)domain, (void)data;
	if (level & G_LOG_LEVEL_DEBUG) {
		take(message);
		return;
	}
	log_visible(shown, sizeof(shown), message, strlen(message));
	log_warn("ice", "libnice: %s", shown);
}

void lines_start(struct ice_agent *a)
{
	uintptr_t key = (uintptr_t)a->nice;

	pthread_mutex_lock(&lock);
	if (!listening) {
		g_log_set_handler("libnice", G_LOG_LEVEL_MASK, on_log, NULL);
		nice_debug_enable(FALSE);
		listening = true;
	}
	if (!agents)
		agents = map_new(sizeof(uintptr_t));
	map_put(agents, &key, a);
	pthread_mutex_unlock(&lock);
}

void lines_stop(struct ice_agent *a)
{
	uintptr_t key = (uintptr_t)a->nice;

	pthread_mutex_lock(&lock);
	map_remove(agents, &key);
	if (!map_count(agents)) {
		map_free(agents);
		agents = NULL;
	}
	ice_pairs_clear(&a->pairs);
	pthread_mutex_unlock(&lock);
}

size_t lines_look(const struct ice_agent *a, struct ice_known_pair *out, size_t max, struct ice_keepalives *k)
{
	size_t n;

	pthread_mutex_lock(&lock);
	n = a->pairs.count < max ? a->pairs.count : max;
	if (n)
		memcpy(out, a->pairs.pair, n * sizeof(*out));
	*k = ice_pairs_keepalives(&a->pairs);
	pthread_mutex_unlock(&lock);
	return n;
}
