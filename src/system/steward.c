#include "system/steward.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "base/xalloc.h"
#include "net/netlink.h"
#include "system/run.h"
#include "system/steward_wire.h"
#include "system/system.h"

/* ================ in the steward ================ */

struct service {
	int fd;
	const char *ifname, *journal;
	char *path; /* of the configuration, once it is known */
	struct system *system;
	struct conf *current; /* what is up, NULL: nothing */
	struct conf *read;    /* from the file, to be changed to */
	bool was_up;
};

static void done(struct service *v, int result, uint32_t mark, const struct error *e)
{
	struct wire_head head = {.type = WIRE_DONE, .result = result, .number = mark};

	(void)wire_send(v->fd, &head, e->text, result ? strlen(e->text) : 0, NULL, 0);
}

static void forget(struct service *v)
{
	system_free(v->system);
	conf_free(v->current);
	v->system = NULL;
	v->current = NULL;
}

/* The host's side needs no keys, and nothing of relays and ICE, so they do not stay here. */
static void drop_keys(struct conf *c)
{
	key_wipe(&c->private_key);
	engine_network_clear(&c->network);
	for (size_t i = 0; i < c->peer_count; i++)
		key_wipe(&c->peers[i].psk);
}

static int find_interface(struct service *v, struct error *e)
{
	struct netlink *n = netlink_open(e);
	int ifindex = n ? netlink_ifindex(n, v->ifname) : -EIO;

	netlink_close(n);
	if (ifindex < 0 && n)
		error_set(e, -ifindex, "there is no interface %s: %s", v->ifname, strerror(-ifindex));
	return ifindex;
}

static int up(struct service *v, const struct wire_message *m, uint32_t *mark, struct error *e)
{
	struct conf *c;
	int r;

	if (v->was_up)
		return error_set(e, EPERM, "the steward brings an interface up only once");
	v->was_up = true;
	c = conf_decode(m->body, m->head.len);
	if (!c || strcmp(c->ifname, v->ifname)) {
		conf_free(c);
		return error_set(e, EBADMSG, "the steward cannot read this configuration");
	}
	r = find_interface(v, e);
	if (r >= 0) {
		v->system = system_new(v->ifname, r, v->journal);
		v->current = c;
		drop_keys(c);
		free(v->path);
		v->path = xstrdup(c->path);
		r = system_up(v->system, c, mark, e);
		if (r)
			forget(v);
	} else {
		conf_free(c);
	}
	return r;
}

static int change(struct service *v, uint32_t *mark, struct error *e)
{
	struct conf *next = v->read;
	int r;

	v->read = NULL;
	if (!v->current || !next) {
		conf_free(next);
		return error_set(e, EINVAL,
				 v->current ? "no configuration was read to change to"
					    : "the interface is not up");
	}
	r = system_change(v->system, v->current, next, mark, e);
	if (r) {
		conf_free(next);
		return r;
	}
	conf_free(v->current);
	v->current = next;
	return 0;
}

static int down(struct service *v, struct error *e)
{
	int r = v->current ? system_down(v->system, v->current, e) : 0;

	forget(v);
	return r;
}

static void read_config(struct service *v, const struct wire_message *m)
{
	const char *path = (const char *)m->body;
	struct wire_head head = {.type = WIRE_CONFIGURED};
	struct conf_messages messages = {0};
	uint8_t *told = NULL, *bytes = NULL;
	size_t told_len, len = 0;

	conf_free(v->read);
	v->read = NULL;
	if (v->path && strcmp(v->path, path)) {
		conf_complain(&messages, CONF_ERROR, 0, 0, NULL, "the steward reads %s only", v->path);
	} else {
		if (!v->path)
			v->path = xstrdup(path);
		v->read = conf_read(path, v->ifname, &messages);
	}
	if (v->read) {
		conf_encode(v->read, &bytes, &len);
		drop_keys(v->read);
	}
	wire_put_messages(&messages, &told, &told_len);
	head.number = (uint32_t)told_len;
	(void)wire_send(v->fd, &head, told, told_len, bytes, len);
	if (bytes)
		sodium_memzero(bytes, len);
	free(bytes);
	free(told);
	conf_messages_clear(&messages);
}

/* False: time to leave. */
static bool serve(struct service *v, const struct wire_message *m)
{
	struct error e = {0};
	uint32_t mark = 0;
	int r = -EINVAL;

	switch (m->head.type) {
	case WIRE_UP:
		r = up(v, m, &mark, &e);
		break;
	case WIRE_CHANGE:
		r = change(v, &mark, &e);
		break;
	case WIRE_DOWN:
		r = down(v, &e);
		break;
	case WIRE_CONFIG:
		read_config(v, m);
		return true;
	case WIRE_STOP:
		if (m->head.number)
			down(v, &e);
		return false;
	default:
		error_set(&e, EINVAL, "the steward does not know this request");
		break;
	}
	done(v, r, mark, &e);
	return true;
}

static void forward_log(void *arg, const struct log_record *record)
{
	struct service *v = arg;

	wire_send_log(v->fd, record);
}

/* The engine is gone without a goodbye: its interface too, or soon. */
static void abandoned(struct service *v)
{
	struct error e = {0};

	log_set_sink(NULL, NULL);
	log_to_stderr(true, getenv("JOURNAL_STREAM") != NULL);
	if (!v->current)
		return;
	log_notice("system", "%s: the engine ended without a word: undoing what was done for it", v->ifname);
	if (down(v, &e))
		log_error("system", "%s: %s", v->ifname, e.text);
}

static void wait_and_serve(struct service *v)
{
	for (;;) {
		struct run_outputs *o = v->system ? system_outputs(v->system) : NULL;
		struct pollfd fds[1 + RUN_OUTPUTS_MAX] = {{.fd = v->fd, .events = POLLIN}};
		unsigned count = o ? o->count : 0;
		struct wire_message m;
		bool more;

		for (unsigned i = 0; i < count; i++)
			fds[1 + i] = (struct pollfd){.fd = o->items[i].fd, .events = POLLIN};
		if (poll(fds, 1 + count, -1) < 0)
			continue;
		/* From the end, because the last takes the place of one that goes. */
		for (unsigned i = count; i-- > 0;)
			if (fds[1 + i].revents)
				run_outputs_read(o, i);
		if (!fds[0].revents)
			continue;
		if (wire_receive(v->fd, &m)) {
			abandoned(v);
			return;
		}
		more = serve(v, &m);
		wire_free(&m);
		if (!more)
			return;
	}
}

/* Signals to the whole group (^C, systemd's stop, a lost terminal) are the engine's: we leave when it has. */
static void ignore_signals(void)
{
	static const int ignored[] = {SIGINT,  SIGTERM, SIGHUP,	 SIGQUIT, SIGTSTP, SIGTTIN,
				      SIGTTOU, SIGUSR1, SIGUSR2, SIGPIPE, SIGALRM};
	sigset_t none;

	for (size_t i = 0; i < sizeof(ignored) / sizeof(*ignored); i++)
		signal(ignored[i], SIG_IGN);
	signal(SIGCHLD, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* The engine's TUN must not stay alive through us, nor its sockets. */
static void close_other_fds(int a, int b)
{
	int low = a < b ? a : b, high = a < b ? b : a, null = open("/dev/null", O_RDONLY);

	if (null >= 0) {
		dup2(null, 0);
		if (null > 2 && null != a && null != b)
			close(null);
	}
	if (low > 3)
		close_range(3, (unsigned)low - 1, 0);
	if (high - low > 1 && high > 3)
		close_range((unsigned)(low < 3 ? 3 : low + 1), (unsigned)high - 1, 0);
	close_range((unsigned)(high < 3 ? 3 : high + 1), ~0u, 0);
}

static void run_steward(int fd, const char *ifname, const char *journal, int lock_fd)
{
	struct service v = {.fd = fd, .ifname = ifname, .journal = journal};

	prctl(PR_SET_NAME, "weir-steward");
	prctl(PR_SET_PDEATHSIG, 0);
	prctl(PR_SET_DUMPABLE, 0); /* keys are in here */
	ignore_signals();
	close_other_fds(fd, lock_fd);
	log_to_stderr(false, false);
	log_set_sink(forward_log, &v);
	wait_and_serve(&v);
	log_set_sink(NULL, NULL);
	forget(&v);
	conf_free(v.read);
	free(v.path);
}

/* ================ in the engine ================ */

struct steward {
	int fd;
	pid_t pid;
	bool busy;
	const struct conf *read; /* what the last ask_config gave; compared, not looked into */
};

struct steward *steward_start(const char *ifname, const char *journal, int lock_fd, struct conf *inherited,
			      struct error *e)
{
	struct steward *s;
	int pair[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair)) {
		error_set(e, errno, "cannot make a socket pair: %s", strerror(errno));
		return NULL;
	}
	pid = fork();
	if (pid == 0) {
		if (inherited)
			drop_keys(inherited);
		close(pair[0]);
		run_steward(pair[1], ifname, journal, lock_fd);
		_exit(0);
	}
	close(pair[1]);
	if (pid < 0) {
		error_set(e, errno, "cannot fork: %s", strerror(errno));
		close(pair[0]);
		return NULL;
	}
	s = xcalloc(1, sizeof(*s));
	s->fd = pair[0];
	s->pid = pid;
	return s;
}

int steward_fd(const struct steward *s)
{
	return s->fd;
}

bool steward_is_busy(const struct steward *s)
{
	return s->busy;
}

static int has_died(struct error *e)
{
	return error_set(e, EPIPE,
			 "the steward process has died: what it set up stays until the next start cleans up");
}

static int ask(struct steward *s, enum wire_type type, const void *body, size_t len, struct error *e)
{
	struct wire_head head = {.type = type};
	int r;

	if (s->busy)
		return error_set(e, EBUSY, "another change of the system is under way");
	r = wire_send(s->fd, &head, body, len, NULL, 0);
	if (r == -EPIPE || r == -ECONNRESET)
		return has_died(e);
	if (r)
		return error_set(e, -r, "cannot talk to the steward process: %s", strerror(-r));
	s->busy = true;
	return 0;
}

int steward_ask_up(struct steward *s, const struct conf *c, struct error *e)
{
	uint8_t *bytes;
	size_t len;
	int r;

	conf_encode(c, &bytes, &len);
	r = ask(s, WIRE_UP, bytes, len, e);
	sodium_memzero(bytes, len);
	free(bytes);
	return r;
}

int steward_ask_config(struct steward *s, const char *path, struct error *e)
{
	s->read = NULL;
	return ask(s, WIRE_CONFIG, path, strlen(path), e);
}

int steward_ask_change(struct steward *s, struct error *e)
{
	return ask(s, WIRE_CHANGE, NULL, 0, e);
}

int steward_ask_down(struct steward *s, struct error *e)
{
	return ask(s, WIRE_DOWN, NULL, 0, e);
}

static void take_log(const struct wire_message *m)
{
	const char *room = (const char *)m->body;
	size_t len = strlen(room);

	if (len < m->head.len)
		log_write(m->head.number <= LOG_DEBUG ? m->head.number : LOG_INFO, room, NULL, "%s",
			  room + len + 1);
}

static int take_config(struct steward *s, const struct wire_message *m, struct steward_reply *reply,
		       struct error *e)
{
	size_t told = m->head.number;

	if (told > m->head.len)
		return error_set(e, EBADMSG, "the steward's reply cannot be read");
	wire_get_messages(m->body, told, &reply->messages);
	if (m->head.len > told) {
		reply->conf = conf_decode(m->body + told, m->head.len - told);
		s->read = reply->conf;
		if (!reply->conf)
			return error_set(e, EBADMSG, "the steward's reply cannot be read");
	}
	return reply->conf ? 0 : error_exit(e, EXIT_CONFIG, EINVAL, "the configuration has errors");
}

int steward_take(struct steward *s, struct steward_reply *reply, struct error *e)
{
	struct pollfd fd = {.fd = s->fd, .events = POLLIN};

	*reply = (struct steward_reply){0};
	while (poll(&fd, 1, 0) > 0) {
		struct wire_message m;
		int r = wire_receive(s->fd, &m);

		if (r) {
			s->busy = false;
			return has_died(e);
		}
		if (m.head.type == WIRE_LOG) {
			take_log(&m);
			wire_free(&m);
			continue;
		}
		s->busy = false;
		if (m.head.type == WIRE_CONFIGURED)
			r = take_config(s, &m, reply, e);
		else if (m.head.result)
			r = error_set(e, -m.head.result, "%s", (const char *)m.body);
		else
			reply->fwmark = m.head.number;
		wire_free(&m);
		return r;
	}
	return -EAGAIN;
}

static int wait_for_reply(struct steward *s, struct steward_reply *reply, struct error *e)
{
	int r;

	do {
		struct pollfd fd = {.fd = s->fd, .events = POLLIN};

		(void)poll(&fd, 1, -1);
		r = steward_take(s, reply, e);
	} while (r == -EAGAIN);
	return r;
}

int steward_change(struct steward *s, const struct conf *old, const struct conf *new, uint32_t *used_fwmark,
		   struct error *e)
{
	struct steward_reply reply;
	int r;

	(void)old; /* the steward has its own */
	if (!new || new != s->read)
		return error_set(e, EINVAL,
				 "read the configuration through the steward before changing to it");
	r = steward_ask_change(s, e);
	if (r)
		return r;
	r = wait_for_reply(s, &reply, e);
	if (used_fwmark)
		*used_fwmark = reply.fwmark;
	return r;
}

struct conf *steward_read_config(struct steward *s, const char *path, struct conf_messages *m)
{
	struct steward_reply reply = {0};
	struct error e = {0};
	int r = steward_ask_config(s, path, &e);

	if (!r)
		r = wait_for_reply(s, &reply, &e);
	for (size_t i = 0; i < reply.messages.count; i++) {
		const struct conf_message *x = &reply.messages.items[i];

		conf_complain(m, x->severity, x->line, x->column, x->hint, "%s", x->text);
	}
	if (r && !reply.messages.errors)
		conf_complain(m, CONF_ERROR, 0, 0, NULL, "%s", e.text);
	conf_messages_clear(&reply.messages);
	return reply.conf;
}

void steward_stop(struct steward *s, bool undo)
{
	struct wire_head head = {.type = WIRE_STOP, .number = undo};
	struct wire_message m;

	if (!s)
		return;
	if (!wire_send(s->fd, &head, NULL, 0, NULL, 0)) {
		/* Its last words, up to the end. */
		while (!wire_receive(s->fd, &m)) {
			if (m.head.type == WIRE_LOG)
				take_log(&m);
			wire_free(&m);
		}
	}
	close(s->fd);
	while (waitpid(s->pid, NULL, 0) < 0 && errno == EINTR)
		;
	free(s);
}
