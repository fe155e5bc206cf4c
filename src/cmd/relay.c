/* weir relay: the relay server, in the foreground, with as few rights as it can have. */
#include <unistd.h>

#include "cmd/command.h"
#include "cmd/notify.h"
#include "cmd/sandbox.h"
#include "relay/server.h"

/* Whoever gave up root reads with other rights from now on: better said today than at the next reload. */
static void check_readable(const char *path)
{
	if (path && access(path, R_OK))
		log_warn("relay",
			 "%s was read as root and cannot be read any more: SIGHUP will not see changes of it",
			 path);
}

static int ready(void *arg, struct error *e)
{
	const struct options *o = arg;
	int r = o->no_sandbox ? 0 : sandbox_relay(o->user, e);

	if (r)
		return r;
	check_readable(o->secret_file);
	check_readable(o->allow_file);
	check_readable(o->cert_file);
	check_readable(o->key_file);
	notify_ready();
	return 0;
}

int relay_main(const struct options *o, int count, char **words, struct error *e)
{
	const struct relay_server_options server = {
		.listen = o->listen,
		.url = o->url,
		.secret_file = o->secret_file,
		.cert_file = o->cert_file,
		.key_file = o->key_file,
		.allow_file = o->allow_file,
		.stun = o->stun.count ? o->stun.items[o->stun.count - 1] : NULL,
		.stun_other_port = o->stun_other_port,
		.stun_other_address = o->stun_other_address,
		.status = o->status,
		.clients_max = o->max_clients,
		.per_address_max = o->max_per_address,
		.rate = o->rate,
		.queue_bytes = o->queue,
		.trust_proxy = o->trust_proxy,
		.login_seconds = o->login_time,
		.time_divisor = o->time_divisor,
		.ready = ready,
		.arg = (void *)o,
	};
	int r;

	(void)count, (void)words;
	log_to_stderr(true, notify_journal());
	r = relay_server_run(&server, e);
	notify_stopping();
	return r ? command_failed(e) : EXIT_OK;
}
