/* A network namespace of its own for a test program, and small helpers to look around in it. */
#ifndef WEIR_TESTS_NETSPACE_H
#define WEIR_TESTS_NETSPACE_H

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "base/strbuf.h"

static inline void netspace_put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);

	if (fd >= 0) {
		(void)!write(fd, text, strlen(text));
		close(fd);
	}
}

/* As root, or through a user namespace; false where neither is allowed or there is no TUN. */
static inline bool netspace_enter(void)
{
	char map[64];
	uid_t uid = getuid();

	if (unshare(CLONE_NEWNET | CLONE_NEWNS)) {
		if (unshare(CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWNS))
			return false;
		netspace_put("/proc/self/setgroups", "deny");
		snprintf(map, sizeof(map), "0 %u 1", uid);
		netspace_put("/proc/self/uid_map", map);
	}
	mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL);
	return access("/dev/net/tun", R_OK | W_OK) == 0;
}

/* The network alone; as an ordinary user through a user namespace whose root we are. */
static inline bool netspace_isolate(void)
{
	unsigned uid = getuid(), gid = getgid();
	char map[32];

	if (uid == 0)
		return unshare(CLONE_NEWNET) == 0;
	if (unshare(CLONE_NEWUSER | CLONE_NEWNET))
		return false;
	netspace_put("/proc/self/setgroups", "deny");
	snprintf(map, sizeof(map), "0 %u 1", uid);
	netspace_put("/proc/self/uid_map", map);
	snprintf(map, sizeof(map), "0 %u 1", gid);
	netspace_put("/proc/self/gid_map", map);
	return true;
}

/* What a command prints; the caller frees. */
static inline char *netspace_ask(const char *command)
{
	struct strbuf s = {0};
	FILE *f = popen(command, "r");
	char buf[4096];
	size_t n;

	strbuf_append(&s, "", 0);
	while (f && (n = fread(buf, 1, sizeof(buf), f)) > 0)
		strbuf_append(&s, buf, n);
	if (f)
		pclose(f);
	return s.text;
}

static inline bool netspace_says(const char *command, const char *part)
{
	char *text = netspace_ask(command);
	bool found = strstr(text, part) != NULL;

	free(text);
	return found;
}

#endif
