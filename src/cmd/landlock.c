#include "cmd/landlock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#if __has_include(<linux/landlock.h>) && defined(SYS_landlock_create_ruleset)
#include <linux/landlock.h>

#ifndef LANDLOCK_ACCESS_FS_TRUNCATE
#define LANDLOCK_ACCESS_FS_TRUNCATE (1ULL << 14) /* third version, Linux 6.2 */
#endif

#define FOLDER_RIGHTS                                                                                        \
	(LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK |        \
	 LANDLOCK_ACCESS_FS_REMOVE_FILE)
#define ALL_RIGHTS                                                                                           \
	(FOLDER_RIGHTS | LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_REMOVE_DIR |                        \
	 LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_FIFO |         \
	 LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_MAKE_SYM)

static int allow(int ruleset, const char *path, uint64_t rights)
{
	struct landlock_path_beneath_attr rule = {.allowed_access = rights};
	int r;

	rule.parent_fd = open(path, O_PATH | O_CLOEXEC);
	if (rule.parent_fd < 0)
		return 0;
	r = (int)syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
	r = r ? -errno : 0;
	close(rule.parent_fd);
	return r;
}

/* detach.c opens /dev/null when it leaves the terminal, after this. */
static int allow_all(int ruleset, const char *const *folders, uint64_t truncate)
{
	int r = allow(ruleset, "/dev/net/tun", LANDLOCK_ACCESS_FS_WRITE_FILE);

	if (!r)
		r = allow(ruleset, "/dev/null", LANDLOCK_ACCESS_FS_WRITE_FILE | truncate);
	for (unsigned i = 0; !r && folders[i]; i++)
		r = allow(ruleset, folders[i], FOLDER_RIGHTS | truncate);
	return r;
}

int landlock_writing(const char *const *folders, struct error *e)
{
	int version = (int)syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	uint64_t truncate = version >= 3 ? LANDLOCK_ACCESS_FS_TRUNCATE : 0;
	const struct landlock_ruleset_attr handled = {.handled_access_fs = ALL_RIGHTS | truncate};
	int ruleset, r;

	if (version < 1)
		return 0;
	ruleset = (int)syscall(SYS_landlock_create_ruleset, &handled, sizeof(handled), 0);
	if (ruleset < 0)
		return error_set(e, errno, "cannot make a Landlock rule set: %s", strerror(errno));
	r = allow_all(ruleset, folders, truncate);
	if (!r && syscall(SYS_landlock_restrict_self, ruleset, 0))
		r = -errno;
	close(ruleset);
	if (r)
		return error_set(e, -r, "cannot restrict writing by Landlock: %s (--no-sandbox runs without)",
				 strerror(-r));
	return 0;
}

#else

int landlock_writing(const char *const *folders, struct error *e)
{
	(void)folders, (void)e;
	return 0;
}

#endif
