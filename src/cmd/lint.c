/* weir lint: all complaints about a configuration file; warnings alone do not fail. */
#include <stdlib.h>

#include "cmd/command.h"
#include "config/conf.h"

int lint_main(const struct options *o, int count, char **words, struct error *e)
{
	struct conf_messages messages = {0};
	char ifname[IFNAMSIZ], *path;
	struct conf *conf;

	(void)o, (void)count;
	if (conf_locate(words[0], &path, ifname, e))
		return command_failed(e);
	conf = conf_read(path, ifname, &messages);
	if (conf)
		conf_lint(conf, &messages);
	conf_messages_print(&messages, path, stdout);
	if (!messages.count)
		printf("%s: nothing to complain about\n", path);
	conf_messages_clear(&messages);
	conf_free(conf);
	free(path);
	return conf ? EXIT_OK : EXIT_CONFIG;
}
