#include "tests/unit/test.h"

#include "tests/unit/control_rig.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "tests/unit/netspace.h"

bool rig_possible(void)
{
	int fd;

	if (!netspace_isolate() || system("ip link set lo up") != 0)
		return false;
	fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return false;
	close(fd);
	log_to_stderr(getenv("VERBOSE") != NULL, false);
	return true;
}

void rig_open(struct rig *r)
{
	struct engine_options o = {.ifname = RIG_IFNAME, .tun_fd = -1, .workers = 1, .time_divisor = 50};
	struct error e = {0};

	memset(r, 0, sizeof(*r));
	strcpy(r->folder, "/tmp/weir-test-XXXXXX");
	assert_non_null(mkdtemp(r->folder));
	snprintf(r->path, sizeof(r->path), "%s/%s.sock", r->folder, RIG_IFNAME);
	r->loop = loop_new();
	if (engine_new(&r->engine, r->loop, &o, &e))
		fail_msg("%s", e.text);
}

void rig_close(struct rig *r)
{
	engine_free(r->engine);
	loop_free(r->loop);
	unlink(r->path);
	rmdir(r->folder);
}

int rig_connect(const struct rig *r)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	assert_true(fd >= 0);
	memcpy(at.sun_path, r->path, strlen(r->path) + 1);
	if (!connect(fd, (struct sockaddr *)&at, sizeof(at)))
		return fd;
	close(fd);
	return -errno;
}

void rig_turn(struct rig *r, unsigned times)
{
	while (times--)
		loop_step(r->loop, false);
}

/* The loop's turns, and a rest when neither side has anything to do. */
static void breathe(struct rig *r, bool progress, uint64_t deadline)
{
	rig_turn(r, 2);
	if (!progress)
		poll(NULL, 0, 1);
	if (clock_boot_ns() > deadline)
		fail_msg("nothing happens any more");
}

void rig_send(struct rig *r, int fd, const char *text, size_t len)
{
	uint64_t deadline = clock_boot_ns() + RIG_PATIENCE;

	while (len) {
		ssize_t n = send(fd, text, len, MSG_NOSIGNAL);

		if (n < 0)
			assert_int_equal(errno, EAGAIN);
		if (n > 0) {
			text += n;
			len -= (size_t)n;
		}
		breathe(r, n > 0, deadline);
	}
}

bool rig_read(struct rig *r, int fd, struct strbuf *in, bool (*done)(const struct strbuf *in, void *arg),
	      void *arg)
{
	uint64_t deadline = clock_boot_ns() + RIG_PATIENCE;
	static char buffer[1 << 18];

	while (!done(in, arg)) {
		ssize_t n = recv(fd, buffer, sizeof(buffer), 0);

		if (n == 0 || (n < 0 && errno != EAGAIN))
			return false;
		if (n > 0)
			strbuf_append(in, buffer, (size_t)n);
		breathe(r, n > 0, deadline);
	}
	return true;
}

struct key rig_key(unsigned n)
{
	struct key k;

	memset(k.bytes, 0, sizeof(k.bytes));
	k.bytes[0] = (uint8_t)(n >> 8);
	k.bytes[1] = (uint8_t)n;
	k.bytes[20] = 0x5a;
	k.bytes[31] = 0x41;
	return k;
}

const char *rig_hex(unsigned n)
{
	static char text[4][KEY_HEX_LEN + 1];
	static unsigned turn;
	char *out = text[turn++ % 4];
	struct key k = rig_key(n);

	key_to_hex(out, &k);
	return out;
}

const char *rig_base64(unsigned n)
{
	static char text[4][KEY_BASE64_LEN + 1];
	static unsigned turn;
	char *out = text[turn++ % 4];
	struct key k = rig_key(n);

	key_to_base64(out, &k);
	return out;
}
