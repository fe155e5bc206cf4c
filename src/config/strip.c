/* The plain form that wg(8) reads. */
#include <arpa/inet.h>
#include <sodium.h>
#include <string.h>

#include "config/conf.h"

static void put_key(FILE *to, const char *word, const struct key *k)
{
	char text[KEY_BASE64_LEN + 1];

	key_to_base64(text, k);
	fprintf(to, "%s = %s\n", word, text);
	sodium_memzero(text, sizeof(text));
}

static void put_allowed(FILE *to, const struct conf_peer *p)
{
	if (!p->allowed_count)
		return;
	fputs("AllowedIPs = ", to);
	for (size_t i = 0; i < p->allowed_count; i++) {
		char address[INET6_ADDRSTRLEN];

		inet_ntop(p->allowed[i].family, p->allowed[i].addr, address, sizeof(address));
		fprintf(to, "%s%s/%u", i ? ", " : "", address, p->allowed[i].len);
	}
	fputc('\n', to);
}

static void put_peer(FILE *to, const struct conf_peer *p)
{
	fputs("\n[Peer]\n", to);
	put_key(to, "PublicKey", &p->public_key);
	if (p->has_psk)
		put_key(to, "PresharedKey", &p->psk);
	put_allowed(to, p);
	if (p->host)
		fprintf(to, strchr(p->host, ':') ? "Endpoint = [%s]:%s\n" : "Endpoint = %s:%s\n", p->host,
			p->port);
	if (p->keepalive)
		fprintf(to, "PersistentKeepalive = %u\n", p->keepalive);
}

void conf_strip(const struct conf *c, FILE *to)
{
	fputs("[Interface]\n", to);
	if (c->has_private_key)
		put_key(to, "PrivateKey", &c->private_key);
	if (c->listen_port)
		fprintf(to, "ListenPort = %u\n", c->listen_port);
	if (c->has_fwmark)
		fprintf(to, "FwMark = 0x%x\n", c->fwmark);
	for (size_t i = 0; i < c->peer_count; i++)
		put_peer(to, &c->peers[i]);
}
