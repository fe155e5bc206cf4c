/* From options to settings, files and sockets; and reading them again. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/xalloc.h"
#include "crypto/primitives.h"
#include "relay/server_internal.h"

#define CLIENTS_MAX	20000
#define PER_ADDRESS_MAX 1000
#define QUEUE_BYTES	(512 * 1024)
#define MEMORY_BYTES	(256u << 20) /* of all queues */
#define SUBSCRIPTIONS	16384
#define LOGIN_SECONDS	10
#define HEALTH_NS	(25 * NS_PER_SEC)
#define ANSWER_NS	(20 * NS_PER_SEC)
#define STUN_PORT	3478
#define STATUS_DEFAULT	"127.0.0.1:9090"
#define OTHER_FILES	128 /* descriptors besides those of clients */

static bool is_off(const char *text)
{
	return text && !strcmp(text, "off");
}

static void make_hub(struct server *s, const struct hub_ops *ops)
{
	const struct relay_server_options *o = s->options;
	uint64_t divisor = o->time_divisor ? o->time_divisor : 1;
	struct hub_settings settings = {
		.clients_max = s->clients_max,
		.rate = o->rate,
		.queue_bytes = o->queue_bytes ? o->queue_bytes : QUEUE_BYTES,
		.memory_bytes = MEMORY_BYTES,
		.subscriptions = SUBSCRIPTIONS,
		.login_ns = (o->login_seconds ? o->login_seconds : LOGIN_SECONDS) * NS_PER_SEC / divisor,
		.health_ns = HEALTH_NS / divisor,
		.answer_ns = ANSWER_NS / divisor,
	};

	s->hub = hub_new(&settings, ops);
}

/* ---- limits ---- */

/* libwebsockets looks descriptors up in a table as large as the limit: so it is what we need, no more. */
static void limit_files(struct server *s)
{
	struct rlimit limit;
	rlim_t wanted = (rlim_t)s->clients_max + s->handshakes_max + OTHER_FILES;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return;
	if (limit.rlim_max < wanted && !setrlimit(RLIMIT_NOFILE, &(struct rlimit){wanted, wanted}))
		return; /* root may */
	if (limit.rlim_max != RLIM_INFINITY && limit.rlim_max < wanted) {
		rlim_t rest = limit.rlim_max > OTHER_FILES + 16 ? limit.rlim_max - OTHER_FILES : 16;

		if (s->handshakes_max > rest / 4)
			s->handshakes_max = (unsigned)(rest / 4);
		s->clients_max = (unsigned)(rest - s->handshakes_max);
		wanted = limit.rlim_max;
	}
	limit.rlim_cur = wanted;
	setrlimit(RLIMIT_NOFILE, &limit);
}

static unsigned clients_wanted(const struct relay_server_options *o)
{
	return o->clients_max ? o->clients_max : CLIENTS_MAX;
}

static void set_limits(struct server *s)
{
	const struct relay_server_options *o = s->options;

	s->clients_max = clients_wanted(o);
	s->per_address_max = o->per_address_max ? o->per_address_max : PER_ADDRESS_MAX;
	s->handshakes_max = s->clients_max / 2;
	if (s->handshakes_max < 64)
		s->handshakes_max = 64;
	if (s->handshakes_max > 4096)
		s->handshakes_max = 4096;
	limit_files(s);
}

/* ---- the instance's URL ---- */

static bool is_any(const union address *a)
{
	static const struct in6_addr any = IN6ADDR_ANY_INIT;

	return a->sa.sa_family == AF_INET6 ? !memcmp(&a->in6.sin6_addr, &any, sizeof(any))
					   : !a->in.sin_addr.s_addr;
}

static int set_url(struct server *s, struct error *e)
{
	const char *given = s->options->url, *scheme = s->options->cert_file ? "rels" : "rel";
	char url[RELAY_URL_MAX], where[ADDRESS_TEXT];
	struct relay_url parsed;

	if (!given) {
		snprintf(url, sizeof(url), "%s://%s", scheme, address_format(where, &s->bound));
		if (is_any(&s->bound))
			log_warn("relay",
				 "clients are told that this server is %s, where they cannot find it: give "
				 "its public "
				 "name with --url",
				 url);
	} else {
		snprintf(url, sizeof(url), "%s%s%s", strstr(given, "://") ? "" : scheme,
			 strstr(given, "://") ? "" : "://", given);
		if (strlen(given) > sizeof(url) - 10 || !relay_url_parse(&parsed, url))
			return error_exit(e, EXIT_USAGE, EINVAL,
					  "--url %s: give rel://HOST[:PORT] or rels://HOST[:PORT]", given);
		/* The other way round is what runs behind a proxy. */
		if (!parsed.tls && s->options->cert_file)
			return error_exit(e, EXIT_USAGE, EINVAL,
					  "--url %s: with --cert it has to begin with rels://", given);
	}
	if (given && parsed.tls && !s->options->cert_file)
		log_notice("relay", "%s: clients come with TLS, which a proxy in front of %s has to take off",
			   url, address_format(where, &s->bound));
	hub_set_url(s->hub, url);
	return 0;
}

/* ---- files ---- */

static int read_files(struct server *s, struct error *e)
{
	const struct relay_server_options *o = s->options;
	struct relay_secret secret;
	struct map *allowed = NULL;
	int r = server_read_secret(o->secret_file, &secret, e);

	if (r)
		return r;
	if (o->allow_file)
		r = server_read_allowed(o->allow_file, &allowed, e);
	if (!r && o->cert_file)
		r = server_check_tls(o->cert_file, o->key_file, e);
	if (!r && s->tls)
		r = server_use_tls(s->tls, o->cert_file, o->key_file, e);
	if (!r) {
		hub_set_secret(s->hub, &secret);
		hub_set_allowed(s->hub, allowed);
	} else {
		map_free(allowed);
	}
	crypto_wipe(&secret, sizeof(secret));
	return r;
}

void server_reload(struct server *s)
{
	struct error e = {0};

	if (read_files(s, &e)) {
		s->reload_failures++;
		log_error("relay", "reload: %s; what was read before stays in use", e.text);
		return;
	}
	s->reloads++;
	log_notice("relay", "secret%s%s read again; they count from the next login on",
		   s->options->allow_file ? ", list of keys" : "",
		   s->options->cert_file ? ", certificate" : "");
}

/* ---- sockets ---- */

/* Above 65535: there is none. 0 is any free one, as with --stun itself. */
static int other_port(const struct server *s, unsigned *port, struct error *e)
{
	const char *text = s->options->stun_other_port;
	unsigned first = ntohs(s->stun_bound[STUN_SAME_PLACE].in.sin_port);
	char *end;

	if (!text) {
		*port = first + 1;
		return 0;
	}
	*port = (unsigned)strtoul(text, &end, 10);
	if (*text < '0' || *text > '9' || *end || *port > 65535 || *port == first)
		return error_exit(e, EXIT_USAGE, EINVAL,
				  "--stun-other-port %s: give another port than that of --stun, or off",
				  text);
	return 0;
}

/* Without it a peer that has this relay alone does not get to know what kind of NAT it is behind; all else
 * works. */
static int open_other_port(struct server *s, struct error *e)
{
	union address at = s->stun_bound[STUN_SAME_PLACE];
	bool wanted = s->options->stun_other_port || s->options->stun_other_address;
	struct error why = {0};
	unsigned port;
	int r = other_port(s, &port, e);

	if (r)
		return r;
	at.in.sin_port = htons((uint16_t)port);
	if (port > 65535)
		r = error_set(&why, ERANGE, "no port comes after that of --stun");
	else
		r = server_open_stun(&at, "--stun-other-port", &s->stun_bound[STUN_OTHER_PORT],
				     &s->stun[STUN_OTHER_PORT].fd, &why);
	if (!r)
		return 0;
	if (wanted) {
		*e = why;
		return r;
	}
	log_warn(
		"relay",
		"%s; STUN answers on one port only: peers that have no other server cannot tell what kind of "
		"NAT they are behind; name a free port with --stun-other-port, or off",
		why.text);
	return 0;
}

/* The sockets of the other address have to be beside those of the first: none of them may be for all. */
static int open_other_address(struct server *s, struct error *e)
{
	const char *text = s->options->stun_other_address;
	const union address *first = &s->stun_bound[STUN_SAME_PLACE];
	union address at;
	char full[ADDRESS_TEXT];
	int r = 0;

	if (is_any(first))
		return error_exit(e, EXIT_USAGE, EINVAL,
				  "--stun-other-address %s: name the first address, too, by --stun "
				  "ADDRESS:PORT",
				  text);
	snprintf(full, sizeof(full), strchr(text, ':') ? "[%s]:0" : "%s:0", text);
	if (!server_parse_address(full, &at) || at.sa.sa_family != first->sa.sa_family || is_any(&at) ||
	    address_same_host(&at, first))
		return error_exit(
			e, EXIT_USAGE, EINVAL,
			"--stun-other-address %s: give another address of this host, without a port, "
			"of the same IP version as --stun",
			text);
	for (unsigned i = STUN_SAME_PLACE; i <= STUN_OTHER_PORT && !r; i++) {
		at.in.sin_port = s->stun_bound[i].in.sin_port;
		r = server_open_stun(&at, "--stun-other-address", &s->stun_bound[i | STUN_OTHER_ADDRESS],
				     &s->stun[i | STUN_OTHER_ADDRESS].fd, e);
	}
	return r;
}

static int open_stun(struct server *s, struct error *e)
{
	const struct relay_server_options *o = s->options;
	bool one_port = is_off(o->stun_other_port);
	union address at = s->bound;
	int r;

	if (o->stun_other_address && (is_off(o->stun) || one_port))
		return error_exit(
			e, EXIT_USAGE, EINVAL,
			"--stun-other-address belongs to STUN on two ports, and one of them is off");
	if (is_off(o->stun))
		return 0;
	if (o->stun && !server_parse_address(o->stun, &at))
		return error_exit(e, EXIT_USAGE, EINVAL, "--stun %s: give ADDRESS:PORT or off", o->stun);
	if (!o->stun) /* the port is at the same place in both families */
		at.in.sin_port = htons(STUN_PORT);
	s->stun_limiter = stun_limiter_new();
	r = server_open_stun(&at, "--stun", &s->stun_bound[STUN_SAME_PLACE], &s->stun[STUN_SAME_PLACE].fd, e);
	if (!r && !one_port)
		r = open_other_port(s, e);
	return !r && o->stun_other_address ? open_other_address(s, e) : r;
}

static int open_signals(struct server *s, struct error *e)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	s->signals.fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	return s->signals.fd < 0 ? error_set(e, errno, "signalfd: %s", strerror(errno)) : 0;
}

static int check_options(const struct relay_server_options *o, struct error *e)
{
	if (!o->listen)
		return error_exit(e, EXIT_USAGE, EINVAL, "--listen ADDRESS:PORT is missing");
	if (!o->secret_file)
		return error_exit(e, EXIT_USAGE, EINVAL,
				  "--secret-file FILE is missing: it holds the secret that clients make "
				  "their tokens of");
	if (!o->cert_file != !o->key_file)
		return error_exit(e, EXIT_USAGE, EINVAL,
				  "--cert and --key belong together: give both or neither");
	return 0;
}

int server_set_up(struct server *s, const struct relay_server_options *o, const struct hub_ops *ops,
		  struct error *e)
{
	int r = check_options(o, e);

	s->options = o;
	s->started = clock_boot_ns();
	s->listener.fd = s->status_listener.fd = s->signals.fd = s->spare_fd = -1;
	for (unsigned i = 0; i < STUN_PLACES; i++)
		s->stun[i].fd = -1;
	s->addresses = map_new(16);
	set_limits(s);
	make_hub(s, ops);
	if (!r)
		r = open_signals(s, e);
	if (!r)
		r = read_files(s, e);
	if (!r)
		r = server_listen(o->listen, "--listen", &s->bound, &s->listener.fd, e);
	if (!r)
		r = set_url(s, e);
	if (!r && !is_off(o->status))
		r = server_listen(o->status ? o->status : STATUS_DEFAULT, "--status", &s->status_bound,
				  &s->status_listener.fd, e);
	if (!r)
		r = open_stun(s, e);
	s->spare_fd = dup(STDERR_FILENO);
	if (!r && s->clients_max < clients_wanted(o))
		log_write(o->clients_max ? LOG_WARN : LOG_INFO, "relay", NULL,
			  "the limit of open files leaves room for %u clients only (LimitNOFILE=, ulimit -n)",
			  s->clients_max);
	return r;
}

void server_take_down(struct server *s)
{
	const int fds[] = {s->listener.fd, s->status_listener.fd, s->signals.fd, s->spare_fd};

	for (unsigned i = 0; i < STUN_PLACES; i++)
		if (s->stun[i].fd >= 0)
			close(s->stun[i].fd);
	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		if (fds[i] >= 0)
			close(fds[i]);
	stun_limiter_free(s->stun_limiter);
	hub_free(s->hub);
	map_free(s->addresses);
}
