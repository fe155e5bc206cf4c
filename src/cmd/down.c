/* weir down: asks the engine to end, and waits until it has: what it had set up is gone when this returns. */
#include "cmd/command.h"
#include "cmd/lock.h"

#define LEAVE_SECONDS 90 /* hooks may take their time */

int down_main(const struct options *o, int count, char **words, struct error *e)
{
	char ifname[IFNAMSIZ];
	struct client *c = command_connect(o, count ? words[0] : NULL, ifname, e);
	json_t *message;
	struct error end;

	if (!c)
		return command_failed(e);
	message = client_call(c, "down", json_pack("{s:b}", "drain", 1), e);
	if (!message) {
		client_close(c);
		return command_failed(e);
	}
	while (message) { /* the connection ends with the engine */
		json_decref(message);
		message = client_next(c, &end);
	}
	client_close(c);
	if (lock_wait(o->run_dir, ifname, LEAVE_SECONDS, e))
		return command_failed(e);
	printf("%s: down\n", ifname);
	return EXIT_OK;
}
