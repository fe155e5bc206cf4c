/*
 * Clocks that a lab test can move, for one program alone: loaded into it by LD_PRELOAD. Suspend and a wrong
 * wall clock cannot be had in a namespace of its own.
 *
 * The file $LAB_CLOCKS holds two words of eight characters, a sign and seven digits each: by how many seconds
 * boot time is ahead of monotonic time, as after a suspend, and by how many the wall clock is wrong. They may
 * be written anew at any time.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define WORD 8

static const char *words; /* NULL: the clocks are as they are */

__attribute__((constructor)) static void open_words(void)
{
	const char *path = getenv("LAB_CLOCKS");
	int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	void *at = fd < 0 ? MAP_FAILED : mmap(NULL, 2 * WORD, PROT_READ, MAP_SHARED, fd, 0);

	if (at != MAP_FAILED)
		words = at;
	if (fd >= 0)
		close(fd);
}

static time_t offset(unsigned i)
{
	char text[WORD + 1] = "";

	if (words)
		memcpy(text, words + i * WORD, WORD);
	return (time_t)strtol(text, NULL, 10);
}

int clock_gettime(clockid_t clock, struct timespec *at)
{
	int r = (int)syscall(SYS_clock_gettime, clock, at);

	/* Time asleep is time of the wall, too. */
	if (!r && (clock == CLOCK_BOOTTIME || clock == CLOCK_REALTIME))
		at->tv_sec += offset(0);
	if (!r && clock == CLOCK_REALTIME)
		at->tv_sec += offset(1);
	return r;
}

/* Deadlines are boot times of the moved clock. */
int timerfd_settime(int fd, int flags, const struct itimerspec *to, struct itimerspec *was)
{
	struct itimerspec moved = *to;

	if (flags & TFD_TIMER_ABSTIME && (to->it_value.tv_sec || to->it_value.tv_nsec)) {
		moved.it_value.tv_sec -= offset(0);
		if (moved.it_value.tv_sec < 0)
			moved.it_value.tv_sec = 0;
		if (!moved.it_value.tv_sec && !moved.it_value.tv_nsec)
			moved.it_value.tv_nsec = 1;
	}
	return (int)syscall(SYS_timerfd_settime, fd, flags, &moved, was);
}
