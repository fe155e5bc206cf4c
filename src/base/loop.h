/*
 * The event loop of the control thread. It hides GLib's main context: only loop.c knows it.
 * All functions but loop_quit are for the loop's own thread.
 */
#ifndef WEIR_BASE_LOOP_H
#define WEIR_BASE_LOOP_H

#include <stdbool.h>
#include <stdint.h>

struct loop;
struct loop_fd;
struct loop_timer;

enum loop_events { LOOP_READ = 1, LOOP_WRITE = 2, LOOP_HANGUP = 4 };

struct loop *loop_new(void);
void *loop_native(struct loop *loop); /* its GMainContext: for ice/ alone */
void loop_free(struct loop *loop); /* watches and timers go first */

/* Dispatches until loop_quit. */
void loop_run(struct loop *loop);

/* Dispatches what is ready; waits for the first event when `wait` is set. For tests. */
void loop_step(struct loop *loop, bool wait);
void loop_quit(struct loop *loop); /* from any thread */

/* Watches fd until loop_fd_remove; the loop does not own fd. LOOP_HANGUP is always reported. */
struct loop_fd *loop_fd_add(struct loop *loop, int fd, unsigned events,
			    void (*fn)(void *arg, int fd, unsigned events), void *arg);
void loop_fd_want(struct loop_fd *watch, unsigned events);
void loop_fd_remove(struct loop_fd *watch); /* NULL is allowed; safe inside its own callback */

/* One-shot timer on boot time. Setting it again moves it; a past deadline fires at once; 0 stops it. */
struct loop_timer *loop_timer_new(struct loop *loop, void (*fn)(void *arg), void *arg);
void loop_timer_set(struct loop_timer *timer, uint64_t deadline_boot_ns);
void loop_timer_free(struct loop_timer *timer);

/* Calls fn in the loop when signo arrives. The signal is blocked in all threads from here on. */
int loop_signal(struct loop *loop, int signo, void (*fn)(void *arg, int signo), void *arg);

/* Turns of the loop so far: the watchdog is fed only while it grows. */
uint64_t loop_turns(const struct loop *loop);

#endif
