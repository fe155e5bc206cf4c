#include "cmd/options.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/distance.h"

#define AT(member) offsetof(struct options, member)

const struct option_entry option_table[] = {
	{"headless", 0, NULL, OPTION_FLAG, AT(headless), 0, 0,
	 "no dashboard: stay in the foreground as a daemon"},
	{"readonly", 0, NULL, OPTION_FLAG, AT(readonly), 0, 0, "a dashboard that only shows"},
	{"ascii", 0, NULL, OPTION_FLAG, AT(ascii), 0, 0, "draw with ASCII characters only"},
	{"slow", 0, NULL, OPTION_FLAG, AT(slow), 0, 0,
	 "for slow links: no colour, ASCII, a new picture every 5 s"},
	{"color", 0, "WHEN", OPTION_WHEN, AT(color), 0, 0, "auto, always or never"},
	{"interface", 'i', "IFACE", OPTION_TEXT, AT(interface), 0, 0,
	 "the engine to talk to, when several run"},
	{"json", 0, NULL, OPTION_FLAG, AT(json), 0, 0, "machine-readable, in the words of weir-control(7)"},
	{"check", 0, NULL, OPTION_FLAG, AT(check), 0, 0, "print only what is wrong; exit 4 if anything is"},
	{"follow", 'f', NULL, OPTION_FLAG, AT(follow), 0, 0, "go on as lines are written"},
	{"output", 'o', "FILE", OPTION_TEXT, AT(output), 0, 0, "write to this file"},
	{"anonymise", 0, NULL, OPTION_FLAG, AT(anonymise), 0, 0,
	 "replace keys, addresses and names by pseudonyms"},
	{"seconds", 0, "N", OPTION_NUMBER, AT(seconds), 1, 3600, "watch so much longer first"},
	{"at", 0, "TIME", OPTION_TEXT, AT(at), 0, 0,
	 "the moment to begin with: HH:MM:SS, a date and time, or Unix seconds"},
	{"size", 0, "BYTES", OPTION_NUMBER, AT(size), 20, 65535, "of the packet, its IP header included"},
	{"write", 'w', "FILE", OPTION_TEXT, AT(write), 0, 0,
	 "where packets go; -: standard output, for a pipe"},
	{"format", 0, "FORMAT", OPTION_TEXT, AT(format), 0, 0,
	 "pcapng, or pcap for tools that know nothing else"},
	{"point", 0, "POINT", OPTION_LIST, AT(points), 0, 0,
	 "wire, inner, relay or signal; several times for several; otherwise all"},
	{"count", 'c', "N", OPTION_NUMBER, AT(packets), 1, 4000000000u, "end after so many"},
	{"duration", 0, "SECONDS", OPTION_NUMBER, AT(duration), 1, 31536000, "end after so long"},
	{"snaplen", 's', "BYTES", OPTION_NUMBER, AT(snaplen), 16, 65535,
	 "so many of each packet; otherwise all"},
	{"rotate-size", 0, "MB", OPTION_NUMBER, AT(rotate_size), 1, 1000000,
	 "a new file after so many megabytes"},
	{"rotate-time", 0, "SECONDS", OPTION_NUMBER, AT(rotate_time), 1, 31536000,
	 "a new file after so long"},
	{"files", 0, "N", OPTION_NUMBER, AT(files), 1, 99999, "keep the newest N of them"},
	{"with-keys", 0, NULL, OPTION_FLAG, AT(with_keys), 0, 0,
	 "the file opens its own packets: it holds the private key"},
	{"keep", 0, "SECONDS", OPTION_TEXT, AT(keep), 0, 0,
	 "let the engine keep the last SECONDS from now on; off: no more"},
	{"last", 0, "SECONDS", OPTION_NUMBER, AT(last), 1, 3600,
	 "what was kept of the last SECONDS, and end"},
	{"peer", 0, "PEER", OPTION_TEXT, AT(peer), 0, 0, "only what is about this peer"},
	{"room", 0, "WORD", OPTION_LIST, AT(rooms), 0, 0, "only this room of the log, or this kind of event"},
	{"since", 0, "WHEN", OPTION_TEXT, AT(since), 0, 0, "15m, 2h, a time, a date and a time, or @SECONDS"},
	{"level", 0, "LEVEL", OPTION_LEVEL, AT(log_level), 0, 0, "error, warn, notice, info or debug"},
	{"batch", 'b', NULL, OPTION_FLAG, AT(batch), 0, 0, "plain text, one table after the other"},
	{"tables", 'n', "N", OPTION_NUMBER, AT(tables), 1, 1000000000,
	 "so many tables; otherwise without end"},
	{"interval", 'd', "SECONDS", OPTION_NUMBER, AT(interval), 1, 86400,
	 "from table to table; otherwise 1"},
	{"log-level", 0, "LEVEL", OPTION_LEVEL, AT(log_level), 0, 0, "error, warn, notice, info or debug"},
	{"workers", 0, "N", OPTION_NUMBER, AT(workers), 1, 8,
	 "packet threads; otherwise one per core, at most 8"},
	{"history", 0, "MIB", OPTION_NUMBER, AT(history), 0, 1024,
	 "memory for the recorded past; otherwise 8, 0 for none"},
	{"plain-io", 0, NULL, OPTION_FLAG, AT(plain_io), 0, 0,
	 "no segmentation offloads, for kernels that get them wrong"},
	{"run-dir", 0, "DIR", OPTION_TEXT, AT(run_dir), 0, 0, "sockets and locks, otherwise /run/weir"},
	{"state-dir", 0, "DIR", OPTION_TEXT, AT(state_dir), 0, 0,
	 "what survives a restart, otherwise /var/lib/weir"},
	{"no-sandbox", 0, NULL, OPTION_FLAG, AT(no_sandbox), 0, 0, "keep all privileges, for debuggers"},
	{"time-divisor", 0, "N", OPTION_NUMBER, AT(time_divisor), 1, 100,
	 "tests only: protocol times divided by N"},
	{"metrics", 0, "WHERE", OPTION_TEXT, AT(metrics), 0, 0,
	 "OpenMetrics at ADDRESS:PORT, unix:PATH or off; otherwise as configured"},
	{"listen", 0, "WHERE", OPTION_TEXT, AT(listen), 0, 0, "ADDRESS:PORT that clients come to"},
	{"secret-file", 0, "FILE", OPTION_TEXT, AT(secret_file), 0, 0,
	 "holds the secret that clients make their tokens of"},
	{"url", 0, "URL", OPTION_TEXT, AT(url), 0, 0,
	 "this server as its clients call it, rel://... or rels://..."},
	{"cert", 0, "FILE", OPTION_TEXT, AT(cert_file), 0, 0, "TLS: the certificate and its chain (PEM)"},
	{"key", 0, "FILE", OPTION_TEXT, AT(key_file), 0, 0, "TLS: the private key (PEM)"},
	{"allow", 0, "FILE", OPTION_TEXT, AT(allow_file), 0, 0,
	 "public keys that may log in, one a line; otherwise any"},
	{"stun", 0, "WHERE", OPTION_LIST, AT(stun), 0, 0,
	 "where STUN is: HOST:PORT to ask; or of a relay, ADDRESS:PORT or off"},
	{"stun-other-port", 0, "PORT", OPTION_TEXT, AT(stun_other_port), 0, 0,
	 "a second port of the relay's STUN, or off; otherwise the one after the first"},
	{"stun-other-address", 0, "ADDRESS", OPTION_TEXT, AT(stun_other_address), 0, 0,
	 "a second address of this host, for STUN that can tell all about a NAT (RFC 5780)"},
	{"relay", 0, "URL", OPTION_LIST, AT(relays), 0, 0, "a relay server to try, rel://... or rels://..."},
	{"portal-url", 0, "URL", OPTION_TEXT, AT(portal_url), 0, 0,
	 "http://... that answers with status 204 where no portal is between"},
	{"lan", 0, NULL, OPTION_FLAG, AT(lan), 0, 0,
	 "ask the gateway and the LAN for port mappings (multicast)"},
	{"status", 0, "WHERE", OPTION_TEXT, AT(status), 0, 0,
	 "ADDRESS:PORT or off; otherwise 127.0.0.1:9090"},
	{"user", 0, "NAME", OPTION_TEXT, AT(user), 0, 0,
	 "whom root becomes after the start, otherwise nobody"},
	{"max-clients", 0, "N", OPTION_NUMBER, AT(max_clients), 1, 1000000,
	 "at most so many; otherwise 20000"},
	{"max-per-address", 0, "N", OPTION_NUMBER, AT(max_per_address), 1, 1000000,
	 "connections of one address; otherwise 1000"},
	{"rate", 0, "BYTES", OPTION_NUMBER, AT(rate), 10000, 4000000000u,
	 "a second from each client; otherwise not limited"},
	{"queue", 0, "BYTES", OPTION_NUMBER, AT(queue), 16384, 67108864, "for each client; otherwise 524288"},
	{"login-time", 0, "SECONDS", OPTION_NUMBER, AT(login_time), 1, 60,
	 "for a client to log in; otherwise 10"},
	{"trust-proxy", 0, NULL, OPTION_FLAG, AT(trust_proxy), 0, 0,
	 "believe X-Real-Ip of connections from this machine"},
	{"help", 'h', NULL, OPTION_FLAG, AT(help), 0, 0, "this text"},
};
const size_t option_table_size = sizeof(option_table) / sizeof(option_table[0]);

bool option_allowed(const struct option_entry *entry, const char *names)
{
	size_t len = strlen(entry->name);

	if (!strcmp(entry->name, "help"))
		return true;
	for (const char *at = names; (at = strstr(at, entry->name)); at += len)
		if ((at == names || at[-1] == ' ') && (at[len] == ' ' || !at[len]))
			return true;
	return false;
}

/* ---- nearest words ---- */

const char *nearest_word(const char *text, const char *const *words, size_t count)
{
	unsigned best = strlen(text) < 4 ? 2 : 3; /* as far as this is a slip of the fingers */
	const char *found = NULL;

	for (size_t i = 0; i < count; i++) {
		unsigned d = word_distance(text, words[i]);

		if (d < best) {
			best = d;
			found = words[i];
		}
	}
	return found;
}

/* ---- parsing ---- */

static int unknown(const char *argument, const char *name, const char *names, struct error *e)
{
	const char *words[sizeof(option_table) / sizeof(option_table[0])];
	const char *near;
	size_t count = 0;

	for (size_t i = 0; i < option_table_size; i++)
		if (option_allowed(&option_table[i], names))
			words[count++] = option_table[i].name;
	near = nearest_word(name, words, count);
	if (near)
		return error_exit(e, EXIT_USAGE, EINVAL, "unknown option \"%s\": did you mean --%s?",
				  argument, near);
	return error_exit(e, EXIT_USAGE, EINVAL, "unknown option \"%s\" (--help lists them)", argument);
}

static bool parse_when(enum tui_color *out, const char *word)
{
	static const char *const words[] = {"auto", "always", "never"};
	static const enum tui_color colors[] = {TUI_COLOR_AUTO, TUI_COLOR_ALWAYS, TUI_COLOR_NEVER};

	for (unsigned i = 0; i < 3; i++)
		if (!strcmp(word, words[i])) {
			*out = colors[i];
			return true;
		}
	return false;
}

static bool parse_number(unsigned *out, const char *text, unsigned min, unsigned max)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	if (text[0] < '0' || text[0] > '9' || *end || n < min || n > max)
		return false;
	*out = (unsigned)n;
	return true;
}

static int store(struct options *o, const struct option_entry *entry, const char *value, struct error *e)
{
	void *at = (char *)o + entry->offset;

	switch (entry->kind) {
	case OPTION_FLAG:
		*(bool *)at = true;
		return 0;
	case OPTION_TEXT:
		if (*value) {
			*(const char **)at = value;
			return 0;
		}
		return error_exit(e, EXIT_USAGE, EINVAL, "--%s needs a %s", entry->name, entry->value);
	case OPTION_LIST: {
		struct option_list *list = at;

		if (!*value)
			return error_exit(e, EXIT_USAGE, EINVAL, "--%s needs a %s", entry->name,
					  entry->value);
		if (list->count == OPTION_LIST_MAX)
			return error_exit(e, EXIT_USAGE, EINVAL, "--%s: at most %d of them", entry->name,
					  OPTION_LIST_MAX);
		list->items[list->count++] = value;
		return 0;
	}
	case OPTION_NUMBER:
		if (parse_number(at, value, entry->min, entry->max))
			return 0;
		return error_exit(e, EXIT_USAGE, EINVAL, "--%s %s: give a number from %u to %u", entry->name,
				  value, entry->min, entry->max);
	case OPTION_WHEN:
		if (parse_when(at, value))
			return 0;
		break;
	case OPTION_LEVEL:
		o->log_level_given = true;
		if (log_level_parse(value, at))
			return 0;
		break;
	}
	return error_exit(e, EXIT_USAGE, EINVAL, "--%s %s: give %s", entry->name, value, entry->text);
}

/* The entry that the word at argv[i] names; *value points behind its '=' (or the letter), if something is
 * there. */
static const struct option_entry *look_up(const char *word, const char *names, const char **value)
{
	bool is_long = word[1] == '-';
	const char *name = word + (is_long ? 2 : 1);
	size_t len = is_long ? strcspn(name, "=") : 1;

	*value = NULL;
	for (size_t i = 0; i < option_table_size; i++) {
		const struct option_entry *entry = &option_table[i];

		if (!option_allowed(entry, names))
			continue;
		if (is_long ? strlen(entry->name) != len || memcmp(entry->name, name, len)
			    : !entry->letter || entry->letter != name[0])
			continue;
		if (name[len])
			*value = name + len + is_long;
		return entry;
	}
	return NULL;
}

static void from_environment(struct options *o)
{
	const char *mode = getenv("WG_COLOR_MODE"), *off = getenv("NO_COLOR");

	if (off && *off)
		o->color = TUI_COLOR_NEVER;
	if (mode)
		parse_when(&o->color, mode);
}

int options_parse(struct options *o, const char *names, int argc, char **argv, int *rest, struct error *e)
{
	bool only_words = false;

	*o = (struct options){.log_level = LOG_INFO, .history = 8};
	from_environment(o);
	*rest = 0;
	for (int i = 1; i < argc; i++) {
		char *word = argv[i];
		const struct option_entry *entry;
		const char *value;
		int r;

		if (only_words || word[0] != '-' || !word[1]) {
			argv[++*rest] = word;
			continue;
		}
		if (!strcmp(word, "--")) {
			only_words = true;
			continue;
		}
		entry = look_up(word, names, &value);
		if (!entry)
			return unknown(word, word + strspn(word, "-"), names, e);
		if (value && !entry->value)
			return error_exit(e, EXIT_USAGE, EINVAL, "--%s takes no argument (\"%s\")",
					  entry->name, word);
		if (!value && entry->value && !(value = argv[++i]))
			return error_exit(e, EXIT_USAGE, EINVAL, "--%s needs an argument: %s", entry->name,
					  entry->value);
		r = store(o, entry, value, e);
		if (r)
			return r;
	}
	return 0;
}
