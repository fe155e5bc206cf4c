/* weir reload: the engine reads its file again; errors are printed as `weir lint` would. */
#include "cmd/command.h"

int reload_main(const struct options *o, int count, char **words, struct error *e)
{
	char ifname[IFNAMSIZ];
	struct client *c = command_connect(o, count ? words[0] : NULL, ifname, e);
	const char *summary;
	json_t *result;

	if (!c)
		return command_failed(e);
	result = client_call(c, "reload", NULL, e);
	client_close(c);
	if (!result)
		return command_failed(e);
	summary = json_string_value(json_object_get(result, "summary"));
	printf("%s: %s\n", ifname, summary ? summary : "reloaded");
	json_decref(result);
	return EXIT_OK;
}
