/*
 * What a reload tells the engine: only the difference, and never more. The engine here is a recorder that
 * keeps peers and who owns a prefix, so that the end state is checked as well as the calls.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/strbuf.h"
#include "base/xalloc.h"
#include "config/conf.h"
#include "crypto/primitives.h"
#include "engine/engine.h"
#include "engine/network.h"
#include "tests/unit/test.h"

#define PRIVATE	  "oK56DE9Ue9zK76rAc8pBl6opph+1v36lm7cXXsQKrQM="
#define PRIVATE_2 "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk="
#define KEY_A	  "GtL7fZc/bLnqZldpVofMCD6hDjrK28SsdLxevJ+qtKU="
#define KEY_B	  "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg="
#define KEY_C	  "TrMvSoP4jYQlY6RIzBgbssQqY3vxI2Pi+y71lOWWXX0="
#define HEAD	  "[Interface]\nPrivateKey = " PRIVATE "\nListenPort = 5\n"
#define PEER(key) "[Peer]\nPublicKey = " key "\n"

/* ---- an engine that only remembers ---- */

#define PEERS_MAX    8
#define PREFIXES_MAX 32

struct engine_peer {
	struct key key;
	char name[32];
	char endpoint[80];
	bool used, psk;
	unsigned keepalive;
};

struct engine {
	struct engine_peer peers[PEERS_MAX];
	struct {
		char text[64];
		struct engine_peer *owner;
	} prefixes[PREFIXES_MAX];
	size_t prefix_count;
	uint16_t port;
	uint32_t mark;
	int refuse_mark, refuse_network;
	struct strbuf calls;
};

static struct engine *recorder;

static char letter(const struct key *k)
{
	char text[KEY_BASE64_LEN + 1];

	key_to_base64(text, k);
	return !strcmp(text, KEY_A) ? 'A' : !strcmp(text, KEY_B) ? 'B' : 'C';
}

#define record(...) strbuf_add(&recorder->calls, __VA_ARGS__)

struct engine_peer *engine_find_peer(struct engine *g, const struct key *k)
{
	for (int i = 0; i < PEERS_MAX; i++)
		if (g->peers[i].used && key_equal(&g->peers[i].key, k))
			return &g->peers[i];
	return NULL;
}

struct engine_peer *engine_add_peer(struct engine *g, const struct key *k)
{
	struct engine_peer *p = engine_find_peer(g, k);

	for (int i = 0; !p && i < PEERS_MAX; i++)
		if (!g->peers[i].used)
			p = &g->peers[i];
	*p = (struct engine_peer){.key = *k, .used = true};
	record("add %c;", letter(k));
	return p;
}

static void free_prefixes(const struct engine_peer *owner)
{
	for (size_t i = recorder->prefix_count; i-- > 0;)
		if (recorder->prefixes[i].owner == owner)
			recorder->prefixes[i] = recorder->prefixes[--recorder->prefix_count];
}

void engine_remove_peer(struct engine_peer *p)
{
	record("remove %c;", letter(&p->key));
	free_prefixes(p);
	p->used = false;
}

struct wg_peer *engine_peer_wg(struct engine_peer *p)
{
	return (struct wg_peer *)p;
}

void engine_peer_set_name(struct engine_peer *p, const char *name)
{
	record("name %c %s;", letter(&p->key), name);
	snprintf(p->name, sizeof(p->name), "%s", name);
}

void engine_peer_set_endpoint(struct engine_peer *p, const union address *a)
{
	char text[ADDRESS_TEXT] = "(none)";

	if (a)
		address_format(text, a);
	record("endpoint %c %s;", letter(&p->key), text);
}

void engine_peer_set_endpoint_host(struct engine_peer *p, const char *host, const char *port)
{
	record("endpoint %c %s %s;", letter(&p->key), host, port);
}

uint16_t engine_listen_port(const struct engine *g)
{
	return g->port;
}

int engine_set_listen_port(struct engine *g, uint16_t port, struct error *e)
{
	record("port %u;", port);
	if (port == 666)
		return error_set(e, EADDRINUSE, "port 666 is taken");
	g->port = port;
	return 0;
}

int engine_set_fwmark(struct engine *g, uint32_t mark, struct error *e)
{
	record("mark %u;", mark);
	if (g->refuse_mark)
		return error_set(e, EPERM, "no mark");
	g->mark = mark;
	return 0;
}

int engine_set_network(struct engine *g, const struct engine_network *n, struct error *e)
{
	record("network %u %u%s;", n->url_count, n->turn_count, n->ice_off ? " off" : "");
	if (g->refuse_network)
		return error_set(e, EIO, "no network");
	return 0;
}

void engine_peer_set_mode(struct engine_peer *p, enum peer_mode mode)
{
	record("mode %c %d;", letter(&p->key), mode);
}

void engine_peer_set_relay(struct engine_peer *p, const char *url)
{
	record("relay %c %s;", letter(&p->key), url ? url : "(none)");
}

int engine_set_private_key(struct engine *g, const struct key *k)
{
	(void)g;
	(void)k;
	record("key;");
	return 0;
}

void wg_peer_set_psk(struct wg_peer *w, const struct key *psk)
{
	struct engine_peer *p = (struct engine_peer *)w;

	record("psk %c %s;", letter(&p->key), psk ? "set" : "none");
}

void wg_peer_set_keepalive(struct wg_peer *w, uint16_t seconds, struct instant now)
{
	struct engine_peer *p = (struct engine_peer *)w;

	(void)now;
	record("keepalive %c %u;", letter(&p->key), seconds);
}

static void prefix_text(char out[64], int family, const void *addr, unsigned len)
{
	char text[INET6_ADDRSTRLEN];

	inet_ntop(family, addr, text, sizeof(text));
	snprintf(out, 64, "%s/%u", text, len);
}

/* The engine tells of it; nothing is asked of the tables. */
void wg_peer_note_stolen(struct wg_peer *w, const struct wg_stolen *stolen)
{
	struct engine_peer *p = (struct engine_peer *)w;
	char text[64];

	prefix_text(text, stolen->family, stolen->addr, stolen->prefix);
	record("lost %c %s to %c;", letter(&p->key), text, letter(&stolen->by));
}

int wg_allow(struct wg_peer *w, int family, const void *addr, unsigned len, struct wg_peer **stolen)
{
	struct engine_peer *p = (struct engine_peer *)w;
	char text[64];
	size_t i = 0;

	(void)stolen;
	prefix_text(text, family, addr, len);
	record("allow %c %s;", letter(&p->key), text);
	while (i < recorder->prefix_count && strcmp(recorder->prefixes[i].text, text))
		i++;
	if (i == recorder->prefix_count)
		recorder->prefix_count++;
	strcpy(recorder->prefixes[i].text, text);
	recorder->prefixes[i].owner = p;
	return 0;
}

int wg_disallow(struct wg_peer *w, int family, const void *addr, unsigned len)
{
	struct engine_peer *p = (struct engine_peer *)w;
	char text[64];

	prefix_text(text, family, addr, len);
	record("disallow %c %s;", letter(&p->key), text);
	for (size_t i = 0; i < recorder->prefix_count; i++) {
		if (recorder->prefixes[i].owner != p || strcmp(recorder->prefixes[i].text, text))
			continue;
		recorder->prefixes[i] = recorder->prefixes[--recorder->prefix_count];
		return 0;
	}
	return -ENOENT;
}

void wg_peer_look(struct wg_peer *w, struct wg_peer_view *out, uint64_t now)
{
	(void)now;
	memset(out, 0, sizeof(*out));
	out->keypairs[WG_CURRENT].used = letter(&((struct engine_peer *)w)->key) != 'C'; /* C never came up */
}

/* ---- */

static struct conf *parse(const char *text)
{
	struct conf_messages m = {0};
	struct conf *c = conf_parse(text, strlen(text), NULL, "wg0", &m);

	assert_non_null(c);
	conf_messages_clear(&m);
	return c;
}

static int setup(void **state)
{
	(void)state;
	recorder = xcalloc(1, sizeof(*recorder));
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	strbuf_clear(&recorder->calls);
	free(recorder);
	return 0;
}

/* Loads before, forgets the calls, goes to after: the calls must be these. */
static struct conf_changes expect(const char *before, const char *after, const char *calls)
{
	struct conf *old = parse(before), *new = parse(after);
	struct conf_changes changes;
	struct error e = {0};

	assert_int_equal(conf_apply(recorder, NULL, old, &changes, &e), 0);
	strbuf_clear(&recorder->calls);
	assert_int_equal(conf_apply(recorder, old, new, &changes, &e), 0);
	assert_string_equal(recorder->calls.text ? recorder->calls.text : "", calls);
	conf_free(old);
	conf_free(new);
	return changes;
}

static char owner_of(const char *prefix)
{
	for (size_t i = 0; i < recorder->prefix_count; i++)
		if (!strcmp(recorder->prefixes[i].text, prefix))
			return letter(&recorder->prefixes[i].owner->key);
	return '-';
}

static const char base[] =
	HEAD PEER(KEY_A) "AllowedIPs = 10.0.0.1/32, 10.1.0.0/16\nEndpoint = 192.0.2.1:1\nName = a\n" PEER(
		KEY_B) "AllowedIPs = 10.0.0.2/32\nEndpoint = b.example:2\nPersistentKeepalive = 25\n";

static void first_load(void **state)
{
	struct conf *c = parse(base);
	struct conf_changes changes;
	struct error e = {0};

	(void)state;
	assert_int_equal(conf_apply(recorder, NULL, c, &changes, &e), 0);
	assert_string_equal(
		recorder->calls.text,
		"port 5;key;add A;name A a;endpoint A 192.0.2.1:1;add B;keepalive B 25;"
		"endpoint B b.example 2;allow A 10.0.0.1/32;allow A 10.1.0.0/16;allow B 10.0.0.2/32;");
	assert_int_equal(changes.peers_added, 2);
	assert_true(changes.device_changed);
	conf_free(c);
}

static void same_file_touches_nothing(void **state)
{
	struct conf_changes c = expect(base, base, "");

	(void)state;
	assert_int_equal(c.peers_added + c.peers_removed + c.peers_changed, 0);
	assert_false(c.device_changed);
	assert_int_equal(c.sessions_kept, 2);
}

static void device_changes(void **state)
{
	struct conf_changes c =
		expect(HEAD, "[Interface]\nPrivateKey = " PRIVATE_2 "\nListenPort = 6\nFwMark = 9\n",
		       "port 6;mark 9;key;");

	(void)state;
	assert_true(c.device_changed);
}

static void mark_goes(void **state)
{
	(void)state;
	expect(HEAD "FwMark = 9\n", HEAD, "mark 0;");
}

/* With a default route it is in use still: who set up the host says what becomes of it. */
static void mark_stays_for_policy_routing(void **state)
{
	(void)state;
	expect(HEAD "FwMark = 9\n" PEER(KEY_A) "AllowedIPs = 0.0.0.0/0\n",
	       HEAD PEER(KEY_A) "AllowedIPs = 0.0.0.0/0\n", "");
}

static void peer_comes_and_goes(void **state)
{
	struct conf_changes c =
		expect(base,
		       HEAD PEER(KEY_B) "AllowedIPs = 10.0.0.2/32\nEndpoint = b.example:2\n"
					"PersistentKeepalive = 25\n" PEER(KEY_C) "AllowedIPs = "
										 "10.0.0.3/32\n",
		       "remove A;add C;allow C 10.0.0.3/32;");

	(void)state;
	assert_int_equal(c.peers_added, 1);
	assert_int_equal(c.peers_removed, 1);
	assert_int_equal(c.peers_changed, 0);
	assert_int_equal(c.sessions_kept, 1);
	assert_int_equal(owner_of("10.1.0.0/16"), '-');
}

static void single_changes(void **state)
{
	struct conf_changes c = expect(
		base,
		HEAD PEER(KEY_A) "AllowedIPs = 10.0.0.1/32, 10.2.0.0/16\nEndpoint = 192.0.2.1:2\nName = z\n"
				 "PresharedKey = " PRIVATE_2 "\n" PEER(KEY_B) "AllowedIPs = 10.0.0.2/32\n",
		"name A z;psk A set;endpoint A 192.0.2.1:2;keepalive B 0;endpoint B (none);"
		"disallow A 10.1.0.0/16;allow A 10.2.0.0/16;");

	(void)state;
	assert_int_equal(c.peers_changed, 2);
	assert_int_equal(c.sessions_kept, 2);
}

static void prefix_moves(void **state)
{
	(void)state;
	expect(base,
	       HEAD PEER(KEY_A) "AllowedIPs = 10.0.0.1/32\nEndpoint = 192.0.2.1:1\nName = a\n" PEER(
		       KEY_B) "AllowedIPs = 10.0.0.2/32, 10.1.0.0/16\nEndpoint = "
			      "b.example:2\nPersistentKeepalive = 25\n",
	       "allow B 10.1.0.0/16;");
	assert_int_equal(owner_of("10.1.0.0/16"), 'B');
}

/* The last in the file owns it; when that one gives it up, the other has it again. */
static void stolen_prefix_comes_back(void **state)
{
	(void)state;
	expect(HEAD PEER(KEY_A) "AllowedIPs = 10.0.0.0/8\n" PEER(
		       KEY_B) "AllowedIPs = 10.0.0.9/8, 10.0.0.2/32\n",
	       HEAD PEER(KEY_A) "AllowedIPs = 10.0.0.0/8\n" PEER(KEY_B) "AllowedIPs = 10.0.0.2/32\n",
	       "allow A 10.0.0.0/8;");
	assert_int_equal(owner_of("10.0.0.0/8"), 'A');
}

static void thief_is_removed(void **state)
{
	(void)state;
	expect(HEAD PEER(KEY_A) "AllowedIPs = 10.0.0.0/8\n" PEER(KEY_B) "AllowedIPs = 10.0.0.0/8\n",
	       HEAD PEER(KEY_A) "AllowedIPs = 10.0.0.0/8\n", "remove B;allow A 10.0.0.0/8;");
	assert_int_equal(owner_of("10.0.0.0/8"), 'A');
}

static void order_of_peers_swapped(void **state)
{
	(void)state;
	expect(HEAD PEER(KEY_A) "AllowedIPs = 10.0.0.0/8\n" PEER(KEY_B) "AllowedIPs = 10.0.0.0/8\n",
	       HEAD PEER(KEY_B) "AllowedIPs = 10.0.0.0/8\n" PEER(KEY_A) "AllowedIPs = 10.0.0.0/8\n",
	       "lost B 10.0.0.0/8 to A;allow A 10.0.0.0/8;");
}

/* What was done by hand (wg set) stays, unless the file says something new about it. */
static void by_hand(void **state)
{
	struct conf *old = parse(base);
	struct conf_changes changes;
	struct error e = {0};
	struct conf *new;
	struct key a;

	(void)state;
	key_from_base64(&a, KEY_A);
	conf_apply(recorder, NULL, old, &changes, &e);
	engine_remove_peer(engine_find_peer(recorder, &a));
	strbuf_clear(&recorder->calls);
	conf_apply(recorder, old, old, &changes, &e);
	assert_null(recorder->calls.text);
	new = parse(HEAD PEER(KEY_A) "AllowedIPs = 10.0.0.1/32\n" PEER(
		KEY_B) "AllowedIPs = 10.0.0.2/32\nEndpoint = b.example:2\nPersistentKeepalive = 25\n");
	conf_apply(recorder, old, new, &changes, &e);
	assert_string_equal(recorder->calls.text, "add A;allow A 10.0.0.1/32;");
	conf_free(old);
	conf_free(new);
}

#define RELAYED                                                                                              \
	HEAD "[Relay]\nUrl = rels://r.example\nSecret = s\n[Ice]\nTurn = t:1\nTurnUser = u\nTurnPassword = " \
	     "p\n"
#define MODES PEER(KEY_A) "AllowedIPs = 10.0.0.1/32\nMode = relay-only\nRelay = rel://a\n"

static void relays_come_first(void **state)
{
	struct conf *c = parse(RELAYED MODES PEER(KEY_B) "Mode = auto\n");
	struct conf_changes changes;
	struct error e = {0};

	(void)state;
	assert_int_equal(conf_apply(recorder, NULL, c, &changes, &e), 0);
	assert_string_equal(recorder->calls.text,
			    "network 1 1;port 5;key;add A;relay A rel://a;mode A 2;add B;"
			    "allow A 10.0.0.1/32;");
	conf_free(c);
}

static void same_network_is_not_touched(void **state)
{
	(void)state;
	assert_false(expect(RELAYED MODES, RELAYED MODES, "").device_changed);
	/* Blanks, order and line numbers mean nothing. */
	expect(RELAYED MODES,
	       HEAD "\n[Ice]\nTurn=t:1\nTurnPassword=p\nTurnUser=u\nUpnp=no\n[Relay]\nSecret=s\nUrl=rels://"
		    "r.example\n" MODES,
	       "");
}

static void network_changes(void **state)
{
	struct conf_changes c = expect(RELAYED MODES, HEAD "[Ice]\nEnable = no\n" MODES, "network 0 0 off;");

	(void)state;
	assert_true(c.device_changed);
	assert_int_equal(c.peers_changed, 0);
	expect(RELAYED, RELAYED "TurnTransport = tcp\n", "network 1 1;");
	expect(RELAYED, HEAD, "network 0 0;");
}

static void modes_change(void **state)
{
	struct conf_changes c = expect(
		HEAD MODES PEER(KEY_B) "Relay = rel://b\n",
		HEAD PEER(KEY_A) "AllowedIPs = 10.0.0.1/32\nMode = plain\n" PEER(KEY_B) "Relay = rel://c\n",
		"relay A (none);mode A 1;relay B rel://c;");

	(void)state;
	assert_int_equal(c.peers_changed, 2);
	assert_int_equal(c.sessions_kept, 2);
}

/* In relay-only an endpoint is not even known, so that no packet can go there. */
static void relay_only_has_no_endpoint(void **state)
{
	static const char with[] = HEAD PEER(KEY_A) "Endpoint = 192.0.2.1:1\n",
			  only[] = HEAD PEER(KEY_A) "Endpoint = 192.0.2.1:1\nMode = relay-only\n",
			  other[] = HEAD PEER(KEY_A) "Endpoint = 192.0.2.1:2\nMode = relay-only\n";
	struct conf *c = parse(only);

	(void)state;
	conf_apply(recorder, NULL, c, NULL, NULL);
	assert_string_equal(recorder->calls.text, "port 5;key;add A;mode A 2;");
	conf_free(c);
	expect(with, only, "mode A 2;endpoint A (none);");
	expect(only, other, "");
	expect(other, with, "mode A 0;endpoint A 192.0.2.1:1;");
}

/* A refused network leaves the device alone; a refused device gives the old network back. */
static void network_is_not_half_applied(void **state)
{
	struct conf *old = parse(RELAYED), *new = parse(HEAD "ListenPort = 666\n"),
		    *fine = parse(HEAD "ListenPort = 7\n");
	struct conf_changes changes;
	struct error e = {0};

	(void)state;
	conf_apply(recorder, NULL, old, &changes, &e);
	strbuf_clear(&recorder->calls);
	assert_int_equal(conf_apply(recorder, old, new, &changes, &e), -EADDRINUSE);
	assert_string_equal(recorder->calls.text, "network 0 0;port 666;network 1 1;");
	assert_non_null(strstr(e.text, "666"));
	strbuf_clear(&recorder->calls);
	recorder->refuse_network = 1;
	assert_int_equal(conf_apply(recorder, old, fine, &changes, &e), -EIO);
	assert_string_equal(recorder->calls.text, "network 0 0;network 1 1;");
	assert_false(changes.device_changed);
	conf_free(old);
	conf_free(new);
	conf_free(fine);
}

static void nothing_half_applied(void **state)
{
	struct conf *old = parse(base);
	struct conf *taken = parse("[Interface]\nPrivateKey = " PRIVATE_2 "\nListenPort = 666\n");
	struct conf *unmarked =
		parse("[Interface]\nPrivateKey = " PRIVATE_2 "\nListenPort = 7\nFwMark = 9\n");
	struct conf_changes changes;
	struct error e = {0};

	(void)state;
	conf_apply(recorder, NULL, old, &changes, &e);
	strbuf_clear(&recorder->calls);
	assert_int_equal(conf_apply(recorder, old, taken, &changes, &e), -EADDRINUSE);
	assert_string_equal(recorder->calls.text, "port 666;");
	strbuf_clear(&recorder->calls);
	recorder->refuse_mark = 1;
	assert_int_equal(conf_apply(recorder, old, unmarked, &changes, &e), -EPERM);
	assert_string_equal(recorder->calls.text, "port 7;mark 9;port 5;");
	assert_int_equal(recorder->port, 5);
	conf_free(old);
	conf_free(taken);
	conf_free(unmarked);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(first_load, setup, teardown),
		cmocka_unit_test_setup_teardown(same_file_touches_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(device_changes, setup, teardown),
		cmocka_unit_test_setup_teardown(mark_goes, setup, teardown),
		cmocka_unit_test_setup_teardown(mark_stays_for_policy_routing, setup, teardown),
		cmocka_unit_test_setup_teardown(peer_comes_and_goes, setup, teardown),
		cmocka_unit_test_setup_teardown(single_changes, setup, teardown),
		cmocka_unit_test_setup_teardown(prefix_moves, setup, teardown),
		cmocka_unit_test_setup_teardown(stolen_prefix_comes_back, setup, teardown),
		cmocka_unit_test_setup_teardown(thief_is_removed, setup, teardown),
		cmocka_unit_test_setup_teardown(order_of_peers_swapped, setup, teardown),
		cmocka_unit_test_setup_teardown(by_hand, setup, teardown),
		cmocka_unit_test_setup_teardown(relays_come_first, setup, teardown),
		cmocka_unit_test_setup_teardown(same_network_is_not_touched, setup, teardown),
		cmocka_unit_test_setup_teardown(network_changes, setup, teardown),
		cmocka_unit_test_setup_teardown(modes_change, setup, teardown),
		cmocka_unit_test_setup_teardown(relay_only_has_no_endpoint, setup, teardown),
		cmocka_unit_test_setup_teardown(network_is_not_half_applied, setup, teardown),
		cmocka_unit_test_setup_teardown(nothing_half_applied, setup, teardown),
	};

	crypto_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
