/* Names with a deadline: getaddrinfo knows none, so it runs in a thread that nobody needs to wait for. */
#include <netdb.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/xalloc.h"
#include "report/internal.h"

#define FOUND_MAX 8

struct lookup {
	pthread_mutex_t lock;
	pthread_cond_t done_cond;
	unsigned owners; /* the thread, and who waits */
	bool done;
	char host[REPORT_HOST];
	union address found[FOUND_MAX];
	unsigned count;
	int gai_error;
};

void address_set_port(union address *a, uint16_t port)
{
	if (a->sa.sa_family == AF_INET)
		a->in.sin_port = htons(port);
	else if (a->sa.sa_family == AF_INET6)
		a->in6.sin6_port = htons(port);
}

uint16_t address_port(const union address *a)
{
	return ntohs(a->sa.sa_family == AF_INET6 ? a->in6.sin6_port : a->in.sin_port);
}

/* With the lock held; the last one frees it. */
static void leave(struct lookup *l)
{
	bool last = --l->owners == 0;

	pthread_mutex_unlock(&l->lock);
	if (!last)
		return;
	pthread_cond_destroy(&l->done_cond);
	pthread_mutex_destroy(&l->lock);
	free(l);
}

static void *look_up(void *arg)
{
	struct addrinfo hints = {.ai_socktype = SOCK_DGRAM}, *list = NULL;
	struct lookup *l = arg;
	int r = getaddrinfo(l->host, NULL, &hints, &list);

	pthread_mutex_lock(&l->lock);
	l->gai_error = r;
	for (const struct addrinfo *a = r ? NULL : list; a && l->count < FOUND_MAX; a = a->ai_next)
		if (a->ai_addrlen <= sizeof(l->found[0]))
			memcpy(&l->found[l->count++], a->ai_addr, a->ai_addrlen);
	if (!r)
		freeaddrinfo(list);
	l->done = true;
	pthread_cond_signal(&l->done_cond);
	leave(l);
	return NULL;
}

unsigned names_resolve(const char *host, uint16_t port, union address *out, unsigned max, uint64_t wait,
		       char *error, size_t error_size)
{
	struct lookup *l = xcalloc(1, sizeof(*l));
	pthread_condattr_t steady;
	struct timespec until;
	pthread_t thread;
	unsigned count = 0;
	uint64_t end;
	int r = 0;

	*error = '\0';
	snprintf(l->host, sizeof(l->host), "%s", host);
	pthread_mutex_init(&l->lock, NULL);
	/* Not by the wall clock, which may be set back meanwhile. */
	pthread_condattr_init(&steady);
	pthread_condattr_setclock(&steady, CLOCK_MONOTONIC);
	pthread_cond_init(&l->done_cond, &steady);
	pthread_condattr_destroy(&steady);
	clock_gettime(CLOCK_MONOTONIC, &until);
	end = (uint64_t)until.tv_nsec + wait;
	until.tv_sec += (time_t)(end / NS_PER_SEC);
	until.tv_nsec = (long)(end % NS_PER_SEC);
	l->owners = 2;
	if (pthread_create(&thread, NULL, look_up, l)) {
		l->owners = 1;
		l->done = true;
		l->gai_error = EAI_MEMORY;
	} else {
		pthread_detach(thread);
	}
	pthread_mutex_lock(&l->lock);
	while (!l->done && !r)
		r = pthread_cond_timedwait(&l->done_cond, &l->lock, &until);
	if (!l->done)
		snprintf(error, error_size, "no answer from the name servers in %u s",
			 (unsigned)(wait / NS_PER_SEC));
	else if (l->gai_error)
		snprintf(error, error_size, "%s", gai_strerror(l->gai_error));
	for (; l->done && count < l->count && count < max; count++) {
		out[count] = l->found[count];
		address_set_port(&out[count], port);
	}
	leave(l);
	return count;
}
