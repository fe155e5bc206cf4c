/* weir strip: a configuration as wg(8) reads it, for wg setconf and wg syncconf. */
#include <stdlib.h>

#include "cmd/command.h"
#include "config/conf.h"

int strip_main(const struct options *o, int count, char **words, struct error *e)
{
	struct conf_messages messages = {0};
	char ifname[IFNAMSIZ], *path;
	struct conf *conf;

	(void)o, (void)count;
	if (conf_locate(words[0], &path, ifname, e))
		return command_failed(e);
	conf = conf_read(path, ifname, &messages);
	conf_messages_print(&messages, path, stderr);
	conf_messages_clear(&messages);
	free(path);
	if (!conf)
		return EXIT_CONFIG;
	conf_strip(conf, stdout);
	conf_free(conf);
	return EXIT_OK;
}
