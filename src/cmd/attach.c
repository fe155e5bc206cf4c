/* weir attach: one more dashboard on an engine that runs. */
#include <fcntl.h>

#include "cmd/command.h"
#include "cmd/view.h"

int attach_main(const struct options *o, int count, char **words, struct error *e)
{
	struct client *c;
	int fd;

	if (view_possible(e))
		return command_failed(e);
	c = command_connect(o, count ? words[0] : NULL, NULL, e);
	if (!c)
		return command_failed(e);
	fd = fcntl(client_fd(c), F_DUPFD_CLOEXEC, 3);
	client_close(c);
	return view_run(o, fd, e);
}
