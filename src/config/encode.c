/*
 * A configuration as bytes, between two processes of one program (the steward and the engine): numbers in the
 * machine's order, strings and arrays behind their length. It carries secrets: buffers that moved are wiped.
 */
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/xalloc.h"
#include "config/conf.h"

#define ENCODE_MAGIC 0x33636677u /* this layout */
#define NO_STRING    UINT32_MAX

/* ---- writing ---- */

struct writer {
	uint8_t *bytes;
	size_t len, room;
};

static void put(struct writer *w, const void *bytes, size_t len)
{
	if (w->room - w->len < len) {
		size_t room = w->room ? w->room : 4096;
		uint8_t *moved;

		while (room - w->len < len)
			room *= 2;
		moved = xmalloc(room);
		if (w->len)
			memcpy(moved, w->bytes, w->len);
		if (w->bytes)
			sodium_memzero(w->bytes, w->len);
		free(w->bytes);
		w->bytes = moved;
		w->room = room;
	}
	if (len)
		memcpy(w->bytes + w->len, bytes, len);
	w->len += len;
}

static void put_number(struct writer *w, uint32_t n)
{
	put(w, &n, sizeof(n));
}

static void put_string(struct writer *w, const char *text)
{
	size_t len = text ? strlen(text) : 0;

	put_number(w, text ? (uint32_t)len : NO_STRING);
	put(w, text, len);
}

static void put_list(struct writer *w, const struct conf_list *list)
{
	put_number(w, (uint32_t)list->count);
	for (size_t i = 0; i < list->count; i++)
		put_string(w, list->items[i]);
}

static void put_prefixes(struct writer *w, const struct conf_prefix *items, size_t count)
{
	put_number(w, (uint32_t)count);
	put(w, items, count * sizeof(*items));
}

static void put_peer(struct writer *w, const struct conf_peer *p)
{
	put(w, &p->public_key, sizeof(p->public_key));
	put(w, &p->psk, sizeof(p->psk));
	put_number(w, p->has_psk);
	put_string(w, p->name);
	put_prefixes(w, p->allowed, p->allowed_count);
	put_string(w, p->host);
	put_string(w, p->port);
	put(w, &p->endpoint, sizeof(p->endpoint));
	put_number(w, p->keepalive);
	put_string(w, p->relay);
	put_number(w, p->mode);
	put_number(w, (uint32_t)p->relay_line);
	put_number(w, (uint32_t)p->mode_line);
	put_number(w, (uint32_t)p->line);
	put_number(w, (uint32_t)p->endpoint_line);
}

static void put_network(struct writer *w, const struct engine_network *n)
{
	put_number(w, n->url_count);
	for (unsigned i = 0; i < n->url_count; i++)
		put_string(w, n->urls[i]);
	put(w, &n->secret, sizeof(n->secret));
	put_number(w, n->has_secret);
	put_number(w, (uint32_t)n->token_len);
	put(w, n->token, n->token_len);
	put_string(w, n->ca_file);
	put_string(w, n->pin);
	put_string(w, n->proxy);
	put_number(w, n->ice_off);
	put_number(w, n->stun_count);
	for (unsigned i = 0; i < n->stun_count; i++)
		put_string(w, n->stun[i]);
	put_number(w, n->turn_count);
	for (unsigned i = 0; i < n->turn_count; i++) {
		put_string(w, n->turn[i].host);
		put_string(w, n->turn[i].port);
		put_string(w, n->turn[i].user);
		put_string(w, n->turn[i].password);
		put_number(w, n->turn[i].tcp);
	}
	put_number(w, n->upnp);
	put_number(w, n->ice_tcp);
	put_number(w, n->no_fast);
	put_number(w, n->turn_only);
}

/* By their bytes, so that no member can be forgotten here. */
bool conf_network_equal(const struct conf *a, const struct conf *b)
{
	static const struct engine_network none;
	struct writer wa = {0}, wb = {0};
	bool equal;

	put_network(&wa, a ? &a->network : &none);
	put_network(&wb, b ? &b->network : &none);
	equal = wa.len == wb.len && !memcmp(wa.bytes, wb.bytes, wa.len);
	sodium_memzero(wa.bytes, wa.len);
	sodium_memzero(wb.bytes, wb.len);
	free(wa.bytes);
	free(wb.bytes);
	return equal;
}

void conf_encode(const struct conf *c, uint8_t **bytes, size_t *len)
{
	struct writer w = {0};

	put_number(&w, ENCODE_MAGIC);
	put_string(&w, c->path);
	put_string(&w, c->ifname);
	put(&w, &c->private_key, sizeof(c->private_key));
	put_number(&w, c->has_private_key);
	put_number(&w, c->listen_port);
	put_number(&w, c->fwmark);
	put_number(&w, c->has_fwmark);
	put_prefixes(&w, c->addresses, c->address_count);
	put_list(&w, &c->dns_servers);
	put_list(&w, &c->dns_search);
	put_number(&w, (uint32_t)c->mtu);
	put_number(&w, (uint32_t)c->mtu_line);
	put_number(&w, (uint32_t)c->dns_line);
	put_number(&w, c->table);
	put_number(&w, c->table_number);
	put_list(&w, &c->pre_up);
	put_list(&w, &c->post_up);
	put_list(&w, &c->pre_down);
	put_list(&w, &c->post_down);
	put_string(&w, c->metrics);
	put_number(&w, (uint32_t)c->metrics_line);
	put_network(&w, &c->network);
	put(&w, &c->lines, sizeof(c->lines));
	put_number(&w, (uint32_t)c->peer_count);
	for (size_t i = 0; i < c->peer_count; i++)
		put_peer(&w, &c->peers[i]);
	*bytes = w.bytes;
	*len = w.len;
}

/* ---- reading ---- */

struct reader {
	const uint8_t *at;
	size_t left;
	bool bad; /* stays; what is read after it is zero */
};

static void get(struct reader *r, void *to, size_t len)
{
	if (r->bad || r->left < len) {
		r->bad = true;
		memset(to, 0, len);
		return;
	}
	memcpy(to, r->at, len);
	r->at += len;
	r->left -= len;
}

static uint32_t get_number(struct reader *r)
{
	uint32_t n;

	get(r, &n, sizeof(n));
	return n;
}

static char *get_string(struct reader *r)
{
	uint32_t len = get_number(r);
	char *text;

	if (r->bad || len == NO_STRING)
		return NULL;
	if (len > r->left || memchr(r->at, '\0', len)) {
		r->bad = true;
		return NULL;
	}
	text = xmalloc(len + 1);
	get(r, text, len);
	text[len] = '\0';
	return text;
}

/* How many items follow, none of which is shorter than `least` bytes: a lie cannot make us allocate. */
static size_t get_count(struct reader *r, size_t least)
{
	uint32_t count = get_number(r);

	if (count > r->left / least)
		r->bad = true;
	return r->bad ? 0 : count;
}

static void get_list(struct reader *r, struct conf_list *list)
{
	size_t count = get_count(r, sizeof(uint32_t));

	list->items = xcalloc(count ? count : 1, sizeof(*list->items));
	while (list->count < count) {
		char *text = get_string(r);

		if (!text) {
			r->bad = true;
			return;
		}
		list->items[list->count++] = text;
	}
}

static void get_prefixes(struct reader *r, struct conf_prefix **items, size_t *count)
{
	*count = get_count(r, sizeof(**items));
	*items = xcalloc(*count ? *count : 1, sizeof(**items));
	get(r, *items, *count * sizeof(**items));
}

static void get_peer(struct reader *r, struct conf_peer *p)
{
	get(r, &p->public_key, sizeof(p->public_key));
	get(r, &p->psk, sizeof(p->psk));
	p->has_psk = get_number(r);
	p->name = get_string(r);
	get_prefixes(r, &p->allowed, &p->allowed_count);
	p->host = get_string(r);
	p->port = get_string(r);
	get(r, &p->endpoint, sizeof(p->endpoint));
	p->keepalive = (uint16_t)get_number(r);
	p->relay = get_string(r);
	p->mode = get_number(r);
	if (p->mode > PEER_RELAY_ONLY)
		r->bad = true;
	p->relay_line = (int)get_number(r);
	p->mode_line = (int)get_number(r);
	p->line = (int)get_number(r);
	p->endpoint_line = (int)get_number(r);
}

/* A string that must be there. */
static char *get_text(struct reader *r)
{
	char *text = get_string(r);

	if (!text)
		r->bad = true;
	return text;
}

static unsigned get_few(struct reader *r, unsigned max)
{
	uint32_t count = get_number(r);

	if (count > max)
		r->bad = true;
	return r->bad ? 0 : count;
}

static void get_network(struct reader *r, struct engine_network *n)
{
	n->url_count = get_few(r, ENGINE_RELAYS_MAX);
	for (unsigned i = 0; i < n->url_count; i++)
		n->urls[i] = get_text(r);
	get(r, &n->secret, sizeof(n->secret));
	n->has_secret = get_number(r);
	n->token_len = get_few(r, sizeof(n->token));
	get(r, n->token, n->token_len);
	n->ca_file = get_string(r);
	n->pin = get_string(r);
	n->proxy = get_string(r);
	n->ice_off = get_number(r);
	n->stun_count = get_few(r, ENGINE_STUN_MAX);
	for (unsigned i = 0; i < n->stun_count; i++)
		n->stun[i] = get_text(r);
	n->turn_count = get_few(r, ICE_TURN_MAX);
	for (unsigned i = 0; i < n->turn_count; i++) {
		n->turn[i].host = get_text(r);
		n->turn[i].port = get_text(r);
		n->turn[i].user = get_string(r);
		n->turn[i].password = get_string(r);
		n->turn[i].tcp = get_number(r);
	}
	n->upnp = get_number(r);
	n->ice_tcp = get_number(r);
	n->no_fast = get_number(r);
	n->turn_only = get_number(r);
}

static void get_interface(struct reader *r, struct conf *c)
{
	char *ifname;

	c->path = get_string(r);
	ifname = get_string(r);
	if (!c->path || !ifname || !conf_name_is_good(ifname))
		r->bad = true;
	else
		strcpy(c->ifname, ifname);
	free(ifname);
	get(r, &c->private_key, sizeof(c->private_key));
	c->has_private_key = get_number(r);
	c->listen_port = (uint16_t)get_number(r);
	c->fwmark = get_number(r);
	c->has_fwmark = get_number(r);
	get_prefixes(r, &c->addresses, &c->address_count);
	get_list(r, &c->dns_servers);
	get_list(r, &c->dns_search);
	c->mtu = (int)get_number(r);
	c->mtu_line = (int)get_number(r);
	c->dns_line = (int)get_number(r);
	c->table = get_number(r);
	c->table_number = get_number(r);
	get_list(r, &c->pre_up);
	get_list(r, &c->post_up);
	get_list(r, &c->pre_down);
	get_list(r, &c->post_down);
	c->metrics = get_string(r);
	c->metrics_line = (int)get_number(r);
	get_network(r, &c->network);
	get(r, &c->lines, sizeof(c->lines));
}

struct conf *conf_decode(const uint8_t *bytes, size_t len)
{
	struct reader r = {bytes, len, false};
	struct conf *c = xcalloc(1, sizeof(*c));
	size_t peers;

	if (get_number(&r) != ENCODE_MAGIC)
		r.bad = true;
	get_interface(&r, c);
	peers = get_count(&r, 2 * sizeof(struct key));
	c->peers = xcalloc(peers ? peers : 1, sizeof(*c->peers));
	while (c->peer_count < peers && !r.bad)
		get_peer(&r, &c->peers[c->peer_count++]);
	if (!r.bad && !r.left)
		return c;
	conf_free(c);
	return NULL;
}
