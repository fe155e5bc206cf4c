/* weir metrics: prints what the engine counts, or serves it over HTTP. */
#include <errno.h>
#include <stdio.h>

#include "cmd/command.h"
#include "cmd/exporter.h"
#include "cmd/openmetrics.h"
#include "cmd/sandbox.h"

/* What speaks HTTP may look at the engine, and do nothing to it, whoever started it. */
static int give_up_rights(const struct options *o, struct client *c, struct error *e)
{
	json_t *done = client_call(c, "unsubscribe", json_pack("{s:b}", "readonly", 1), e);

	if (!done)
		return -EIO;
	json_decref(done);
	return o->no_sandbox ? 0 : sandbox_relay(NULL, e);
}

static int serve_http(const struct options *o, struct client *c, struct error *e)
{
	int fd = exporter_listen(o->listen, e);

	if (fd < 0 || give_up_rights(o, c, e)) {
		client_close(c);
		return command_failed(e);
	}
	return exporter_run(c, fd, e);
}

int metrics_main(const struct options *o, int count, char **words, struct error *e)
{
	struct client *c = command_connect(o, count ? words[0] : NULL, NULL, e);
	struct strbuf page = {0};
	int code = EXIT_OK;

	if (!c)
		return command_failed(e);
	if (o->listen)
		return serve_http(o, c, e);
	if (openmetrics_render(c, &page, e))
		code = command_failed(e);
	else
		fwrite(page.text, 1, page.len, stdout);
	strbuf_clear(&page);
	client_close(c);
	return code;
}
