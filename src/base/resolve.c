/*
 * Helper threads are detached and nobody waits for them: getaddrinfo cannot be interrupted and may hang for
 * many seconds, and a shutdown must not. What they share lives until the last of them and the owner have let
 * go of it.
 */
#include "base/resolve.h"

#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/list.h"
#include "base/xalloc.h"

#define HELPERS_MAX 4

enum query_state {
	WAITING,    /* in the list of that name */
	RUNNING,    /* a helper has it */
	CANCELLED,  /* a helper still has it, and will free it */
	DONE,	    /* in the list of that name */
	DELIVERING, /* fn runs; who called it frees it */
};

struct resolve_query {
	struct list link;
	struct resolver *resolver;
	enum query_state state;
	char *host, *port;
	int gai_error;
	union address found[RESOLVE_MAX];
	size_t count;
	/* one of these */
	void (*fn)(void *arg, const union address *found, int gai_error);
	void (*fn_all)(void *arg, const union address *found, size_t count, int gai_error);
	void *arg;
};

struct resolver {
	pthread_mutex_t lock; /* guards all but the constant members */
	pthread_cond_t work;
	struct list waiting, done;
	unsigned helpers, idle, backlog; /* threads, those of them that wait for work, length of waiting */
	unsigned holders;		 /* who still uses this: helpers, the owner, on_done */
	bool closed;			 /* the owner has gone */

	int done_fd;
	struct loop_fd *watch;
};

static void free_query(struct resolve_query *q)
{
	free(q->host);
	free(q->port);
	free(q);
}

static void free_queries(struct list *queries)
{
	list_for_each_safe (at, queries) {
		list_remove(at);
		free_query(container_of(at, struct resolve_query, link));
	}
}

/* Gives the lock and one hold back. */
static void let_go(struct resolver *r)
{
	bool last = --r->holders == 0;

	pthread_mutex_unlock(&r->lock);
	if (!last)
		return;
	pthread_mutex_destroy(&r->lock);
	pthread_cond_destroy(&r->work);
	free(r);
}

static int look_up(const char *host, const char *port, union address found[RESOLVE_MAX], size_t *count)
{
	struct addrinfo hints = {.ai_socktype = SOCK_DGRAM, .ai_flags = AI_NUMERICHOST}, *list;
	int err = getaddrinfo(host, port, &hints, &list);

	if (err == EAI_NONAME) {
		/* Numbers go first, without it: AI_ADDRCONFIG also hides literals of the absent family. */
		hints.ai_flags = AI_ADDRCONFIG;
		err = getaddrinfo(host, port, &hints, &list);
	}
	if (err)
		return err;
	for (struct addrinfo *a = list; a && *count < RESOLVE_MAX; a = a->ai_next)
		if (a->ai_addrlen <= sizeof(*found) && (a->ai_family == AF_INET || a->ai_family == AF_INET6))
			memcpy(&found[(*count)++], a->ai_addr, a->ai_addrlen);
	freeaddrinfo(list);
	return *count ? 0 : EAI_FAMILY;
}

/* With the lock held. */
static void finish(struct resolver *r, struct resolve_query *q)
{
	q->state = DONE;
	list_append(&r->done, &q->link);
	if (write(r->done_fd, &(uint64_t){1}, sizeof(uint64_t)) < 0)
		abort(); /* an eventfd of our own that is far from full */
}

static void *help(void *arg)
{
	struct resolver *r = arg;
	struct resolve_query *q;

	pthread_mutex_lock(&r->lock);
	for (;;) {
		r->idle++;
		while (list_empty(&r->waiting) && !r->closed)
			pthread_cond_wait(&r->work, &r->lock);
		r->idle--;
		if (r->closed)
			break;
		q = container_of(r->waiting.next, struct resolve_query, link);
		list_remove(&q->link);
		r->backlog--;
		q->state = RUNNING;
		pthread_mutex_unlock(&r->lock);
		q->gai_error = look_up(q->host, q->port, q->found, &q->count);
		pthread_mutex_lock(&r->lock);
		if (r->closed || q->state == CANCELLED)
			free_query(q);
		else
			finish(r, q);
	}
	r->helpers--;
	let_go(r);
	return NULL;
}

/* With the lock held. Signals stay with the threads that want them. */
static bool start_helper(struct resolver *r)
{
	pthread_attr_t attr;
	pthread_t thread;
	sigset_t all, before;
	bool started;

	sigfillset(&all);
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	started = pthread_create(&thread, &attr, help, r) == 0;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attr);
	r->helpers += started;
	r->holders += started;
	return started;
}

static void on_done(void *arg, int fd, unsigned events)
{
	struct resolver *r = arg;
	struct resolve_query *q;
	uint64_t count;

	(void)events;
	if (read(fd, &count, sizeof(count)) != sizeof(count))
		return;
	pthread_mutex_lock(&r->lock);
	r->holders++;
	/* One at a time, without the lock: fn may cancel those behind it, or free the resolver. */
	while (!list_empty(&r->done)) {
		q = container_of(r->done.next, struct resolve_query, link);
		list_remove(&q->link);
		q->state = DELIVERING;
		pthread_mutex_unlock(&r->lock);
		if (q->fn)
			q->fn(q->arg, q->gai_error ? NULL : q->found, q->gai_error);
		else
			q->fn_all(q->arg, q->found, q->count, q->gai_error);
		free_query(q);
		pthread_mutex_lock(&r->lock);
	}
	let_go(r);
}

struct resolver *resolver_new(struct loop *loop)
{
	struct resolver *r = xcalloc(1, sizeof(*r));

	pthread_mutex_init(&r->lock, NULL);
	pthread_cond_init(&r->work, NULL);
	list_init(&r->waiting);
	list_init(&r->done);
	r->holders = 1;
	r->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (r->done_fd < 0) {
		fprintf(stderr, "weir: cannot make a wake-up descriptor for the resolver: %s\n",
			strerror(errno));
		abort();
	}
	r->watch = loop_fd_add(loop, r->done_fd, LOOP_READ, on_done, r);
	return r;
}

void resolver_free(struct resolver *r)
{
	if (!r)
		return;
	loop_fd_remove(r->watch);
	pthread_mutex_lock(&r->lock);
	r->closed = true;
	free_queries(&r->waiting);
	free_queries(&r->done);
	close(r->done_fd); /* helpers write to it under the lock, and not once this is closed */
	pthread_cond_broadcast(&r->work);
	let_go(r);
}

static struct resolve_query *new_query(struct resolver *r, const char *host, const char *port, void *arg)
{
	struct resolve_query *q = xcalloc(1, sizeof(*q));

	q->resolver = r;
	q->host = xstrdup(host);
	q->port = xstrdup(port);
	q->arg = arg;
	return q;
}

static void start(struct resolver *r, struct resolve_query *q)
{
	pthread_mutex_lock(&r->lock);
	list_append(&r->waiting, &q->link);
	r->backlog++;
	if (r->backlog > r->idle && r->helpers < HELPERS_MAX && !start_helper(r) && !r->helpers) {
		/* No thread to be had: an answer that says "later" instead of none. */
		list_remove(&q->link);
		r->backlog--;
		q->gai_error = EAI_AGAIN;
		finish(r, q);
	}
	pthread_cond_signal(&r->work);
	pthread_mutex_unlock(&r->lock);
}

struct resolve_query *resolve_start(struct resolver *r, const char *host, const char *port,
				    void (*fn)(void *arg, const union address *found, int gai_error),
				    void *arg)
{
	struct resolve_query *q = new_query(r, host, port, arg);

	q->fn = fn;
	start(r, q);
	return q;
}

struct resolve_query *
resolve_all(struct resolver *r, const char *host, const char *port,
	    void (*fn)(void *arg, const union address *found, size_t count, int gai_error), void *arg)
{
	struct resolve_query *q = new_query(r, host, port, arg);

	q->fn_all = fn;
	start(r, q);
	return q;
}

void resolve_cancel(struct resolve_query *q)
{
	struct resolver *r;

	if (!q)
		return;
	r = q->resolver;
	pthread_mutex_lock(&r->lock);
	switch (q->state) {
	case WAITING:
		r->backlog--;
		list_remove(&q->link);
		free_query(q);
		break;
	case DONE:
		list_remove(&q->link);
		free_query(q);
		break;
	case RUNNING:
		q->state = CANCELLED;
		break;
	case CANCELLED:
	case DELIVERING:
		break;
	}
	pthread_mutex_unlock(&r->lock);
}
