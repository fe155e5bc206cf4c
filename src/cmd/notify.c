#include "config.h"
#include "cmd/notify.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#ifdef HAVE_SYSTEMD
#include <systemd/sd-daemon.h>
#include <systemd/sd-journal.h>
#endif

#include "base/clock.h"

static void tell(const char *state)
{
#ifdef HAVE_SYSTEMD
	sd_notify(0, state);
#else
	(void)state;
#endif
}

bool notify_wanted(void)
{
#ifdef HAVE_SYSTEMD
	return getenv("NOTIFY_SOCKET") != NULL;
#else
	return false;
#endif
}

void notify_ready(void)
{
	tell("READY=1");
}

/* The time is what Type=notify-reload waits for: it tells this reload from an earlier one. */
void notify_reloading(void)
{
	struct timespec now;
	char text[80];

	clock_gettime(CLOCK_MONOTONIC, &now);
	snprintf(text, sizeof(text), "RELOADING=1\nMONOTONIC_USEC=%" PRIu64,
		 (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000);
	tell(text);
}

void notify_stopping(void)
{
	tell("STOPPING=1");
}

void notify_more_time(uint64_t ns)
{
	char text[64];

	snprintf(text, sizeof(text), "EXTEND_TIMEOUT_USEC=%llu", ns / NS_PER_US);
	tell(text);
}

void notify_status(const char *fmt, ...)
{
	char text[200] = "STATUS=";
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text + 7, sizeof(text) - 7, fmt, ap);
	va_end(ap);
	tell(text);
}

void notify_alive(void)
{
	tell("WATCHDOG=1");
}

uint64_t notify_alive_interval(void)
{
#ifdef HAVE_SYSTEMD
	uint64_t usec;

	if (sd_watchdog_enabled(0, &usec) > 0)
		return usec * NS_PER_US / 2;
#endif
	return 0;
}

/* JOURNAL_STREAM names device and inode of what stderr was at the start (systemd.exec(5)). */
bool notify_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long device, inode;
	struct stat st;

	return stream && sscanf(stream, "%llu:%llu", &device, &inode) == 2 && !fstat(STDERR_FILENO, &st) &&
	       st.st_dev == device && st.st_ino == inode;
}

int notify_journal_stream(void)
{
#ifdef HAVE_SYSTEMD
	return sd_journal_stream_fd("weir", 6 /* info, for lines without a level */, 1);
#else
	return -1;
#endif
}
