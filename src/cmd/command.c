#include "config.h"
#include "cmd/command.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/strbuf.h"
#include "cmd/text.h"
#include "config/conf.h"

#define COMMANDS_MAX 64

static const struct command *find(const char *name)
{
	for (const struct command *c = commands; c->name; c++)
		if (!strcmp(c->name, name))
			return c;
	return NULL;
}

static const char *nearest_command(const char *text)
{
	const char *words[COMMANDS_MAX];
	size_t count = 0;

	for (const struct command *c = commands; c->name && count < COMMANDS_MAX; c++)
		words[count++] = c->name;
	return nearest_word(text, words, count);
}

static void option_help(const struct option_entry *entry, FILE *to)
{
	char spelled[48];

	snprintf(spelled, sizeof(spelled), "%s%c%s--%s%s%s", entry->letter ? "-" : "",
		 entry->letter ? entry->letter : ' ', entry->letter ? ", " : "   ", entry->name,
		 entry->value ? " " : "", entry->value ? entry->value : "");
	fprintf(to, "  %-24s %s\n", spelled, entry->text);
}

#define WORDS_WIDTH 12

void command_help(const struct command *c, FILE *to)
{
	if (c) {
		fprintf(to, "usage: weir %s [options]%s%s\n%s.\n\n", c->name, *c->words ? " " : "", c->words,
			c->help);
		for (size_t i = 0; i < option_table_size; i++)
			if (option_allowed(&option_table[i], c->options))
				option_help(&option_table[i], to);
		return;
	}
	fprintf(to, "usage: weir IFACE|FILE              run a tunnel, with its dashboard\n"
		    "       weir --headless IFACE|FILE   the same as a daemon in the foreground\n"
		    "       weir COMMAND [options] ...\n\n");
	/* Words that are longer than their column have a line of their own. */
	for (c = commands; c->name; c++)
		fprintf(to, "  %-10s %-12s%s%s\n", c->name, c->words,
			strlen(c->words) > WORDS_WIDTH ? "\n                          " : " ", c->help);
	fprintf(to, "  %-10s %-12s %s\n\n", "help", "[COMMAND]", "this text, or that of one command");
	fprintf(to, "weir COMMAND --help lists the options of one. Manuals: weir(8), weir.conf(5), "
		    "weir-control(7).\n");
}

/* ---- shared by the commands ---- */

int command_failed(const struct error *e)
{
	return e->exit == EXIT_OK ? EXIT_FAIL : (int)e->exit;
}

static int choose_running(const struct options *o, char ifname[IFNAMSIZ], struct error *e)
{
	char(*names)[16];
	size_t count = client_interfaces(o->run_dir, &names);
	struct strbuf list = {0};
	int r = 0;

	if (count == 1) {
		snprintf(ifname, IFNAMSIZ, "%s", names[0]);
	} else if (!count) {
		r = error_exit(e, EXIT_NOT_RUNNING, ENOENT, "no engine runs: start one with `weir IFACE`");
	} else {
		for (size_t i = 0; i < count; i++)
			strbuf_add(&list, "%s%s", i ? ", " : "", names[i]);
		r = error_exit(e, EXIT_USAGE, EINVAL, "%zu engines run, say which with -i: %s", count,
			       list.text);
		strbuf_clear(&list);
	}
	free(names);
	return r;
}

/* "wg0" out of "wg0", "/etc/weir/wg0.conf" or "wg0.conf". */
static int name_of(const char *word, char ifname[IFNAMSIZ], struct error *e)
{
	const char *slash = strrchr(word, '/');
	const char *base = slash ? slash + 1 : word;
	size_t len = strlen(base);

	if (len > 5 && !strcmp(base + len - 5, ".conf"))
		len -= 5;
	if (!len || len >= IFNAMSIZ)
		return error_exit(e, EXIT_USAGE, EINVAL,
				  "\"%s\" is not an interface name: at most %d characters", word,
				  IFNAMSIZ - 1);
	snprintf(ifname, IFNAMSIZ, "%.*s", (int)len, base);
	return 0;
}

int command_interface(const struct options *o, const char *word, char ifname[IFNAMSIZ], struct error *e)
{
	if (word && o->interface)
		return error_exit(e, EXIT_USAGE, EINVAL, "both \"%s\" and --interface %s: give one", word,
				  o->interface);
	if (word || o->interface)
		return name_of(word ? word : o->interface, ifname, e);
	return choose_running(o, ifname, e);
}

struct client *command_connect(const struct options *o, const char *word, char ifname[IFNAMSIZ],
			       struct error *e)
{
	char own[IFNAMSIZ];

	if (!ifname)
		ifname = own;
	if (command_interface(o, word, ifname, e))
		return NULL;
	return client_connect(o->run_dir, ifname, e);
}

/* ---- running one ---- */

static int print_error(const struct error *e, int code)
{
	if (e->text[0])
		text_complain(e->text);
	return code;
}

static int run(const struct command *c, int argc, char **argv)
{
	struct options o;
	struct error e = {0};
	int count, code;

	if (options_parse(&o, c->options, argc, argv, &count, &e))
		return print_error(&e, EXIT_USAGE);
	if (o.help) {
		command_help(c, stdout);
		return EXIT_OK;
	}
	if (count < c->min || count > c->max) {
		fprintf(stderr, "weir: %s: %s %s\nusage: weir %s [options] %s\n", c->name,
			count < c->min ? "give" : "too many words: it takes", *c->words ? c->words : "none",
			c->name, c->words);
		return EXIT_USAGE;
	}
	if (o.log_level_given)
		log_set_level(o.log_level);
	code = c->run(&o, count, argv + 1, &e);
	return code == EXIT_OK ? EXIT_OK : print_error(&e, code);
}

static int help(int argc, char **argv)
{
	const struct command *c = argc > 2 ? find(argv[2]) : NULL;

	if (argc > 2 && !c && strcmp(argv[2], "help")) {
		fprintf(stderr, "weir: there is no command \"%s\"\n", argv[2]);
		return EXIT_USAGE;
	}
	command_help(c, stdout);
	return EXIT_OK;
}

/* A first word that is no command is an interface or a file, unless it is neither and looks like a slip. */
static bool is_tunnel(const char *word)
{
	char ifname[IFNAMSIZ], *path = NULL;
	struct error e;
	int r;

	if (strchr(word, '/') || !nearest_command(word))
		return true;
	/* In a folder that is closed to us there may be one; it is likelier a slip. */
	r = conf_locate(word, &path, ifname, &e) || access(path, F_OK);
	free(path);
	return r == 0;
}

int command_run(int argc, char **argv)
{
	const char *word = argc > 1 ? argv[1] : NULL;
	const struct command *c;

	if (!word) {
		command_help(NULL, stderr);
		return EXIT_USAGE;
	}
	if (!strcmp(word, "help") || !strcmp(word, "--help") || !strcmp(word, "-h"))
		return help(argc, argv);
	if (!strcmp(word, "--version") || !strcmp(word, "-V")) {
		printf("weir %s\n", VERSION);
		return EXIT_OK;
	}
	c = find(word);
	if (c)
		return run(c, argc - 1, argv + 1);
	if (word[0] != '-' && !is_tunnel(word)) {
		fprintf(stderr,
			"weir: \"%s\" is neither a command nor a configuration: did you mean \"%s\"?\n", word,
			nearest_command(word));
		return EXIT_USAGE;
	}
	return run(&commands[0], argc, argv);
}
