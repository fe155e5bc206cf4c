/*
 * weir completion bash|zsh: a script made of the tables of commands and options, so that neither can be
 * forgotten. What changes while it is loaded (interfaces, peers) is asked for by `weir completion words`,
 * which the scripts call: it says nothing where there is no engine, or no permission.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/command.h"

/* ---- words that are asked for ---- */

/*
 * bash expands what it gets as a list of words (compgen -W), commands and all, and files in a folder of
 * sockets or peers can be called anything: a word with characters that a shell may act upon is left to be
 * typed.
 */
static bool is_plain(const char *word)
{
	static const char letters[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.:,@%+/-";
	const char *c = word;

	while (*c && ((unsigned char)*c >= 0x80 || strchr(letters, *c)))
		c++;
	return *word && *word != '-' && !*c;
}

static void print_interfaces(const struct options *o)
{
	char(*names)[16];
	size_t count = client_interfaces(o->run_dir, &names);

	for (size_t i = 0; i < count; i++)
		if (is_plain(names[i]))
			puts(names[i]);
	free(names);
}

/* Names; of those who have none that can be offered, the start of the key. */
static void print_peers(const struct options *o)
{
	struct error ignored = {0};
	struct client *c = command_connect(o, NULL, NULL, &ignored);
	json_t *reply = c ? client_call(c, "status", json_pack("{s:b}", "brief", 1), &ignored) : NULL;
	const json_t *peer;
	size_t i;

	json_array_foreach(json_object_get(reply, "peers"), i, peer)
	{
		const char *name = json_string_value(json_object_get(peer, "name")),
			   *key = json_string_value(json_object_get(peer, "publicKey"));

		if (name && is_plain(name))
			puts(name);
		else if (key)
			printf("%.8s\n", key);
	}
	json_decref(reply);
	client_close(c);
}

/* ---- what the tables say ---- */

/* What stands at a place of a synopsis such as "PEER|all now|skip|hold". */
struct place {
	bool interfaces, peers, commands;
	const char *files; /* how those end that fit, NULL: none do */
	char fixed[160];   /* words, separated by spaces */
};

static void read_word(struct place *p, const char *word, size_t len)
{
	static const char *const ignored[] = {"ADDRESS", "HOST"};
	char text[64];

	snprintf(text, sizeof(text), "%.*s", (int)len, word);
	if (!strcmp(text, "IFACE"))
		p->interfaces = true;
	else if (!strcmp(text, "FILE"))
		p->files = "conf";
	else if (!strcmp(text, "BUNDLE"))
		p->files = "tar.gz";
	else if (!strcmp(text, "PEER"))
		p->peers = true;
	else if (!strcmp(text, "COMMAND"))
		p->commands = true;
	else if (strcmp(text, ignored[0]) != 0 && strcmp(text, ignored[1]) != 0 && *text >= 'a' &&
		 *text <= 'z')
		snprintf(p->fixed + strlen(p->fixed), sizeof(p->fixed) - strlen(p->fixed), "%s%s",
			 *p->fixed ? " " : "", text);
}

/* The place number n of a synopsis; false: there is none. */
static bool read_place(const char *synopsis, unsigned n, struct place *p)
{
	const char *at = synopsis;

	*p = (struct place){0};
	while (n-- && at) {
		at = strchr(at, ' ');
		at = at ? at + 1 : NULL;
	}
	if (!at || !*at)
		return false;
	for (size_t len; *at && *at != ' '; at += len + (at[len] == '|' || at[len] == ']')) {
		at += strspn(at, "[|");
		len = strcspn(at, "|] ");
		if (!len)
			break;
		read_word(p, at, len);
	}
	return true;
}

static void print_commands(const char *separator)
{
	for (const struct command *c = commands; c->name; c++)
		printf("%s%s", c->name, separator);
	printf("help");
}

/* The words of an option's value that are known: "auto, always or never". */
static const char *values_of(const struct option_entry *o)
{
	switch (o->kind) {
	case OPTION_WHEN:
		return "auto always never";
	case OPTION_LEVEL:
		return "error warn notice info debug";
	default:
		break;
	}
	if (o->value && !strcmp(o->value, "POINT"))
		return "wire inner relay signal";
	return o->value && !strcmp(o->value, "FORMAT") ? "pcapng pcap" : NULL;
}

static bool is_file(const struct option_entry *o)
{
	return o->value && (!strcmp(o->value, "FILE") || !strcmp(o->value, "DIR"));
}

/* ---- bash ---- */

static void bash_options(void)
{
	printf("\tcase $prev in\n");
	for (size_t i = 0; i < option_table_size; i++) {
		const struct option_entry *o = &option_table[i];

		if (!o->value)
			continue;
		printf("\t--%s", o->name);
		if (o->letter)
			printf("|-%c", o->letter);
		if (!strcmp(o->value, "IFACE"))
			printf(") COMPREPLY=($(compgen -W \"$(weir completion words interfaces $run)\" -- "
			       "\"$cur\")); return;;\n");
		else if (!strcmp(o->value, "PEER"))
			printf(") COMPREPLY=($(compgen -W \"$(weir completion words peers $run)\" -- "
			       "\"$cur\")); return;;\n");
		else if (values_of(o))
			printf(") COMPREPLY=($(compgen -W '%s' -- \"$cur\")); return;;\n", values_of(o));
		else if (is_file(o))
			printf(") compopt -o filenames; COMPREPLY=($(compgen -f -- \"$cur\")); return;;\n");
		else
			printf(") return;;\n");
	}
	printf("\tesac\n");
}

static void bash_place(const struct command *c, unsigned n)
{
	struct place p;

	if (!read_place(c->words, n, &p) || !(*p.fixed || p.interfaces || p.peers || p.files))
		return;
	printf("\t%s:%u)", c->name, n);
	if (*p.fixed)
		printf(" words+=' %s';", p.fixed);
	if (p.interfaces)
		printf(" words+=\" $(weir completion words interfaces $run)\";");
	if (p.peers)
		printf(" words+=\" $(weir completion words peers $run)\";");
	if (p.files)
		printf(" files=%s;", p.files);
	printf(";\n");
}

/* Which command it is, and at which place of it the cursor is. */
static void bash_head(void)
{
	printf("# bash completion of weir, made by `weir completion bash`.\n"
	       "_weir() {\n"
	       "\tlocal cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} command= run= words= "
	       "files= word\n"
	       "\tlocal i place=-1 skip=\n"
	       "\tCOMPREPLY=()\n"
	       "\tfor ((i = 1; i < COMP_CWORD; i++)); do\n"
	       "\t\tword=${COMP_WORDS[i]}\n"
	       "\t\tif [[ -n $skip ]]; then\n"
	       "\t\t\t[[ $skip == run ]] && run=\"--run-dir $word\"\n"
	       "\t\t\t[[ $skip == interface ]] && run+=\" -i $word\"\n"
	       "\t\t\tskip=\n"
	       "\t\t\tcontinue\n"
	       "\t\tfi\n"
	       "\t\tcase $word in\n"
	       "\t\t--run-dir) skip=run;;\n"
	       "\t\t--interface|-i) skip=interface;;\n");
	for (size_t i = 0; i < option_table_size; i++) {
		const struct option_entry *o = &option_table[i];

		if (!o->value || !strcmp(o->name, "run-dir") || !strcmp(o->name, "interface"))
			continue;
		printf("\t\t--%s", o->name);
		if (o->letter)
			printf("|-%c", o->letter);
		printf(") skip=1;;\n");
	}
	printf("\t\t-*) ;;\n"
	       "\t\t*) if [[ -z $command ]]; then command=$word; fi; place=$((place + 1));;\n"
	       "\t\tesac\n"
	       "\tdone\n");
}

/* What begins with a dash. */
static void bash_dashes(void)
{
	printf("\tif [[ $cur == -* ]]; then\n"
	       "\t\tcase $command in\n");
	for (const struct command *c = commands; c->name; c++) {
		printf("\t\t%s%s) words='", c == commands ? "''|" : "", c->name);
		for (size_t i = 0; i < option_table_size; i++)
			if (option_allowed(&option_table[i], c->options))
				printf("--%s ", option_table[i].name);
		printf("';;\n");
	}
	printf("\t\tesac\n"
	       "\t\tCOMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
	       "\t\treturn\n"
	       "\tfi\n");
}

static void bash_places(void)
{
	printf("\tcase $command:$place in\n"
	       "\t:-1) words='");
	print_commands(" ");
	printf("'; words+=\" $(weir completion words interfaces $run)\"; files=conf;;\n");
	for (const struct command *c = commands; c->name; c++)
		for (unsigned n = 0; n < 4; n++)
			bash_place(c, n);
	printf("\thelp:0) words='");
	print_commands(" ");
	printf("';;\n"
	       "\tesac\n");
}

static void print_bash(void)
{
	bash_head();
	bash_options();
	bash_dashes();
	bash_places();
	printf("\tCOMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
	       "\tif [[ -n $files ]]; then\n"
	       "\t\tcompopt -o filenames 2>/dev/null\n"
	       "\t\tCOMPREPLY+=($(compgen -d -- \"$cur\") $(compgen -f -X \"!*.$files\" -- \"$cur\"))\n"
	       "\tfi\n"
	       "}\n"
	       "complete -F _weir weir\n");
}

/* ---- zsh ---- */

/* Inside of '...' in an _arguments specification. */
static void zsh_text(const char *text)
{
	for (; *text; text++) {
		if (*text == '\'')
			printf("'\\''");
		else if (strchr("[]:\\", *text))
			printf("\\%c", *text);
		else
			putchar(*text);
	}
}

static void zsh_action(const char *what)
{
	if (!strcmp(what, "IFACE"))
		printf("_weir_interfaces");
	else if (!strcmp(what, "PEER"))
		printf("_weir_peers");
	else if (!strcmp(what, "FILE") || !strcmp(what, "DIR"))
		printf("_files");
}

static void zsh_option(const struct option_entry *o)
{
	printf(" \\\n\t\t\t'%s--%s%s[", o->kind == OPTION_LIST ? "*" : "", o->name, o->value ? "=" : "");
	zsh_text(o->text);
	printf("]");
	if (o->value) {
		printf(":%s:", o->value);
		if (values_of(o))
			printf("(%s)", values_of(o));
		else
			zsh_action(o->value);
	}
	printf("'");
}

static void zsh_place(const struct command *c, unsigned n)
{
	struct place p;

	if (!read_place(c->words, n, &p))
		return;
	printf(" \\\n\t\t\t'%u:word:{ ", n + 1);
	if (*p.fixed)
		printf("compadd %s; ", p.fixed);
	if (p.interfaces)
		printf("_weir_interfaces; ");
	if (p.peers)
		printf("_weir_peers; ");
	if (p.files)
		printf("_files -g \"*.%s(-.)\"; ", p.files);
	printf("true }'");
}

static void print_zsh(void)
{
	printf("#compdef weir\n"
	       "# zsh completion of weir, made by `weir completion zsh`.\n"
	       "_weir_interfaces() { compadd -- ${(f)\"$(weir completion words interfaces $run "
	       "2>/dev/null)\"} }\n"
	       "_weir_peers() { compadd -- ${(f)\"$(weir completion words peers $run 2>/dev/null)\"} }\n"
	       "_weir() {\n"
	       "\tlocal -a run commands\n"
	       "\tlocal i command\n"
	       "\tfor ((i = 2; i < $#words; i++)); do\n"
	       "\t\tcase $words[i] in\n"
	       "\t\t--run-dir|--interface|-i) run+=($words[i] $words[i+1]);;\n"
	       "\t\t--run-dir=*|--interface=*) run+=($words[i]);;\n"
	       "\t\tesac\n"
	       "\tdone\n"
	       "\tcommands=(\n");
	for (const struct command *c = commands; c->name; c++) {
		printf("\t\t'%s:", c->name);
		zsh_text(c->help);
		printf("'\n");
	}
	printf("\t\t'help:the usage of one command'\n"
	       "\t)\n"
	       "\tif ((CURRENT == 2)); then\n"
	       "\t\t_describe -t commands command commands\n"
	       "\t\t_weir_interfaces\n"
	       "\t\t_files -g '*.conf(-.)'\n"
	       "\t\treturn\n"
	       "\tfi\n"
	       "\tcommand=$words[2]\n"
	       "\tshift words\n"
	       "\t((CURRENT--))\n"
	       "\tcase $command in\n");
	for (const struct command *c = commands; c->name; c++) {
		printf("\t%s)\n\t\t_arguments -s", c->name);
		for (size_t i = 0; i < option_table_size; i++)
			if (option_allowed(&option_table[i], c->options))
				zsh_option(&option_table[i]);
		for (unsigned n = 0; n < 4; n++)
			zsh_place(c, n);
		printf("\n\t\t;;\n");
	}
	printf("\thelp) _describe -t commands command commands;;\n"
	       "\tesac\n"
	       "}\n"
	       "if [ \"$funcstack[1]\" = _weir ]; then _weir \"$@\"; else compdef _weir weir; fi\n");
}

int completion_main(const struct options *o, int count, char **argument, struct error *e)
{
	const char *shell = argument[0], *what = count > 1 ? argument[1] : "";

	if (!strcmp(shell, "words") && !strcmp(what, "interfaces"))
		print_interfaces(o);
	else if (!strcmp(shell, "words") && !strcmp(what, "peers"))
		print_peers(o);
	else if (count == 1 && !strcmp(shell, "bash"))
		print_bash();
	else if (count == 1 && !strcmp(shell, "zsh"))
		print_zsh();
	else
		return command_failed((error_exit(e, EXIT_USAGE, EINVAL, "completion: give bash or zsh"), e));
	return EXIT_OK;
}
