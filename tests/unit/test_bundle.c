/* Bundles: no secret is left in any form, pseudonyms are consistent, archives come back, others are refused.
 */
#include "test.h"

#include <archive.h>
#include <archive_entry.h>
#include <arpa/inet.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/xalloc.h"
#include "cmd/bundle.h"
#include "cmd/netreport.h"
#include "cmd/replay.h"
#include "crypto/primitives.h"

#define OURS	"xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg="
#define PRIVATE "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk="

static char *hidden(struct hide *h, const char *text)
{
	struct strbuf out = {0};

	hide_text(h, text, strlen(text), &out);
	return out.text ? out.text : strdup("");
}

static void expect_hidden(struct hide *h, const char *text, const char *want)
{
	char *got = hidden(h, text);

	assert_string_equal(got, want);
	free(got);
}

/* ---- secrets ---- */

static void test_secrets_in_all_forms(void **unused)
{
	struct hide *h = hide_new(false);
	struct key key;
	char hex[65], line[200];

	(void)unused;
	hide_public_key(h, OURS);
	hide_secret(h, "swordfish", 9);
	hide_secret(h, PRIVATE, strlen(PRIVATE));
	expect_hidden(h, "a swordfish, c3dvcmRmaXNo, 73776f726466697368 and 73776F726466697368",
		      "a (hidden), (hidden), (hidden) and (hidden)");
	expect_hidden(h, "key " OURS " and " PRIVATE "!", "key " OURS " and (hidden)!");
	hide_secret(h, "sword\"\\fish", 11);
	expect_hidden(h, "a sword\"\\fish, or {\"a\":\"sword\\\"\\\\fish\"}",
		      "a (hidden), or {\"a\":\"(hidden)\"}");
	assert_true(key_from_base64(&key, PRIVATE));
	key_to_hex(hex, &key);
	snprintf(line, sizeof(line), "private_key=%s", hex);
	assert_true(hide_leaks(h, line, strlen(line)));
	expect_hidden(h, line, "private_key=(hidden)");
	/* Nobody told us of this one, but it looks like a key. */
	expect_hidden(h, "psk mK5oR9sTqLxVwZyA1BcDeFgHiJkLmNoPqRsTuVwXyZ0= end", "psk (hidden key) end");
	expect_hidden(h, "c80f3f0c8cdd9c2a5b6c7a8d9e0f1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b", "(hidden key)");
	assert_false(hide_leaks(h, "nothing", 7));
	hide_free(h);
}

static void test_configuration(void **unused)
{
	static const char conf[] =
		"[Interface]\nPrivateKey = " PRIVATE "\n# presharedkey=abc\nPrivateKeyFile = /etc/k\n"
		"[Relay]\nSecret = tiny \r\n#Proxy = http://joe:pa55word@proxy.example.net:3128\n"
		"  TurnPassword=  two words\n[Peer]\nPublicKey = " OURS "\nno equals here";
	struct hide *h = hide_new(false);
	struct strbuf out = {0};
	char *text;

	(void)unused;
	hide_config(h, conf, strlen(conf), &out);
	assert_string_equal(out.text, "[Interface]\nPrivateKey = (hidden)\n# presharedkey= (hidden)\n"
				      "PrivateKeyFile = /etc/k\n[Relay]\nSecret = (hidden)\n"
				      "#Proxy = http://joe:pa55word@proxy.example.net:3128\n  TurnPassword= "
				      "(hidden)\n[Peer]\nPublicKey = " OURS "\nno equals here");
	text = hidden(h, "tiny, two words, " OURS);
	assert_string_equal(text, "(hidden), (hidden), " OURS);
	free(text);
	/* Of a proxy's login the password alone, both as they are, and both as HTTP has them. */
	expect_hidden(h, "pa55word, http://joe:pa55word@proxy, Basic am9lOnBhNTV3b3Jk",
		      "(hidden), http://(hidden)@proxy, Basic (hidden)");
	strbuf_clear(&out);
	hide_free(h);
}

/* ---- pseudonyms ---- */

static unsigned shared_bits(const char *a, const char *b, int family)
{
	uint8_t x[16], y[16];
	unsigned bits = 0, most = family == AF_INET ? 32 : 128;

	assert_int_equal(inet_pton(family, a, x), 1);
	assert_int_equal(inet_pton(family, b, y), 1);
	while (bits < most && !((x[bits / 8] ^ y[bits / 8]) & (0x80 >> bits % 8)))
		bits++;
	return bits;
}

static void test_addresses_keep_prefixes(void **unused)
{
	static const struct {
		const char *a, *b;
		int family;
		unsigned from; /* shared bits below this need not be kept: the first octet of public addresses
				*/
	} pairs[] = {
		{"203.0.113.7", "203.0.113.9", AF_INET, 8},
		{"203.0.113.7", "203.0.112.7", AF_INET, 8},
		{"10.1.2.3", "10.1.2.4", AF_INET, 0},
		{"10.1.2.3", "10.200.2.3", AF_INET, 0},
		{"172.16.5.5", "172.31.5.5", AF_INET, 0},
		{"192.168.1.1", "192.168.1.254", AF_INET, 0},
		{"2001:db8:1::1", "2001:db8:2::1", AF_INET6, 0},
		{"fd00:1::1", "fd00:1::2", AF_INET6, 0},
		{"fe80::1", "fe80::2", AF_INET6, 0},
	};
	struct hide *h = hide_new(true);

	(void)unused;
	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		char *a = hidden(h, pairs[i].a), *b = hidden(h, pairs[i].b);
		unsigned before = shared_bits(pairs[i].a, pairs[i].b, pairs[i].family);

		assert_string_not_equal(a, pairs[i].a);
		assert_true(before >= pairs[i].from);
		assert_int_equal(shared_bits(a, b, pairs[i].family), before);
		free(a);
		free(b);
	}
	hide_free(h);
}

static void test_kinds_of_addresses_stay(void **unused)
{
	static const char *const same[] = {
		"127.0.0.1", "0.0.0.0/0",	"::/0",	      "::1",	  "224.0.0.251",
		"ff02::1",   "255.255.255.255", "10.0.0.0/8", "12:34:56", "1.5 s"};
	static const struct {
		const char *text, *kind;
	} kept[] = {{"10.9.0.0/24", "10."},
		    {"192.168.77.1", "192.168."},
		    {"172.20.1.1", "172."},
		    {"100.64.3.3", "100."},
		    {"169.254.9.9", "169.254."},
		    {"fd12:3456::1/64", "fd"},
		    {"fe80::5054:ff:fe12:3456", "fe80::"}};
	struct hide *h = hide_new(true);

	(void)unused;
	for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++)
		expect_hidden(h, same[i], same[i]);
	for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++) {
		char *text = hidden(h, kept[i].text);

		assert_memory_equal(text, kept[i].kind, strlen(kept[i].kind));
		assert_string_not_equal(text, kept[i].text);
		free(text);
	}
	hide_free(h);
}

/* A network is a network afterwards, and the hosts in it are in it still. */
static void test_networks_hold_their_hosts(void **unused)
{
	struct hide *h = hide_new(true);
	char *network, *inside, *other;

	(void)unused;
	for (unsigned i = 0; i < 50; i++) {
		char a[32], b[32], c[32];

		snprintf(a, sizeof(a), "%u.%u.%u.0/24", 20 + i, i * 5, i * 3);
		snprintf(b, sizeof(b), "%u.%u.%u.77", 20 + i, i * 5, i * 3);
		snprintf(c, sizeof(c), "%u.%u.%u.77", 20 + i, i * 5, i * 3 + 1);
		network = hidden(h, a);
		inside = hidden(h, b);
		other = hidden(h, c);
		assert_string_equal(strchr(network, '/'), "/24");
		assert_memory_equal(strchr(network, '/') - 2, ".0", 2);
		*strchr(network, '/') = '\0';
		assert_true(shared_bits(network, inside, AF_INET) >= 24);
		assert_true(shared_bits(network, other, AF_INET) < 24);
		free(network);
		free(inside);
		free(other);
	}
	hide_free(h);
}

static void test_names_and_keys(void **unused)
{
	static const char json[] =
		"{\"publicKey\":\"" OURS "\",\"name\":\"Ana's laptop\",\"endpointHost\":"
		"\"gw.castle.example.net:51820\",\"url\":\"rels://relay.castle.example.net/relay\"}";
	static const char folder[] = "{\"configuration\":\"/home/ana/vpn/wg0.conf\"}";
	static const char system[] = "{\"configuration\": \"/etc/weir/wg0.conf\"}";
	struct hide *h = hide_new(true);
	char *a, *b, key[45];
	struct key parsed;

	(void)unused;
	hide_learn(h, json, strlen(json));
	hide_learn(h, folder, strlen(folder));
	hide_learn(h, system, strlen(system));
	expect_hidden(h, "/home/ana/vpn/wg0.conf: read; /home/ana/vpnx; /etc/weir/wg0.conf",
		      "/folder-1/wg0.conf: read; /home/ana/vpnx; /etc/weir/wg0.conf");
	hide_peer_name(h, "edge-fra");
	hide_peer_name(h, "relay");
	a = hidden(h, "peer " OURS " said");
	assert_memory_equal(a, "peer ", 5);
	memcpy(key, a + 5, 44);
	key[44] = '\0';
	assert_true(key_from_base64(&parsed, key));
	assert_string_not_equal(key, OURS);
	/* Its start, as lists and logs have it. */
	b = hidden(h, "xTIBA5rb... and xTIBA5rboUvn");
	assert_memory_equal(b, key, 8);
	assert_memory_equal(b + 16, key, 12);
	free(a);
	free(b);
	expect_hidden(h, "Ana's laptop, edge-fra: edge-frankfurt. my-edge-fra",
		      "peer-1, peer-2: edge-frankfurt. my-edge-fra");
	expect_hidden(h, "to gw.castle.example.net:51820.", "to host-1.example:51820.");
	/* A peer may be called by one of our words. */
	expect_hidden(h, "{\"kind\":\"relay\",\"name\":\"relay\"}",
		      "{\"kind\":\"relay\",\"name\":\"peer-3\"}");
	/* A name that nobody told us of is a name still; files are not. */
	a = hidden(h, "stun.other.org in weir.conf");
	assert_null(strstr(a, "other"));
	assert_non_null(strstr(a, "weir.conf"));
	free(a);
	a = hidden(h, "link/ether 52:54:00:12:34:56 brd");
	assert_null(strstr(a, "52:54:00"));
	assert_memory_equal(a, "link/ether 02:", 14);
	free(a);
	hide_free(h);
}

/* ---- archives ---- */

/* One name may be the start of another, and JSON writes some letters as two. */
static void test_names_with_odd_letters(void **unused)
{
	static const char json[] = "{\"name\":\"my office 2\"},{\"name\":\"my office\"},{\"name\":\"my o\"},"
				   "{\"name\":\"the \\\"old\\\" one\"}";
	struct hide *h = hide_new(true);

	(void)unused;
	hide_learn(h, json, strlen(json));
	expect_hidden(h, "to my office 2, my office and my o", "to peer-1, peer-2 and peer-3");
	expect_hidden(h, "my offices", "my offices");
	expect_hidden(h, "\"name\":\"the \\\"old\\\" one\"", "\"name\":\"peer-4\"");
	expect_hidden(h, "Name = the \"old\" one", "Name = peer-4");
	hide_free(h);
}

static const char *const names[] = {"MANIFEST.json", "status.json", "history.jsonl", NULL};

static void clear(struct strbuf files[3])
{
	for (size_t i = 0; i < 3; i++)
		strbuf_clear(&files[i]);
}

static void put_files(struct bundle *b, const char *manifest, const char *status, const char *history)
{
	strbuf_add(bundle_add(b, "MANIFEST.json", ""), "%s", manifest);
	strbuf_add(bundle_add(b, "status.json", ""), "%s", status);
	strbuf_add(bundle_add(b, "more.txt", ""), "%s", "not asked for");
	strbuf_add(bundle_add(b, "history.jsonl", ""), "%s", history);
}

#define MANIFEST                                                                                             \
	"{\"kind\":\"weir-bundle\",\"schema\":1,\"version\":\"1\",\"interface\":\"wg7\",\"at\":1790000000}"
#define LINE "{\"past\":1789999990.5,\"event\":\"snapshot\",\"full\":true,\"at\":1789999990.5,\"peers\":[]}"

static int read_at(const char *path, struct strbuf files[3], struct error *e)
{
	int fd = bundle_open(path, e);

	return fd < 0 ? fd : bundle_read(fd, names, files, e);
}

static void test_archive_comes_back(void **unused)
{
	struct bundle b = {.failed = json_array(), .warnings = json_array(), .hide = hide_new(false)};
	struct strbuf files[3] = {0};
	char folder[] = "/tmp/bundle.XXXXXX", path[64];
	struct replay r;
	struct error e = {0};
	struct stat st;
	FILE *f;

	(void)unused;
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/b.tar.gz", folder);
	put_files(&b, MANIFEST, "{\"interface\":\"wg7\",\"peers\":[]}", LINE);
	assert_int_equal(bundle_write(&b, path, "weir-wg7", &e), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(read_at(path, files, &e), 0);
	assert_string_equal(files[0].text, MANIFEST);
	assert_int_equal(replay_open(&r, &files[0], &files[1], &files[2], &e), 0);
	assert_string_equal(r.interface, "wg7");
	assert_string_equal(r.lines.text, LINE "\n");
	assert_non_null(strstr(r.snapshot, "\"full\":true"));
	replay_close(&r);
	clear(files);

	/* Half of it, and garbage in it. */
	assert_int_equal(truncate(path, st.st_size / 2), 0);
	assert_int_not_equal(read_at(path, files, &e), 0);
	assert_int_equal(e.exit, EXIT_USAGE);
	clear(files);
	f = fopen(path, "w");
	fputs("this is no archive at all, but a text that is long enough to look at", f);
	fclose(f);
	assert_int_not_equal(read_at(path, files, &e), 0);
	clear(files);
	unlink(path);

	/* Nothing is left of one that cannot be written. */
	snprintf(path, sizeof(path), "%s/none/b.tar.gz", folder);
	assert_int_not_equal(bundle_write(&b, path, "weir-wg7", &e), 0);
	assert_int_equal(rmdir(folder), 0);
	bundle_clear(&b);
}

static void expect_foreign(const char *manifest, const char *status, const char *history, const char *word)
{
	struct strbuf files[3] = {0};
	struct error e = {0};
	struct replay r;

	strbuf_add(&files[0], "%s", manifest);
	strbuf_add(&files[1], "%s", status);
	strbuf_add(&files[2], "%s", history);
	assert_int_not_equal(replay_open(&r, &files[0], &files[1], &files[2], &e), 0);
	if (!strstr(e.text, word))
		fail_msg("\"%s\" does not say \"%s\"", e.text, word);
	replay_close(&r);
	clear(files);
}

static void test_foreign_bundles(void **unused)
{
	char *blanks;

	(void)unused;
	expect_foreign("", "{}", LINE, "no MANIFEST.json");
	expect_foreign("[1]", "{}", LINE, "no MANIFEST.json");
	expect_foreign("{\"kind\":\"other\"}", "{}", LINE, "something else");
	expect_foreign("{\"kind\":\"weir-bundle\",\"schema\":9,\"at\":1}", "{}", LINE, "schema 9");
	expect_foreign("{\"kind\":\"weir-bundle\",\"schema\":1}", "{}", LINE, "when it was made");
	expect_foreign(MANIFEST, "nonsense", LINE, "no JSON");
	expect_foreign(MANIFEST, "", "", "no engine ran");
	/* An archive of some kilobytes can hold as much. */
	blanks = xmalloc((64u << 20) + 2);
	memset(blanks, ' ', (64u << 20) + 1);
	blanks[(64u << 20) + 1] = '\0';
	expect_foreign(MANIFEST, blanks, LINE, "its status.json is too large");
	expect_foreign(MANIFEST, "{}", blanks, "too large");
	blanks[(1u << 20) + 1] = '\0';
	expect_foreign(blanks, "{}", LINE, "too large");
	free(blanks);
}

/* So many times the text, between two others. */
static char *many(const char *before, const char *text, size_t times, const char *after)
{
	struct strbuf out = {0};

	strbuf_add(&out, "%s", before);
	while (times--)
		strbuf_append(&out, text, strlen(text));
	strbuf_add(&out, "%s", after);
	return out.text;
}

static void test_foreign_shapes(void **unused)
{
	char *deep = many("{\"a\":", "[", 40, ""), *wide = many("{\"a\":[", "{},", 1100000, "{}]}");
	char *lines = many("", "1\n", 2000001, ""), *far = many(LINE "\n", "[", 33, "\n");
	char *quoted = many("{\"name\":\"\\\"", "[{,", 1000000, "\",\"peers\":[]}");
	struct strbuf files[3] = {0};
	struct error e = {0};
	struct replay r;

	(void)unused;
	expect_foreign(MANIFEST, deep, LINE, "its status.json is nested too deeply");
	expect_foreign(deep, "{}", LINE, "its MANIFEST.json is nested too deeply");
	expect_foreign(MANIFEST, "{}", far, "line 2 of its history.jsonl is nested too deeply");
	expect_foreign(MANIFEST, wide, LINE, "its status.json has too many values");
	expect_foreign(MANIFEST, "{}", wide, "line 1 of its history.jsonl has too many values");
	expect_foreign(MANIFEST, "{}", lines, "line 2000001 of its history.jsonl is one too many");
	/* What stands in quotes is text. */
	strbuf_add(&files[0], "%s", MANIFEST);
	strbuf_add(&files[1], "%s", quoted);
	assert_int_equal(replay_open(&r, &files[0], &files[1], &files[2], &e), 0);
	replay_close(&r);
	clear(files);
	free(deep);
	free(wide);
	free(lines);
	free(far);
	free(quoted);
}

/* Archives that are small and unpack to much: files that nobody reads, and gzip in gzip. */
static struct strbuf packed(const char *name, size_t zeros, unsigned layers)
{
	struct strbuf out = {0};
	void *bytes = NULL;
	size_t len = 0;

	for (unsigned i = 0; i < layers; i++) {
		struct archive *a = archive_write_new();
		struct archive_entry *entry = archive_entry_new();
		size_t room = (8u << 20) + len, used = 0;
		char *to = xmalloc(room);
		static char piece[1 << 16];

		archive_write_add_filter_gzip(a);
		archive_write_set_filter_option(a, "gzip", "compression-level", "1");
		if (i)
			archive_write_set_format_raw(a);
		else
			archive_write_set_format_ustar(a);
		assert_int_equal(archive_write_open_memory(a, to, room, &used), ARCHIVE_OK);
		archive_entry_set_pathname(entry, name);
		archive_entry_set_filetype(entry, AE_IFREG);
		archive_entry_set_size(entry, (int64_t)(i ? len : zeros));
		assert_int_equal(archive_write_header(a, entry), ARCHIVE_OK);
		for (size_t left = i ? 0 : zeros, n; left; left -= n) {
			n = left < sizeof(piece) ? left : sizeof(piece);
			archive_write_data(a, piece, n);
		}
		if (i)
			archive_write_data(a, bytes, len);
		archive_entry_free(entry);
		archive_write_close(a);
		archive_write_free(a);
		free(bytes);
		bytes = to;
		len = used;
	}
	strbuf_append(&out, bytes, len);
	free(bytes);
	return out;
}

static void expect_unread(struct strbuf archive, const char *word)
{
	struct strbuf files[3] = {0};
	struct error e = {0};

	assert_int_not_equal(bundle_read_bytes(archive.text, archive.len, names, files, &e), 0);
	assert_int_equal(e.exit, EXIT_USAGE);
	if (!strstr(e.text, word))
		fail_msg("\"%s\" does not say \"%s\"", e.text, word);
	clear(files);
	strbuf_clear(&archive);
}

static void test_archives_that_swell(void **unused)
{
	struct strbuf files[3] = {0}, plain = packed("x/status.json", 100, 1);
	struct error e = {0};

	(void)unused;
	assert_int_equal(bundle_read_bytes(plain.text, plain.len, names, files, &e), 0);
	assert_int_equal(files[1].len, 100);
	clear(files);
	strbuf_clear(&plain);
	expect_unread(packed("x/other.txt", 513u << 20, 1), "unpacks to more than 512 MiB");
	expect_unread(packed("x/status.json", 100, 2), "no bundle");
}

static void test_times(void **unused)
{
	static const struct {
		const char *text;
		double at;
	} good[] = {{"1790000000", 1790000000},
		    {"14:13:20", 1789999999 + 1},
		    {"14:13", 1789999980},
		    {"23:00", 1789945200},
		    {"2026-09-21T14:13:20Z", 1790000000},
		    {"2026-09-21 14:13", 1789999980}};
	static const char *const bad[] = {"", "noon", "25:00:00", "-5", "12:00 tomorrow", "1e300"};
	struct error e = {0};
	double at;

	(void)unused;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_int_equal(replay_time(good[i].text, 1790000010, &at, &e), 0);
		if (at != good[i].at)
			fail_msg("%s is %.0f, not %.0f", good[i].text, at, good[i].at);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_not_equal(replay_time(bad[i], 1790000010, &at, &e), 0);
}

/* ---- the report of the network, which is in it ---- */

/* Text that is no UTF-8 is shown as bytes: a verdict that JSON cannot hold must not be a good one. */
static void test_report_of_odd_bytes(void **unused)
{
	struct report_options *o = calloc(1, sizeof(*o));
	struct report *r = calloc(1, sizeof(*r));
	json_t *json, *bad;

	(void)unused;
	r->name_count = r->relay_count = 1;
	strcpy(r->names[0].host, "a\377b");
	strcpy(r->names[0].error, "no such \303"); /* half of a letter */
	strcpy(r->relays[0].url, "rel://a\377b");
	strcpy(r->relays[0].error, "TLS: \302");
	json = netreport_json(o, r, NULL);
	assert_string_equal(
		json_string_value(json_object_get(json_array_get(json_object_get(json, "dns"), 0), "host")),
		"a\\xffb");
	assert_int_equal(json_array_size(json_object_get(json, "relays")), 1);
	assert_int_equal(json_array_size(json_object_get(json, "verdicts")), 2);
	bad = json_array_get(json_object_get(json, "verdicts"), 1);
	assert_string_equal(json_string_value(json_object_get(bad, "level")), "bad");
	json_decref(json);
	free(r);
	free(o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_secrets_in_all_forms),
		cmocka_unit_test(test_configuration),
		cmocka_unit_test(test_addresses_keep_prefixes),
		cmocka_unit_test(test_kinds_of_addresses_stay),
		cmocka_unit_test(test_networks_hold_their_hosts),
		cmocka_unit_test(test_names_and_keys),
		cmocka_unit_test(test_names_with_odd_letters),
		cmocka_unit_test(test_archive_comes_back),
		cmocka_unit_test(test_foreign_bundles),
		cmocka_unit_test(test_foreign_shapes),
		cmocka_unit_test(test_archives_that_swell),
		cmocka_unit_test(test_times),
		cmocka_unit_test(test_report_of_odd_bytes),
	};

	crypto_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
