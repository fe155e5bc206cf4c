#include "config.h"
#include "cmd/sandbox.h"

#include <cap-ng.h>
#include <errno.h>
#include <grp.h>
#include <linux/securebits.h>
#include <pwd.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/types.h>
#include <unistd.h>

#include "cmd/landlock.h"

#define NOBODY 65534 /* where the account database has none */

/* Other programs, other processes, and the kernel's own: an engine that calls one of these has been taken
 * over. */
static const int fatal_calls[] = {
	SCMP_SYS(execve),
	SCMP_SYS(execveat),
	SCMP_SYS(ptrace),
	SCMP_SYS(process_vm_readv),
	SCMP_SYS(process_vm_writev),
	SCMP_SYS(mount),
	SCMP_SYS(umount2),
	SCMP_SYS(move_mount),
	SCMP_SYS(open_tree),
	SCMP_SYS(fsopen),
	SCMP_SYS(fsmount),
	SCMP_SYS(pivot_root),
	SCMP_SYS(chroot),
	SCMP_SYS(kexec_load),
	SCMP_SYS(kexec_file_load),
	SCMP_SYS(init_module),
	SCMP_SYS(finit_module),
	SCMP_SYS(delete_module),
	SCMP_SYS(bpf),
	SCMP_SYS(add_key),
	SCMP_SYS(request_key),
	SCMP_SYS(keyctl),
	SCMP_SYS(open_by_handle_at),
	SCMP_SYS(reboot),
	SCMP_SYS(swapon),
	SCMP_SYS(swapoff),
	SCMP_SYS(settimeofday),
	SCMP_SYS(clock_settime),
	SCMP_SYS(adjtimex),
	SCMP_SYS(clock_adjtime),
	SCMP_SYS(iopl),
	SCMP_SYS(ioperm),
	SCMP_SYS(acct),
};

/* A library may try these and live without them. */
static const int refused_calls[] = {
	SCMP_SYS(userfaultfd),	     SCMP_SYS(personality),    SCMP_SYS(perf_event_open),
	SCMP_SYS(unshare),	     SCMP_SYS(io_uring_setup), SCMP_SYS(io_uring_enter),
	SCMP_SYS(io_uring_register), SCMP_SYS(quotactl),       SCMP_SYS(name_to_handle_at),
	SCMP_SYS(lookup_dcookie),    SCMP_SYS(vhangup),	       SCMP_SYS(kcmp),
	SCMP_SYS(pidfd_getfd),
};

static int filter_calls(struct error *e)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
	int r = filter ? 0 : -ENOMEM;

	/* A call that the architecture does not have (-EDOM) needs no rule. */
	for (size_t i = 0; !r && i < sizeof(fatal_calls) / sizeof(fatal_calls[0]); i++) {
		r = seccomp_rule_add(filter, SCMP_ACT_KILL_PROCESS, fatal_calls[i], 0);
		r = r == -EDOM ? 0 : r;
	}
	for (size_t i = 0; !r && i < sizeof(refused_calls) / sizeof(refused_calls[0]); i++) {
		r = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), refused_calls[i], 0);
		r = r == -EDOM ? 0 : r;
	}
	if (!r) {
		/* Every packet batch is a call: decide by a tree, and without the cost of SSBD on older
		 * kernels. */
		seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
		seccomp_attr_set(filter, SCMP_FLTATR_CTL_SSB, 1);
		r = seccomp_load(filter);
	}
	if (filter)
		seccomp_release(filter);
	if (r)
		return error_set(e, -r, "cannot load the system call filter: %s (--no-sandbox runs without)",
				 strerror(-r));
	return 0;
}

/* Keeps those of `keep` that we have, gives up all others, the bounding set with them. */
static int keep_capabilities(const unsigned *keep, unsigned count, struct error *e)
{
	bool have[8], bounds;

	if (capng_get_caps_process())
		return error_set(e, EINVAL, "cannot read this process's capabilities");
	for (unsigned i = 0; i < count; i++)
		have[i] = capng_have_capability(CAPNG_EFFECTIVE, keep[i]);
	bounds = capng_have_capability(CAPNG_EFFECTIVE, CAP_SETPCAP);
	capng_clear(CAPNG_SELECT_ALL);
	for (unsigned i = 0; i < count; i++)
		if (have[i])
			capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED, keep[i]);
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	if (capng_apply(bounds ? CAPNG_SELECT_BOTH : CAPNG_SELECT_CAPS))
		return error_set(e, EPERM, "cannot give up capabilities");
	return 0;
}

bool sandbox_may_run_engine(void)
{
	return !capng_get_caps_process() && capng_have_capability(CAPNG_EFFECTIVE, CAP_NET_ADMIN);
}

static void forbid_traces(void)
{
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
}

int sandbox_engine(const char *const *folders, struct error *e)
{
	static const unsigned keep[] = {CAP_NET_ADMIN, CAP_NET_BIND_SERVICE};
	int r;

#ifdef WEIR_SANITIZED
	return 0;
#endif
	r = keep_capabilities(keep, sizeof(keep) / sizeof(keep[0]), e);
	if (r)
		return r;
	forbid_traces();
	r = landlock_writing(folders, e);
	return r ? r : filter_calls(e);
}

/* Ids from sudo(8), which are trusted for giving up rights only: 0 would keep them. */
static unsigned sudo_id(const char *name)
{
	const char *text = getenv(name);
	char *end;
	unsigned long id = text ? strtoul(text, &end, 10) : 0;

	return text && *text && !*end && id < 0xffffffff ? (unsigned)id : 0;
}

static int become(uid_t uid, gid_t gid, struct error *e)
{
	if (setgroups(0, NULL) || setresgid(gid, gid, gid) || setresuid(uid, uid, uid))
		return error_set(e, errno, "cannot become user %u: %s", uid, strerror(errno));
	return 0;
}

int sandbox_relay(const char *name, struct error *e)
{
	const struct passwd *user = getpwnam(name ? name : "nobody");
	int r = 0;

	if (name && !user)
		return error_exit(e, EXIT_USAGE, EINVAL, "--user %s: there is no such user", name);
	if (!geteuid())
		r = become(user ? user->pw_uid : NOBODY, user ? user->pw_gid : NOBODY, e);
	/* In a user namespace there may be no other user to become: capabilities go all the same. */
	if (r == -EINVAL || (r == -EPERM && !name))
		r = 0;
	if (!r)
		r = keep_capabilities(NULL, 0, e);
#ifdef WEIR_SANITIZED
	return r;
#endif
	if (r)
		return r;
	forbid_traces();
	return filter_calls(e);
}

int sandbox_probe(bool keep_user, struct error *e)
{
	static const unsigned keep[] = {CAP_NET_ADMIN};
	const struct passwd *nobody = getpwnam("nobody");
	int r = 0;

	if (!geteuid() && !keep_user) {
		/* Else they would go with the user; keep_capabilities decides. */
		prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP, 0, 0, 0);
		r = become(nobody ? nobody->pw_uid : NOBODY, nobody ? nobody->pw_gid : NOBODY, e);
		/* In a user namespace there may be no other user to become: capabilities go all the same. */
		if (r == -EINVAL || r == -EPERM)
			r = 0;
	}
	if (!r)
		r = keep_capabilities(keep, 1, e);
	if (!r)
		forbid_traces();
	return r;
}

int sandbox_view(struct error *e)
{
	int r = 0;

	if (!geteuid()) {
		uid_t uid = sudo_id("SUDO_UID");
		gid_t gid = sudo_id("SUDO_GID");
		const struct passwd *nobody = getpwnam("nobody");

		if (!uid || !gid) {
			uid = nobody ? nobody->pw_uid : NOBODY;
			gid = nobody ? nobody->pw_gid : NOBODY;
		}
		r = become(uid, gid, e);
		/* In a user namespace there may be no other user to become: capabilities go all the same. */
		if (r == -EINVAL || r == -EPERM)
			r = 0;
	}
	if (!r)
		r = keep_capabilities(NULL, 0, e);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	return r;
}
