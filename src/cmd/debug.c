/* weir debug fsm: the peer controller's table, as it is compiled in. */
#include <errno.h>
#include <string.h>

#include "cmd/command.h"
#include "peer/peer.h"

int debug_main(const struct options *o, int count, char **words, struct error *e)
{
	struct strbuf text = {0};

	(void)o;
	(void)count;
	if (strcmp(words[0], "fsm"))
		return command_failed((error_exit(e, EXIT_USAGE, EINVAL,
						  "weir debug %s: the only word is \"fsm\"", words[0]),
				       e));
	peer_table_print(&text);
	fputs(text.text ? text.text : "", stdout);
	strbuf_clear(&text);
	return EXIT_OK;
}
