/*
 * The whole view on a real pseudo-terminal, with this test as its engine and its shell: start, leave,
 * suspend, a terminal that does not read, one that goes away, one that cannot be drawn on.
 */
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/strbuf.h"
#include "tui/tui.h"
#include "tui_scenario.h"

#define PATIENCE_MS 20000 /* for a loaded machine; nothing here waits that long unless it fails */

struct run {
	int master, slave, engine;
	int shell; /* to the session leader: reports out, 'c' in */
	pid_t leader;
	struct strbuf screen; /* all bytes that came out */
};

/* The view itself, in a process group of its own like a command of a shell. */
static void run_view(int engine, int report)
{
	struct tui_options o = {.fd = engine};
	struct error e = {0};
	enum tui_end end = tui_run(&o, &e);
	char text[600];

	snprintf(text, sizeof(text), "E%d %s\n", (int)end, e.text);
	if (write(report, text, strlen(text)) < 0)
		_exit(2);
	_exit(0);
}

/* A shell with one job: says S when it stops, continues it when told to. */
static void run_shell(int slave, int engine, int report, bool is_tty)
{
	pid_t view;
	int status;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	setsid();
	ioctl(slave, TIOCSCTTY, 0);
	signal(SIGTTOU, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	view = fork();
	if (view == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		setpgid(0, 0);
		tcsetpgrp(slave, getpid());
		signal(SIGTTOU, SIG_DFL);
		signal(SIGHUP, SIG_DFL);
		if (is_tty) {
			dup2(slave, STDIN_FILENO);
			dup2(slave, STDOUT_FILENO);
		} else {
			dup2(open("/dev/null", O_RDWR), STDOUT_FILENO);
		}
		run_view(engine, report);
	}
	close(engine);
	while (waitpid(view, &status, WUNTRACED) == view) {
		char c;

		if (!WIFSTOPPED(status))
			_exit(0);
		if (write(report, "S\n", 2) < 0 || read(report, &c, 1) != 1)
			_exit(1);
		tcsetpgrp(slave, view);
		kill(-view, SIGCONT);
	}
	_exit(0);
}

static void start(struct run *r, const char *term, bool is_tty)
{
	int engine[2], report[2];
	struct winsize size = {.ws_row = 24, .ws_col = 80};

	*r = (struct run){0};
	setenv("TERM", term, 1);
	setenv("LC_ALL", "C.UTF-8", 1);
	unsetenv("SSH_CONNECTION");
	r->master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	assert_true(r->master >= 0 && grantpt(r->master) == 0 && unlockpt(r->master) == 0);
	r->slave = open(ptsname(r->master), O_RDWR | O_NOCTTY);
	assert_true(r->slave >= 0);
	ioctl(r->slave, TIOCSWINSZ, &size);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, engine), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, report), 0);
	r->leader = fork();
	if (r->leader == 0) {
		close(r->master);
		close(engine[0]);
		close(report[0]);
		run_shell(r->slave, engine[1], report[1], is_tty);
	}
	close(engine[1]);
	close(report[1]);
	r->engine = engine[0];
	r->shell = report[0];
}

static void finish(struct run *r)
{
	if (waitpid(r->leader, NULL, WNOHANG) == 0) {
		kill(r->leader, SIGKILL);
		waitpid(r->leader, NULL, 0);
	}
	close(r->slave);
	close(r->engine);
	close(r->shell);
	if (r->master >= 0)
		close(r->master);
	strbuf_clear(&r->screen);
}

static void send_line(struct run *r, const char *line)
{
	size_t len = strlen(line), at = 0;

	while (at < len) {
		struct pollfd p = {.fd = r->engine, .events = POLLOUT};
		ssize_t n;

		/* The view reads whatever its terminal does: this never waits long. */
		assert_int_equal(poll(&p, 1, PATIENCE_MS), 1);
		n = send(r->engine, line + at, len - at, MSG_NOSIGNAL | MSG_DONTWAIT);
		assert_true(n > 0 || errno == EAGAIN);
		at += n > 0 ? (size_t)n : 0;
	}
}

static void send_snapshot(struct run *r, const char *hostname, size_t peers, unsigned seed)
{
	char *text = random_snapshot(peers, 1000 + seed, &seed);
	json_t *o = json_loads(text, 0, NULL);
	char *line;

	json_object_set_new(o, "hostname", json_string(hostname));
	line = json_dumps(o, JSON_COMPACT);
	send_line(r, line);
	send_line(r, "\n");
	free(line);
	free(text);
	json_decref(o);
}

/* Reads the terminal's bytes until `wanted` is among those after `from`; where it ends. */
static size_t expect(struct run *r, size_t from, const char *wanted)
{
	uint64_t until = clock_boot_ns() + PATIENCE_MS * NS_PER_MS;

	for (;;) {
		struct pollfd p = {.fd = r->master, .events = POLLIN};
		char bytes[4096];
		ssize_t n;
		char *found = r->screen.len > from ? memmem(r->screen.text + from, r->screen.len - from,
							    wanted, strlen(wanted))
						   : NULL;

		if (found)
			return (size_t)(found - r->screen.text) + strlen(wanted);
		if (clock_boot_ns() > until)
			fail_msg("\"%s\" did not come; what came: %.2000s", wanted,
				 r->screen.text ? r->screen.text : "");
		if (poll(&p, 1, 100) <= 0)
			continue;
		n = read(r->master, bytes, sizeof(bytes));
		if (n > 0)
			strbuf_append(&r->screen, bytes, (size_t)n);
	}
}

/* The next report of the shell: "S", or "E" with how the view ended. The terminal is read meanwhile if
 * `reading`. */
static const char *report(struct run *r, bool reading)
{
	static char line[700];
	uint64_t until = clock_boot_ns() + PATIENCE_MS * NS_PER_MS;
	size_t len = 0;

	while (clock_boot_ns() < until) {
		struct pollfd p[2] = {{.fd = r->shell, .events = POLLIN},
				      {.fd = reading ? r->master : -1, .events = POLLIN}};
		char bytes[4096];
		ssize_t n;

		poll(p, 2, 100);
		if (p[1].revents && (n = read(r->master, bytes, sizeof(bytes))) > 0)
			strbuf_append(&r->screen, bytes, (size_t)n);
		if (!p[0].revents)
			continue;
		if (read(r->shell, line + len, 1) != 1)
			break;
		if (line[len] == '\n' || len + 2 == sizeof(line)) {
			line[len] = '\0';
			return line;
		}
		len++;
	}
	fail_msg("the view neither stopped nor ended");
	return "";
}

static bool cooked(const struct run *r)
{
	struct termios t;

	assert_int_equal(tcgetattr(r->slave, &t), 0);
	return (t.c_lflag & (ICANON | ECHO | ISIG)) == (ICANON | ECHO | ISIG);
}

static void type(struct run *r, const char *keys)
{
	assert_int_equal(write(r->master, keys, strlen(keys)), (ssize_t)strlen(keys));
}

static void it_draws_and_leaves_the_terminal_as_it_was(void **state)
{
	struct run r;
	size_t at;

	(void)state;
	start(&r, "xterm", true);
	at = expect(&r, 0, "waiting for the engine");
	assert_false(cooked(&r));
	send_snapshot(&r, "first-host", 8, 1);
	at = expect(&r, at, "first-host");
	type(&r, "?");
	expect(&r, at, "others close");
	type(&r, " q");
	assert_string_equal(report(&r, true), "E0 ");
	assert_true(cooked(&r));
	expect(&r, 0, "\033[?1049l");
	finish(&r);
}

static void the_last_screen_can_stay(void **state)
{
	struct run r;
	size_t at;

	(void)state;
	start(&r, "xterm", true);
	send_snapshot(&r, "first-host", 2, 1);
	expect(&r, 0, "first-host");
	type(&r, "Q");
	assert_string_equal(report(&r, true), "E0 ");
	at = expect(&r, 0, "\033[?1049l");
	expect(&r, at, "first-host");
	finish(&r);
}

static void a_key_sends_a_request(void **state)
{
	struct run r;
	char bytes[8192];
	size_t len = 0, at;

	(void)state;
	start(&r, "xterm", true);
	send_snapshot(&r, "first-host", 3, 1);
	at = expect(&r, 0, "first-host");
	type(&r, "D");
	expect(&r, at, "[y] drain");
	type(&r, "y");
	do {
		struct pollfd p = {.fd = r.engine, .events = POLLIN};
		ssize_t n;

		assert_int_equal(poll(&p, 1, PATIENCE_MS), 1);
		n = read(r.engine, bytes + len, sizeof(bytes) - 1 - len);
		assert_true(n > 0);
		len += (size_t)n;
		bytes[len] = '\0';
	} while (!strstr(bytes, "\"method\":\"drain\",\"params\":{\"peer\":\""));
	assert_ptr_equal(
		strstr(bytes, "{\"id\":1,\"method\":\"subscribe\",\"params\":{\"interval\":1.0,\"log\":true,"
			      "\"logLevel\":\"debug\",\"view\":true,\"readonly\":false}}\n"),
		bytes);
	finish(&r);
}

static void it_says_when_the_engine_ends(void **state)
{
	struct run r;

	(void)state;
	start(&r, "xterm", true);
	send_snapshot(&r, "h", 2, 1);
	expect(&r, 0, "wg0");
	send_line(&r, "{\"event\":\"bye\",\"reason\":\"shutting \\u001bdown\"}\n");
	assert_string_equal(report(&r, true), "E1 the engine of wg0 has ended: shutting \\x1bdown");
	expect(&r, 0, "weir: the engine of wg0 has ended: shutting \\x1bdown\r\n");
	assert_true(cooked(&r));
	finish(&r);

	start(&r, "xterm", true);
	expect(&r, 0, "waiting");
	shutdown(r.engine, SHUT_RDWR);
	assert_string_equal(report(&r, true),
			    "E1 the engine of this interface is gone without a word; its log may say why");
	finish(&r);
}

static void a_terminal_that_does_not_read_stops_nothing(void **state)
{
	struct run r;
	size_t at;

	(void)state;
	start(&r, "xterm", true);
	send_snapshot(&r, "1st", 30, 1);
	expect(&r, 0, "1st");
	tcflow(r.slave, TCOOFF); /* as ^S does */
	for (unsigned i = 0; i < 200; i++)
		send_snapshot(&r, "2nd", 30, 2 + i); /* some megabytes: fails if the view stops reading */
	send_snapshot(&r, "6th", 30, 7);
	at = r.screen.len;
	tcflow(r.slave, TCOON);
	expect(&r, at, "6th");
	/* And leaving works while it does not read. */
	tcflow(r.slave, TCOOFF);
	send_snapshot(&r, "9th", 30, 8);
	type(&r, "q");
	assert_string_equal(report(&r, false), "E0 ");
	assert_true(cooked(&r));
	finish(&r);
}

/* Reads what the view asks of the engine until `wanted` is among it. */
static void expect_request(struct run *r, const char *wanted)
{
	static char bytes[65536];
	size_t len = 0;

	do {
		struct pollfd p = {.fd = r->engine, .events = POLLIN};
		ssize_t n;

		assert_int_equal(poll(&p, 1, PATIENCE_MS), 1);
		n = read(r->engine, bytes + len, sizeof(bytes) - 1 - len);
		assert_true(n > 0);
		len += (size_t)n;
		bytes[len] = '\0';
	} while (!strstr(bytes, wanted));
}

static void a_slow_terminal_gets_less_and_is_told(void **state)
{
	struct run r;
	size_t at;

	(void)state;
	start(&r, "xterm-256color", true);
	send_snapshot(&r, "1st", 5, 1);
	expect(&r, 0, "1st");
	tcflow(r.slave, TCOOFF);
	send_snapshot(&r, "2nd", 5, 2);
	expect_request(&r, "\"interval\":5.0");
	at = r.screen.len;
	tcflow(r.slave, TCOON);
	at = expect(&r, at, "the terminal is slow: plain from now on");
	/* All that comes from here on is ASCII. */
	send_snapshot(&r, "3rd", 5, 3);
	type(&r, "2");
	expect(&r, at, "newest first");
	for (size_t i = at; i < r.screen.len; i++)
		assert_in_range((unsigned char)r.screen.text[i], 0, 127);
	type(&r, "+");
	expect_request(&r, "\"interval\":1.0");
	expect(&r, at, "\xe2\x94\x80"); /* rules are lines again */
	type(&r, "q");
	assert_string_equal(report(&r, true), "E0 ");
	finish(&r);
}

static void waiting_for_a_terminal_costs_no_time(void **state)
{
	struct run r;
	struct rusage used;
	int status;

	(void)state;
	start(&r, "xterm", true);
	send_snapshot(&r, "1st", 5, 1);
	expect(&r, 0, "1st");
	tcflow(r.slave, TCOOFF);
	send_snapshot(&r, "2nd", 5, 2);
	type(&r, "?j?");
	sleep(3);
	type(&r, "q");
	assert_string_equal(report(&r, false), "E0 ");
	/* The view was waited for by its shell, so this is the time of both: three seconds if it went round.
	 */
	assert_int_equal(wait4(r.leader, &status, 0, &used), r.leader);
	assert_true(used.ru_utime.tv_sec + used.ru_stime.tv_sec < 2);
	finish(&r);
}

/* 2,000 packets a second for three seconds: the screen follows at its own pace, once a second. */
static void packets_come_faster_than_the_screen_is_drawn(void **state)
{
	struct run r;
	unsigned seed = 77;
	size_t before;
	bool tapped = false;

	(void)state;
	start(&r, "xterm", true);
	send_snapshot(&r, "first-host", 3, 1);
	before = expect(&r, 0, "first-host");
	type(&r, "3");
	before = expect(&r, before, "no packets yet");
	for (int i = 0; i < 60; i++) {
		struct pollfd p = {.fd = r.master, .events = POLLIN};
		char *line = random_packets(100, 1001 + i * 0.05, &seed), bytes[65536];
		uint64_t until = clock_boot_ns() + 50 * NS_PER_MS;
		ssize_t n;

		send_line(&r, line);
		send_line(&r, "\n");
		free(line);
		while (clock_boot_ns() < until)
			if (poll(&p, 1, 5) > 0 && (n = read(r.master, bytes, sizeof(bytes))) > 0)
				strbuf_append(&r.screen, bytes, (size_t)n);
		n = recv(r.engine, bytes, sizeof(bytes) - 1, MSG_DONTWAIT);
		if (n > 0) {
			bytes[n] = '\0';
			tapped |= strstr(bytes, "\"method\":\"tap\"") != NULL;
		}
	}
	assert_true(tapped);
	print_message("6,000 packets in 3 s: %zu bytes to the terminal\n", r.screen.len - before);
	assert_in_range(r.screen.len - before, 1000, 16000);
	type(&r, "q");
	assert_string_equal(report(&r, true), "E0 ");
	finish(&r);
}

static void the_engine_may_end_while_the_terminal_does_not_read(void **state)
{
	struct run r;

	(void)state;
	start(&r, "xterm", true);
	expect(&r, 0, "waiting");
	tcflow(r.slave, TCOOFF);
	send_snapshot(&r, "host", 30, 1);
	shutdown(r.engine, SHUT_RDWR);
	assert_int_equal(strncmp(report(&r, false), "E1 ", 3), 0);
	finish(&r);
}

static void it_stops_alone_and_comes_back(void **state)
{
	struct run r;
	size_t at;

	(void)state;
	start(&r, "xterm", true);
	send_snapshot(&r, "first-host", 4, 1);
	expect(&r, 0, "first-host");
	for (int round = 0; round < 2; round++) {
		type(&r, "\032");
		assert_string_equal(report(&r, true), "S");
		assert_true(cooked(&r));
		at = r.screen.len;
		assert_int_equal(write(r.shell, "c", 1), 1);
		expect(&r, at, "first-host"); /* all of it again */
		assert_false(cooked(&r));
	}
	type(&r, "q");
	assert_string_equal(report(&r, true), "E0 ");
	finish(&r);
}

static void it_follows_the_size(void **state)
{
	struct winsize small = {.ws_row = 10, .ws_col = 40}, large = {.ws_row = 24, .ws_col = 80};
	struct run r;
	size_t at;

	(void)state;
	start(&r, "xterm", true);
	send_snapshot(&r, "first-host", 4, 1);
	at = expect(&r, 0, "first-host");
	ioctl(r.master, TIOCSWINSZ, &small);
	at = expect(&r, at, "needs 60x16, is 40x10");
	ioctl(r.master, TIOCSWINSZ, &large);
	expect(&r, at, "first-host");
	finish(&r);
}

static void a_lost_terminal_is_noticed(void **state)
{
	struct run r;

	(void)state;
	start(&r, "xterm", true);
	expect(&r, 0, "waiting");
	close(r.master);
	r.master = -1;
	close(r.slave);
	r.slave = -1;
	assert_int_equal(strncmp(report(&r, false), "E2 the terminal is gone", 23), 0);
	finish(&r);
}

static void what_cannot_be_drawn_on_is_refused(void **state)
{
	static const struct {
		const char *term;
		bool is_tty;
		const char *words;
	} cases[] = {{"dumb", true, "TERM=dumb"},
		     {"no-such-terminal", true, "TERM=no-such-terminal"},
		     {"", true, "TERM="},
		     {"xterm", false, "needs a terminal"}};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct run r;
		const char *end;

		start(&r, cases[i].term, cases[i].is_tty);
		end = report(&r, true);
		assert_int_equal(strncmp(end, "E3 ", 3), 0);
		assert_non_null(strstr(end, cases[i].words));
		assert_non_null(strstr(end, "weir status"));
		assert_int_equal(r.screen.len, 0); /* nothing was drawn */
		assert_true(cooked(&r));
		finish(&r);
	}
}

static void old_terminals_do_too(void **state)
{
	static const char *const terms[] = {"vt100", "linux", "screen", "vt220"};

	(void)state;
	for (size_t i = 0; i < sizeof(terms) / sizeof(terms[0]); i++) {
		struct run r;

		start(&r, terms[i], true);
		send_snapshot(&r, "first-host", 4, 1);
		expect(&r, 0, "first-host");
		assert_null(strstr(r.screen.text, "$<")); /* padding of terminfo is not for the screen */
		type(&r, "q");
		assert_string_equal(report(&r, true), "E0 ");
		finish(&r);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_draws_and_leaves_the_terminal_as_it_was),
		cmocka_unit_test(the_last_screen_can_stay),
		cmocka_unit_test(a_key_sends_a_request),
		cmocka_unit_test(it_says_when_the_engine_ends),
		cmocka_unit_test(a_terminal_that_does_not_read_stops_nothing),
		cmocka_unit_test(a_slow_terminal_gets_less_and_is_told),
		cmocka_unit_test(waiting_for_a_terminal_costs_no_time),
		cmocka_unit_test(packets_come_faster_than_the_screen_is_drawn),
		cmocka_unit_test(the_engine_may_end_while_the_terminal_does_not_read),
		cmocka_unit_test(it_stops_alone_and_comes_back),
		cmocka_unit_test(it_follows_the_size),
		cmocka_unit_test(a_lost_terminal_is_noticed),
		cmocka_unit_test(what_cannot_be_drawn_on_is_refused),
		cmocka_unit_test(old_terminals_do_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
