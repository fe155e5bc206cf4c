/* TLS and proxies between the relay client and its server: who is trusted, who is not, and in which words. */
#include "relay_client.h"

#define DAY 86400L

static struct client *trusting(const char *ca_file, const char *pin, const char *proxy)
{
	struct relay_pool_options o = {.has_secret = true, .ca_file = ca_file, .pin = pin, .proxy = proxy};

	relay_secret_set(&o.secret, "secret", 6);
	return client_with(&o, "a");
}

static void assert_error(struct client *c, uint32_t server, const char *words)
{
	until_true(look(c, server).state == RELAY_WAITING, c);
	if (!strstr(look(c, server).error, words))
		fail_msg("\"%s\" is not in \"%s\"", words, look(c, server).error);
}

static void expect_error(struct script *s, const char *ca_file, const char *pin, const char *words)
{
	struct client *c = trusting(ca_file, pin, NULL);
	uint32_t server = add(c, s);

	relay_pool_hold(c->pool, server);
	assert_error(c, server, words);
	assert_int_equal(script_count(s, &s->logins), 0);
	client_free(c);
}

static void ca_file_is_trusted(void **state)
{
	struct script_certificate cert = {.address = "127.0.0.1", .from = -DAY, .until = DAY};
	struct script *s = script_new_tls(&cert);
	struct client *c = trusting(cert.file, NULL, NULL);
	uint32_t server = go_up(c, s);

	(void)state;
	assert_true(look(c, server).tls);
	assert_string_equal(look(c, server).peer_certificate, cert.pin);
	assert_int_equal(relay_pool_send(c->pool, server, &c->id, "to myself", 9, 0), 0);
	until_true(atomic_load(&c->received) == 1, c);
	assert_string_equal(c->newest, "to myself");
	relay_pool_check(c->pool, server, 5 * NS_PER_SEC);
	until_true(c->checked_alive == 1, c);
	client_free(c);
	script_free(s);
}

static void pin_is_trusted_whatever_the_name(void **state)
{
	struct script_certificate cert = {.name = "elsewhere.example.org", .from = -2 * DAY, .until = -DAY};
	struct script *s = script_new_tls(&cert);
	struct client *c = trusting(NULL, cert.pin, NULL);

	(void)state;
	go_up(c, s);
	client_free(c);
	script_free(s);
}

static void strangers_are_not_trusted(void **state)
{
	struct script_certificate cert = {.address = "127.0.0.1", .from = -DAY, .until = DAY},
				  other = {.address = "127.0.0.1", .from = -DAY, .until = DAY};
	struct script *s = script_new_tls(&cert), *another = script_new_tls(&other);

	(void)state;
	expect_error(s, NULL, NULL, "certificate is self-signed: trust it with CaFile, or its key with Pin");
	expect_error(s, other.file, NULL, "self-signed");
	expect_error(s, NULL, other.pin, "which is not the Pin");
	expect_error(s, cert.file, other.pin, cert.pin);
	script_free(s);
	script_free(another);
}

static void another_name_is_named(void **state)
{
	struct script_certificate cert = {.name = "relay.example.org", .from = -DAY, .until = DAY};
	struct script *s = script_new_tls(&cert);

	(void)state;
	expect_error(s, cert.file, NULL, "certificate is for relay.example.org, not for 127.0.0.1");
	script_free(s);
}

static void time_is_named(void **state)
{
	struct script_certificate old = {.address = "127.0.0.1", .from = -9 * DAY, .until = -3 * DAY - 60},
				  early = {.address = "127.0.0.1", .from = 2 * DAY + 60, .until = 9 * DAY};
	struct script *expired = script_new_tls(&old), *future = script_new_tls(&early);

	(void)state;
	expect_error(expired, old.file, NULL, "certificate expired 3 days ago");
	expect_error(future, early.file, NULL, "certificate is not valid for 2 days yet");
	script_free(expired);
	script_free(future);
}

/* A server under this name, and not the one that its script gives it. */
static uint32_t hold(struct client *c, char url[RELAY_URL_MAX], const char *name, const struct script *s)
{
	uint32_t server;

	snprintf(url, RELAY_URL_MAX, "%s:%u", name, s->port);
	server = relay_pool_server(c->pool, url);
	relay_pool_hold(c->pool, server);
	return server;
}

static void a_tls_server_is_no_plain_one(void **state)
{
	struct script_certificate cert = {.address = "127.0.0.1", .from = -DAY, .until = DAY};
	struct script *tls = script_new_tls(&cert);
	struct client *c = trusting(cert.file, NULL, NULL);
	char url[RELAY_URL_MAX];
	uint32_t server;

	(void)state;
	server = hold(c, url, "rel://127.0.0.1", tls);
	assert_error(c, server, "before it was ready");
	client_free(c);
	script_free(tls);
}

static void a_plain_server_is_no_tls_one(void **state)
{
	struct script *plain = script_new();
	struct client *c = trusting(NULL, NULL, NULL);
	char url[RELAY_URL_MAX];
	uint32_t server;

	(void)state;
	script_set(plain, hang_up, true);
	server = hold(c, url, "rels://127.0.0.1", plain);
	assert_error(c, server, "before TLS began");
	client_free(c);
	script_free(plain);
}

static void server_name_is_the_url_host(void **state)
{
	struct script_certificate cert = {.name = "localhost", .from = -DAY, .until = DAY};
	struct script *s = script_new_tls(&cert);
	struct client *c = trusting(cert.file, NULL, NULL);
	char url[RELAY_URL_MAX];
	uint32_t server;

	(void)state;
	server = hold(c, url, "rels://localhost", s);
	until_true(is_up(c, server), c);
	pthread_mutex_lock(&s->lock);
	assert_string_equal(s->server_name, "localhost");
	assert_non_null(strstr(s->request, url + strlen("rels://")));
	pthread_mutex_unlock(&s->lock);
	client_free(c);
	script_free(s);
}

static void new_trust_is_used_from_then_on(void **state)
{
	struct script_certificate cert = {.address = "127.0.0.1", .from = -DAY, .until = DAY};
	struct script *s = script_new_tls(&cert);
	struct relay_pool_options o = {.has_secret = true, .ca_file = cert.file};
	struct client *c = trusting(NULL, NULL, NULL);
	uint32_t server = add(c, s);

	(void)state;
	relay_pool_hold(c->pool, server);
	assert_error(c, server, "self-signed");
	relay_secret_set(&o.secret, "secret", 6);
	relay_pool_set_options(c->pool, &o);
	until_true(is_up(c, server), c);
	/* A file that is not there changes nothing. */
	o.ca_file = "/nonexistent/ca.pem";
	relay_pool_set_options(c->pool, &o);
	relay_pool_reopen(c->pool, server, 1, "test");
	until_true(look(c, server).generation == 2 && is_up(c, server), c);
	client_free(c);
	script_free(s);
}

static void no_pool_without_its_ca_file(void **state)
{
	const struct relay_pool_options o = {.ca_file = "/nonexistent/ca.pem"};
	const struct relay_pool_ops ops = {on_server, on_presence, on_receive, on_checked, NULL, NULL};
	struct loop *loop = loop_new();
	struct error e;

	(void)state;
	assert_null(relay_pool_new(loop, &o, &ops, &e));
	assert_non_null(strstr(e.text, "/nonexistent/ca.pem"));
	loop_free(loop);
}

/* ---- proxies ---- */

static void proxy_url(const struct script *s, const char *user, char out[128])
{
	snprintf(out, 128, "http://%s127.0.0.1:%u", user, s->port);
}

static void goes_through_a_proxy(void **state)
{
	struct script *proxy = script_new();
	struct client *c;
	char url[128];
	uint32_t server;

	(void)state;
	proxy_url(proxy, "me:secret@", url);
	script_set(proxy, proxy_status, 200);
	c = trusting(NULL, NULL, url);
	/* A name that only the proxy needs to know. */
	server = relay_pool_server(c->pool, "rel://relay.invalid:8080");
	relay_pool_hold(c->pool, server);
	until_true(is_up(c, server), c);
	pthread_mutex_lock(&proxy->lock);
	assert_non_null(strstr(proxy->connect, "CONNECT relay.invalid:8080 HTTP/1.1\r\n"));
	assert_non_null(strstr(proxy->connect, "Proxy-Authorization: Basic bWU6c2VjcmV0\r\n"));
	assert_non_null(strstr(proxy->request, "Host: relay.invalid:8080\r\n"));
	pthread_mutex_unlock(&proxy->lock);
	client_free(c);
	script_free(proxy);
}

static void tls_goes_through_a_proxy(void **state)
{
	struct script_certificate cert = {.name = "relay.invalid", .from = -DAY, .until = DAY};
	struct script *proxy = script_new_tls(&cert);
	struct client *c;
	char url[128];
	uint32_t server;

	(void)state;
	script_set(proxy, proxy_status, 200);
	proxy_url(proxy, "", url);
	setenv("HTTPS_PROXY", url, 1);
	setenv("NO_PROXY", "example.org, 127.0.0.1", 1);
	c = trusting(cert.file, NULL, NULL);
	server = relay_pool_server(c->pool, "rels://relay.invalid");
	relay_pool_hold(c->pool, server);
	until_true(is_up(c, server), c);
	unsetenv("HTTPS_PROXY");
	unsetenv("NO_PROXY");
	client_free(c);
	script_free(proxy);
}

static void a_proxy_that_refuses_is_called_so(void **state)
{
	struct script *proxy = script_new();
	struct client *c;
	char url[128];
	uint32_t server;

	(void)state;
	proxy_url(proxy, "", url);
	script_set(proxy, proxy_status, 407);
	c = trusting(NULL, NULL, url);
	server = relay_pool_server(c->pool, "rel://relay.invalid");
	relay_pool_hold(c->pool, server);
	assert_error(c, server, "the proxy 127.0.0.1 refused: HTTP 407 (it wants USER:PASSWORD)");
	client_free(c);
	script_free(proxy);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ca_file_is_trusted),
		cmocka_unit_test(pin_is_trusted_whatever_the_name),
		cmocka_unit_test(strangers_are_not_trusted),
		cmocka_unit_test(another_name_is_named),
		cmocka_unit_test(time_is_named),
		cmocka_unit_test(a_tls_server_is_no_plain_one),
		cmocka_unit_test(a_plain_server_is_no_tls_one),
		cmocka_unit_test(server_name_is_the_url_host),
		cmocka_unit_test(new_trust_is_used_from_then_on),
		cmocka_unit_test(no_pool_without_its_ca_file),
		cmocka_unit_test(goes_through_a_proxy),
		cmocka_unit_test(tls_goes_through_a_proxy),
		cmocka_unit_test(a_proxy_that_refuses_is_called_so),
	};

	return cmocka_run_group_tests(tests, forget_proxies, NULL);
}
