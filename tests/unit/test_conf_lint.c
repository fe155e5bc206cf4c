/* Lint: each case names the lines that are complained about, and what is said. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/strbuf.h"
#include "base/xalloc.h"
#include "config/conf.h"
#include "crypto/primitives.h"
#include "tests/unit/test.h"

#define PRIVATE	  "oK56DE9Ue9zK76rAc8pBl6opph+1v36lm7cXXsQKrQM="
#define KEY_A	  "GtL7fZc/bLnqZldpVofMCD6hDjrK28SsdLxevJ+qtKU="
#define KEY_B	  "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg="
#define KEY_C	  "TrMvSoP4jYQlY6RIzBgbssQqY3vxI2Pi+y71lOWWXX0="
#define HEAD	  "[Interface]\nPrivateKey = " PRIVATE "\nListenPort = 1\n"
#define ROAMING	  "[Interface]\nPrivateKey = " PRIVATE "\n\n"
#define PEER(key) "[Peer]\nPublicKey = " key "\n"
#define MESSAGES  8
/* Ended in the year 2001 and ends in 2286: 01, 32 zeros, the seconds. */
#define TOKEN_OLD "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAMTAwMDAwMDAwMA=="
#define TOKEN_NEW "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAOTk5OTk5OTk5OQ=="
#define RELAY	  "[Relay]\nSecret = s\n"
#define WANTED	  PEER(KEY_A) "AllowedIPs = 10.0.0.2/32\n"

struct lint_case {
	const char *name, *text;
	struct {
		int line;
		const char *part;
	} expected[MESSAGES];
};

static const struct lint_case cases[] = {
	{"nothing to say",
	 HEAD "Address = 10.0.0.1/24, fd00::1/64\nMTU = 1280\nDNS = 10.0.0.53, a.b\n" PEER(
		 KEY_A) "AllowedIPs = 10.0.0.2/32, fd00::2/128\nEndpoint = "
			"192.0.2.1:51820\n" PEER(KEY_B) "AllowedIPs = 10.0.0.3/32\nName = "
							"b\n",
	 {{0, NULL}}},
	{"stolen prefix",
	 HEAD PEER(KEY_A) "AllowedIPs = 10.0.0.0/24\n" PEER(KEY_B) "AllowedIPs = 10.1.0.0/16, 10.0.0.0/24\n",
	 {{9, "10.0.0.0/24 is stolen from the peer of line 4, which lists it on line 6"}}},
	{"stolen although written with host bits",
	 HEAD PEER(KEY_A) "AllowedIPs = 10.0.0.0/24\n" PEER(KEY_B) "AllowedIPs = 10.0.0.9/24\n",
	 {{9, "is stolen from"}, {9, "has bits set behind its prefix: it means 10.0.0.0/24"}}},
	{"three thieves in a row",
	 HEAD PEER(KEY_A) "AllowedIPs = fd00::/8\n" PEER(KEY_B) "AllowedIPs = fd00::/8\n" PEER(
		 KEY_C) "AllowedIPs = fd00::/8\n",
	 {{9, "line 6"}, {12, "line 9"}}},
	{"twice in one peer",
	 HEAD PEER(KEY_A) "AllowedIPs = 10.0.0.0/24\nAllowedIPs = 10.0.0.0/24\n",
	 {{7, "stands on line 6 too, for the same peer"}}},
	{"one inside the other",
	 HEAD PEER(KEY_A) "AllowedIPs = 10.0.0.0/8\n" PEER(KEY_B) "AllowedIPs = 10.2.0.0/16\n",
	 {{9, "10.2.0.0/16 lies inside 10.0.0.0/8 of the peer of line 4"}}},
	{"inside its own, and inside a default route, is no news",
	 HEAD PEER(KEY_A) "AllowedIPs = 10.0.0.0/8, 10.2.0.0/16\n" PEER(
		 KEY_B) "AllowedIPs = 0.0.0.0/0, ::/0\n",
	 {{0, NULL}}},
	{"families do not meet",
	 HEAD PEER(KEY_A) "AllowedIPs = 0a00::/8\n" PEER(KEY_B) "AllowedIPs = 10.0.0.0/8\n",
	 {{0, NULL}}},
	{"endpoint inside the tunnel",
	 HEAD PEER(KEY_A) "AllowedIPs = 10.0.0.0/8\nEndpoint = 10.9.9.9:1\n",
	 {{7, "the endpoint 10.9.9.9 lies inside AllowedIPs 10.0.0.0/8 of line 6"}}},
	{"endpoint inside another peer's wider prefix, past a nearer one",
	 HEAD PEER(KEY_A) "AllowedIPs = 10.0.0.0/8, 10.9.0.0/24\n" PEER(KEY_B) "Endpoint = 10.9.9.9:1\n"
									       "AllowedIPs = fd00::/8\n",
	 {{9, "inside AllowedIPs 10.0.0.0/8 of line 6"}}},
	{"endpoint inside a default route only",
	 HEAD PEER(KEY_A) "AllowedIPs = 0.0.0.0/0\nEndpoint = 10.9.9.9:1\n",
	 {{0, NULL}}},
	{"endpoint inside, but routed by hand",
	 HEAD "Table = off\n" PEER(KEY_A) "AllowedIPs = 10.0.0.0/8\nEndpoint = 10.9.9.9:1\n",
	 {{0, NULL}}},
	{"endpoint inside, but marked",
	 HEAD "FwMark = 1\n" PEER(KEY_A) "AllowedIPs = 10.0.0.0/8\nEndpoint = 10.9.9.9:1\n",
	 {{0, NULL}}},
	{"no allowed IPs", HEAD PEER(KEY_A), {{4, "has no AllowedIPs"}}},
	{"no keepalive behind a NAT",
	 ROAMING PEER(KEY_A) "AllowedIPs = 10.0.0.2/32\nEndpoint = a.b:1\n" PEER(
		 KEY_B) "AllowedIPs = 10.0.0.3/32\nEndpoint = c.d:1\nPersistentKeepalive = "
			"25\n" PEER(KEY_C) "AllowedIPs = 10.0.0.4/32\n",
	 {{4, "without a keepalive this peer cannot reach us"}}},
	{"our own address given away",
	 HEAD "Address = 10.0.0.1/24\n" PEER(KEY_A) "AllowedIPs = 10.0.0.1/32\n",
	 {{7, "names our own Address of line 4"}}},
	{"the same address twice",
	 HEAD "Address = 10.0.0.1/24\nAddress = 10.0.0.1/32\n",
	 {{5, "stands on line 4 too"}}},
	{"metrics for everybody",
	 HEAD "Metrics = 192.0.2.1:9586\n",
	 {{4, "whoever reaches it reads public keys"}}},
	{"metrics for this machine", HEAD "Metrics = [::1]:9586\n", {{0, NULL}}},
	{"metrics at a socket", HEAD "Metrics = unix:m\n", {{0, NULL}}},
	{"no room for the tunnel", HEAD "MTU = 1500\n", {{4, "60 bytes"}}},
	{"as much as fits", HEAD "MTU = 1440\n", {{0, NULL}}},
	{"small MTU and IPv6", HEAD "MTU = 1200\nAddress = fd00::1/64\n", {{4, "MTU 1200 is below 1280"}}},
	{"small MTU without IPv6", HEAD "MTU = 1200\nAddress = 10.0.0.1/24\n", {{0, NULL}}},
	{"search domains only", HEAD "DNS = example.net\n", {{4, "DNS has search domains only"}}},
	{"twins",
	 HEAD PEER(KEY_A) "Name = x\nAllowedIPs = 10.0.0.2/32\nEndpoint = a.b:1\n" PEER(
		 KEY_B) "Name = x\nAllowedIPs = 10.0.0.3/32\nEndpoint = a.b:1\n",
	 {{9, "the peer of line 4 is named \"x\" too"}, {13, "line 8 has the same endpoint"}}},
};

static const struct lint_case network_cases[] = {
	{"relays and ICE as they should be",
	 HEAD RELAY "Url = rels://a.example, rel://10.0.0.7, rel://[fd00::7]:81, rel://box, rel://r.lan\n"
		    "[Ice]\nTurn = t.example:1\nTurnUser = u\nTurnPassword = p\nTurnOnly = yes\n" WANTED
		    "Mode = relay-only\nRelay = rels://b.example\n",
	 {{0, NULL}}},
	{"no TLS across the internet",
	 HEAD RELAY
	 "Url = rel://a.example:80, rel://192.169.0.1\nUrl = rel://172.32.0.1, rel://[2001:db8::1]\n" WANTED
	 "Relay = rel://c.example\n",
	 {{6, "rel://a.example:80 has no TLS"},
	  {6, "rel://192.169.0.1 has no TLS"},
	  {7, "rel://172.32.0.1 has no TLS"},
	  {7, "rel://[2001:db8::1] has no TLS"},
	  {11, "rel://c.example has no TLS"}}},
	{"one relay twice",
	 HEAD RELAY "Url = rels://a.example\nUrl = rels://A.example\n",
	 {{7, "stands on line 6 too"}}},
	{"no relay to log in at", HEAD RELAY, {{4, "[Relay] has no Url"}}},
	{"nothing to log in with",
	 HEAD "[Relay]\nUrl = rels://a.example\n",
	 {{4, "neither a secret nor a token"}}},
	{"a token of old",
	 HEAD "[Relay]\nUrl = rels://a.example\nToken = " TOKEN_OLD "\n",
	 {{6, "this token ended"}}},
	{"a token that lasts", HEAD "[Relay]\nUrl = rels://a.example\nToken = " TOKEN_NEW "\n", {{0, NULL}}},
	{"servers inside the tunnel",
	 HEAD RELAY "Url = rels://10.0.0.2, rels://[fd00::2]:1, rels://10.0.1.2\n"
		    "[Ice]\nTurn = 10.0.0.2:1\nTurnUser = u\nTurnPassword = p\n" WANTED
		    "AllowedIPs = fd00::/64\n",
	 {{6, "the relay 10.0.0.2 lies inside AllowedIPs 10.0.0.2/32 of line 13"},
	  {6, "the relay fd00::2 lies inside"},
	  {8, "the TURN server 10.0.0.2 lies inside"}}},
	{"a relay reaches us behind any NAT",
	 ROAMING RELAY "Url = rels://a.example\n" WANTED "Endpoint = a.b:1\n" PEER(
		 KEY_B) "AllowedIPs = 10.0.0.3/32\nEndpoint = c.d:1\nMode = plain\n",
	 {{11, "without a keepalive this peer cannot reach us"}}},
	{"a pin for nobody",
	 HEAD RELAY "Url = rel://10.0.0.7\nPin = " KEY_A "\n",
	 {{7, "no relay has rels://"}}},
	{"TURN without a login",
	 HEAD "[Ice]\nTurn = a:1\nTurn = b:1\nTurnUser = u\n",
	 {{5, "server a has no user"}, {6, "server b has no password"}}},
	{"only TURN, and none", HEAD "[Ice]\nTurnOnly = yes\n", {{5, "TurnOnly without a Turn"}}},
	{"only TURN, and STUN",
	 HEAD "[Ice]\nTurnOnly = yes\nTurn = a:1\nTurnUser = u\nTurnPassword = p\nStun = s:1\n",
	 {{9, "Stun changes nothing"}}},
	{"ICE off, with servers", HEAD "[Ice]\nStun = s:1\nEnable = no\n", {{6, "ICE is off"}}},
	{"relay-only without a relay", HEAD WANTED "Mode = relay-only\n", {{7, "it cannot be reached"}}},
	{"relay-only with an endpoint",
	 HEAD RELAY "Url = rels://a.example\n" WANTED "Mode = relay-only\nEndpoint = a.b:1\n",
	 {{11, "Endpoint changes nothing"}}},
	{"a relay of a peer alone",
	 HEAD WANTED "Relay = rels://a.example\n",
	 {{7, "there is no [Relay] section"}}},
	{"a relay of a plain peer",
	 HEAD RELAY "Url = rels://a.example\n" WANTED "Relay = rels://a.example\nMode = plain\n",
	 {{10, "a plain peer uses no relay"}}},
};

static struct conf *parse(const char *text, struct conf_messages *m)
{
	return conf_parse(text, strlen(text), NULL, "wg0", m);
}

static void check(const struct lint_case *k)
{
	struct conf_messages m = {0};
	struct conf *c = parse(k->text, &m);
	size_t wanted = 0;

	assert_non_null(c);
	conf_lint(c, &m);
	for (; wanted < MESSAGES && k->expected[wanted].line; wanted++) {
		bool found = false;

		for (size_t i = 0; i < m.count; i++)
			found |= m.items[i].line == k->expected[wanted].line &&
				 strstr(m.items[i].text, k->expected[wanted].part);
		if (!found) {
			conf_messages_print(&m, k->name, stderr);
			fail_msg("%s: line %d: \"%s\" was not said", k->name, k->expected[wanted].line,
				 k->expected[wanted].part);
		}
	}
	if (m.count != wanted || m.errors) {
		conf_messages_print(&m, k->name, stderr);
		fail_msg("%s: %zu complaints, %zu expected", k->name, m.count, wanted);
	}
	conf_messages_clear(&m);
	conf_free(c);
}

static void each_case(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		check(&cases[i]);
	for (size_t i = 0; i < sizeof(network_cases) / sizeof(*network_cases); i++)
		check(&network_cases[i]);
}

static void own_key_as_peer(void **state)
{
	struct conf_messages m = {0};
	char public[KEY_BASE64_LEN + 1], *text;
	struct key own, k;
	struct conf *c;

	(void)state;
	assert_true(key_from_base64(&k, PRIVATE));
	dh_public(&own, &k);
	key_to_base64(public, &own);
	text = xasprintf(HEAD "[Peer]\nPublicKey = %s\nAllowedIPs = 10.0.0.2/32\n", public);
	c = parse(text, &m);
	conf_lint(c, &m);
	assert_int_equal(m.count, 1);
	assert_int_equal(m.items[0].line, 4);
	assert_non_null(strstr(m.items[0].text, "that of this interface"));
	conf_messages_clear(&m);
	conf_free(c);
	free(text);
}

/* ---- the sorted search against a slow one, with random prefixes ---- */

struct plain {
	uint32_t addr;
	unsigned len;
};

static bool inside(const struct plain *outer, uint32_t addr)
{
	return !outer->len || !((outer->addr ^ addr) >> (32 - outer->len));
}

static void loops_against_slow_search(void **state)
{
	(void)state;
	srand(7);
	for (int round = 0; round < 300; round++) {
		struct conf_messages m = {0};
		struct strbuf text = {0};
		struct plain p[12];
		uint32_t to = (uint32_t)rand() & 0xf0f00000;
		const struct plain *best = NULL;
		struct conf *c;
		bool said = false;

		strbuf_add(&text, HEAD PEER(KEY_A) "Endpoint = %u.%u.1.1:1\n", to >> 24, to >> 16 & 255);
		to |= 0x0101;
		for (size_t i = 0; i < sizeof(p) / sizeof(*p); i++) {
			p[i].len = (unsigned)rand() % 17;
			p[i].addr = (uint32_t)rand() & 0xf0f00000 & (p[i].len ? ~0u << (32 - p[i].len) : 0);
			strbuf_add(&text, "AllowedIPs = %u.%u.0.0/%u\n", p[i].addr >> 24,
				   p[i].addr >> 16 & 255, p[i].len);
			if (inside(&p[i], to) && (!best || p[i].len > best->len))
				best = &p[i];
		}
		c = parse(text.text, &m);
		assert_non_null(c);
		conf_lint(c, &m);
		for (size_t i = 0; i < m.count; i++)
			said |= strstr(m.items[i].text, "would loop") != NULL;
		assert_int_equal(said, best && best->len);
		conf_messages_clear(&m);
		conf_free(c);
		strbuf_clear(&text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_case),
		cmocka_unit_test(own_key_as_peer),
		cmocka_unit_test(loops_against_slow_search),
	};

	crypto_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
