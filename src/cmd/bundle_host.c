/* What a bundle holds of the host: its network as the usual tools show it, and the configuration. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/xalloc.h"
#include "cmd/bundle.h"
#include "config/conf.h"

#define OUTPUT_MAX (8u << 20)
#define PATIENCE   5 /* s for each tool */

struct tool {
	pid_t pid;
	int fd;
	char name[32];
	struct strbuf out;
};

struct tool *tool_start(const char *const argv[], struct error *e)
{
	struct tool *t;
	int pipes[2];
	pid_t pid;

	if (pipe2(pipes, O_CLOEXEC)) {
		error_set(e, errno, "no pipe: %s", strerror(errno));
		return NULL;
	}
	pid = fork();
	if (pid < 0) {
		error_set(e, errno, "cannot fork: %s", strerror(errno));
		close(pipes[0]);
		close(pipes[1]);
		return NULL;
	}
	if (!pid) {
		setpgid(0, 0);
		dup2(open("/dev/null", O_RDONLY), STDIN_FILENO);
		dup2(pipes[1], STDOUT_FILENO);
		dup2(pipes[1], STDERR_FILENO);
		setenv("LC_ALL", "C", 1);
		execvp(argv[0], (char *const *)argv);
		_exit(127);
	}
	close(pipes[1]);
	t = xcalloc(1, sizeof(*t));
	t->pid = pid;
	t->fd = pipes[0];
	/* Ourselves under another name. */
	snprintf(t->name, sizeof(t->name), "%s", *argv[0] == '/' && argv[1] ? argv[1] : argv[0]);
	return t;
}

/* True at the end of its output. */
static bool take_output(struct tool *t, int timeout)
{
	struct pollfd p = {.fd = t->fd, .events = POLLIN};
	char piece[16384];
	ssize_t n;

	if (poll(&p, 1, timeout) <= 0)
		return false;
	n = read(t->fd, piece, sizeof(piece));
	if (n > 0 && t->out.len < OUTPUT_MAX)
		strbuf_append(&t->out, piece, (size_t)n);
	return n == 0 || (n < 0 && errno != EINTR);
}

int tool_finish(struct tool *t, double seconds, struct strbuf *out, struct error *e)
{
	uint64_t until = clock_boot_ns() + (uint64_t)((seconds > 0 ? seconds : 0) * 1e9);
	bool ended = false;
	int status = 0, r = 0;

	while (!ended && clock_boot_ns() < until)
		ended = take_output(t, 100);
	if (!ended)
		kill(-t->pid, SIGKILL);
	close(t->fd);
	while (waitpid(t->pid, &status, 0) < 0 && errno == EINTR)
		;
	if (!ended)
		r = error_set(e, ETIMEDOUT, "%s took too long", t->name);
	else if (WIFEXITED(status) && WEXITSTATUS(status) == 127 && !t->out.len)
		r = error_set(e, ENOENT, "%s is not installed", t->name);
	else if (!WIFEXITED(status) || WEXITSTATUS(status))
		r = error_set(e, EIO, "%s ended with status %d: %.120s", t->name,
			      WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status),
			      t->out.len ? t->out.text : "");
	*out = t->out;
	free(t);
	return r;
}

static void run_tool(struct bundle *b, const char *name, const char *what, const char *const argv[])
{
	struct error e = {0};
	struct strbuf out = {0};
	struct tool *t = tool_start(argv, &e);

	if (!t || tool_finish(t, PATIENCE, &out, &e))
		bundle_failed(b, name, "%s", e.text);
	else
		strbuf_append(bundle_add(b, name, what), out.text ? out.text : "", out.len);
	strbuf_clear(&out);
}

static void add_path(struct bundle *b, const char *name, const char *what, const char *path)
{
	struct error e = {0};
	char *text;
	size_t len;

	if (file_read(path, &text, &len, OUTPUT_MAX, &e)) {
		bundle_failed(b, name, "%s", e.text);
		return;
	}
	strbuf_append(bundle_add(b, name, what), text, len);
	free(text);
}

/* Search domains are names, too. */
static void learn_resolver(struct bundle *b)
{
	struct error e;
	char *text, *save = NULL;
	size_t len;

	if (file_read("/etc/resolv.conf", &text, &len, 65536, &e))
		return;
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char *more = NULL, *word = strtok_r(line, " \t", &more);

		if (!word || (strcmp(word, "search") != 0 && strcmp(word, "domain") != 0))
			continue;
		while ((word = strtok_r(NULL, " \t", &more)))
			hide_host_name(b->hide, word);
	}
	free(text);
}

static void versions(struct bundle *b)
{
	struct strbuf *out = bundle_add(b, "versions.txt", "weir, kernel and distribution");
	struct utsname u;
	struct error e;
	size_t len;
	char *text;

	uname(&u);
	hide_host_name(b->hide, u.nodename);
	strbuf_add(out, "weir %s\n%s %s %s %s\n", VERSION, u.sysname, u.release, u.version, u.machine);
	if (!file_read("/etc/os-release", &text, &len, 65536, &e)) {
		strbuf_append(out, text, len);
		free(text);
	}
}

void bundle_host(struct bundle *b, const char *ifname)
{
	static const struct {
		const char *name, *what, *argv[8];
	} tools[] = {
		{"ip-link.txt", "network devices and their counters", {"ip", "-s", "-d", "link"}},
		{"ip-addr.txt", "addresses", {"ip", "addr"}},
		{"ip-route.txt", "IPv4 routes of all tables", {"ip", "-4", "route", "show", "table", "all"}},
		{"ip-route6.txt", "IPv6 routes of all tables", {"ip", "-6", "route", "show", "table", "all"}},
		{"ip-rule.txt", "IPv4 routing rules", {"ip", "-4", "rule"}},
		{"ip-rule6.txt", "IPv6 routing rules", {"ip", "-6", "rule"}},
		{"nft.txt", "the firewall's rules", {"nft", "list", "ruleset"}},
		{"ss-udp.txt", "UDP sockets", {"ss", "-anu"}},
		{"ss-tcp.txt", "TCP sockets", {"ss", "-ant"}},
		{"ss-summary.txt", "sockets in numbers", {"ss", "-s"}},
	};

	(void)ifname;
	versions(b);
	learn_resolver(b);
	for (size_t i = 0; i < sizeof(tools) / sizeof(tools[0]); i++)
		run_tool(b, tools[i].name, tools[i].what, tools[i].argv);
	add_path(b, "resolv.conf", "how names are looked up", "/etc/resolv.conf");
	add_path(b, "net-snmp.txt", "counters of the kernel's IP and UDP", "/proc/net/snmp");
	add_path(b, "net-netstat.txt", "more counters of the kernel", "/proc/net/netstat");
}

/* ---- the configuration ---- */

/* Secrets that the file only names a place of. */
static void learn_secrets(struct hide *h, const struct conf *c)
{
	if (c->has_private_key)
		hide_secret(h, c->private_key.bytes, KEY_LEN);
	if (c->network.token_len)
		hide_secret(h, c->network.token, c->network.token_len);
	for (unsigned i = 0; i < c->network.turn_count; i++)
		if (c->network.turn[i].password)
			hide_secret(h, c->network.turn[i].password, strlen(c->network.turn[i].password));
}

static void learn_file_secrets(struct hide *h, const char *text)
{
	char *copy = xstrdup(text), *save = NULL;

	for (char *line = strtok_r(copy, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char *equals = strchr(line, '='), *path, *secret;
		struct error e;
		size_t len;

		if (!equals || !strcasestr(line, "file") || strcasestr(line, "file") > equals)
			continue;
		path = equals + 1 + strspn(equals + 1, " \t");
		path[strcspn(path, "\r")] = '\0';
		if (*path != '/' || strcasestr(line, "cafile") || file_read(path, &secret, &len, 4096, &e))
			continue;
		while (len && strchr(" \t\r\n", secret[len - 1]))
			len--;
		hide_secret(h, secret, len);
		explicit_bzero(secret, len);
		free(secret);
	}
	free(copy);
}

static bool is_file_word(const char *word)
{
	size_t len = strlen(word);

	return strchr(word, '/') || (len > 5 && !strcmp(word + len - 5, ".conf"));
}

/* The file that is named, else the one that the engine reads, wherever it was started from, else that of the
 * interface. The caller frees *path. */
static int read_config(struct bundle *b, const char *word, char **path, char ifname[IFNAMSIZ], char **text,
		       size_t *len)
{
	bool of_engine = b->config_path && !is_file_word(word);
	struct error e = {0};
	int r = conf_locate(of_engine ? b->config_path : word, path, ifname, &e);

	if (!r)
		r = file_read(*path, text, len, OUTPUT_MAX, &e);
	if (r && of_engine)
		bundle_failed(
			b, "config.conf",
			"%s: that is what the engine was started with; if it is elsewhere now, name the "
			"file: weir bundle FILE",
			e.text);
	else if (r)
		bundle_failed(b, "config.conf", "%s; name the file: weir bundle FILE", e.text);
	return r;
}

void bundle_config(struct bundle *b, const char *word)
{
	struct conf_messages messages = {0};
	char *path = NULL, *text, ifname[IFNAMSIZ];
	struct conf *c;
	size_t len;

	if (read_config(b, word, &path, ifname, &text, &len)) {
		free(path);
		return;
	}
	c = conf_read(path, ifname, &messages);
	if (c) {
		learn_secrets(b->hide, c);
		if (c->pre_up.count + c->post_up.count + c->pre_down.count + c->post_down.count)
			json_array_append_new(
				b->warnings,
				json_string("config.conf holds commands (PreUp, PostUp, PreDown, PostDown) "
					    "as they are: look whether they name anything secret"));
	}
	learn_file_secrets(b->hide, text);
	hide_config(b->hide, text, len,
		    bundle_add(b, "config.conf", "the configuration, without its secrets"));
	conf_messages_clear(&messages);
	conf_free(c);
	explicit_bzero(text, len);
	free(text);
	free(path);
}
