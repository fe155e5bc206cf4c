/* weir metrics: prints what the engine counts, or serves it over HTTP. */
#include <stdio.h>

#include "cmd/command.h"
#include "cmd/exporter.h"
#include "cmd/openmetrics.h"
#include "cmd/sandbox.h"

static int serve_http(const struct options *o, struct client *c, struct error *e)
{
	int fd = exporter_listen(o->listen, e);

	if (fd < 0 || (!o->no_sandbox && sandbox_relay(NULL, e))) {
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
