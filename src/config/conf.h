/*
 * The configuration file (weir.conf(5)): read, check, compare, apply. Reading is all or nothing: every error
 * of the file is collected with file, line and column, and a file with an error yields no configuration.
 */
#ifndef WEIR_CONFIG_CONF_H
#define WEIR_CONFIG_CONF_H

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/endpoint.h"
#include "base/error.h"
#include "base/key.h"
#include "engine/network.h"

struct conf_prefix {
	int family; /* AF_INET, AF_INET6 */
	uint8_t addr[16];
	uint8_t len;
	int line, column;
};

struct conf_list { /* of words, in file order */
	char **items;
	size_t count;
};

enum conf_table { TABLE_AUTO, TABLE_OFF, TABLE_NUMBER };

struct conf_peer {
	struct key public_key;
	struct key psk;
	bool has_psk;
	char *name; /* NULL: none */
	struct conf_prefix *allowed;
	size_t allowed_count;
	char *host, *port;	/* endpoint as written; NULL: none */
	union address endpoint; /* when numeric, else AF_UNSPEC */
	uint16_t keepalive;
	char *relay; /* where it is looked for first; NULL: not said */
	enum peer_mode mode;
	int line, endpoint_line; /* of its [Peer], of its Endpoint */
	int relay_line, mode_line;
};

/* Where [Relay] and [Ice] say what; 0: they do not. */
struct conf_network_lines {
	int relay, secret, ca_file, pin;
	int urls[ENGINE_RELAYS_MAX];
	int ice, enable, stun, turn_only;
	int turn[ICE_TURN_MAX];
};

struct conf {
	char *path;
	char ifname[IFNAMSIZ];
	struct key private_key; /* from PrivateKey, PrivateKeyFile or a systemd credential */
	bool has_private_key;
	uint16_t listen_port;
	uint32_t fwmark;
	bool has_fwmark;
	struct conf_prefix *addresses;
	size_t address_count;
	struct conf_list dns_servers, dns_search;
	int mtu; /* 0: by itself */
	int mtu_line, dns_line;
	enum conf_table table;
	uint32_t table_number;
	struct conf_list pre_up, post_up, pre_down, post_down; /* %i already replaced */
	char *metrics; /* where OpenMetrics are served: ADDRESS:PORT or unix:PATH, absolute; NULL: nowhere */
	int metrics_line;
	struct engine_network network;
	struct conf_network_lines lines;
	struct conf_peer *peers;
	size_t peer_count;
};

/* One complaint: "FILE:LINE:COLUMN: error: text". */
enum conf_severity { CONF_ERROR, CONF_WARNING };
struct conf_message {
	enum conf_severity severity;
	int line, column; /* 1-based, 0: the whole file */
	char *text;
	char *hint; /* what to do, or NULL */
};
struct conf_messages {
	struct conf_message *items;
	size_t count, errors;
};
void conf_messages_clear(struct conf_messages *m);
void conf_messages_print(const struct conf_messages *m, const char *path, FILE *to);

/* One line without its end, "FILE:LINE:COLUMN: error: text: hint"; the caller frees. */
char *conf_message_line(const struct conf_message *message, const char *path);

/* Adds one. hint may be NULL. After CONF_MESSAGES_MAX they are only counted. */
#define CONF_MESSAGES_MAX 500
void conf_complain(struct conf_messages *m, enum conf_severity severity, int line, int column,
		   const char *hint, const char *fmt, ...) __attribute__((format(printf, 6, 7)));

/* Where the configuration of an argument is: a path (it has a slash, or ends in .conf) as it is, made
 * absolute; a name becomes NAME.conf in SYSCONFDIR/weir, SYSCONFDIR/wireguard, /etc/weir or /etc/wireguard,
 * the first that exists. ifname gets the interface name, *path is the caller's to free. */
int conf_locate(const char *argument, char **path, char ifname[IFNAMSIZ], struct error *e);

bool conf_name_is_good(const char *ifname); /* [a-zA-Z0-9_=+.-]{1,15}, as wg-quick has it */

/* NULL when the file has errors; *m holds all complaints. Names are not resolved and nothing is changed.
 * conf_parse opens no file when path is NULL: then PrivateKeyFile and PresharedKeyFile are errors. */
struct conf *conf_read(const char *path, const char *ifname, struct conf_messages *m);
struct conf *conf_parse(const char *text, size_t len, const char *path, const char *ifname,
			struct conf_messages *m);
void conf_free(struct conf *c); /* wipes keys */

/* Adds lint warnings: overlaps, stolen prefixes, duplicate keys... (weir.conf(5), LINT). */
void conf_lint(const struct conf *c, struct conf_messages *m);

/* The plain wg(8) form, as wg-quick strip prints it. Contains secrets, as the file does. */
void conf_strip(const struct conf *c, FILE *to);

/* All of it as one block of bytes, to hand to another process, and back. Both directions hold secrets: the
 * caller wipes and frees the bytes. conf_decode checks every length; NULL when the bytes are not of
 * conf_encode. */
void conf_encode(const struct conf *c, uint8_t **bytes, size_t *len);
struct conf *conf_decode(const uint8_t *bytes, size_t len);

/* Do [Relay] and [Ice] mean the same? NULL: neither section is there. */
bool conf_network_equal(const struct conf *a, const struct conf *b);

struct engine;

/* What an apply did, in counts, for the log and the reply of reload. */
struct conf_changes {
	unsigned peers_added, peers_removed, peers_changed, sessions_kept;
	bool device_changed;
};

/* Brings the engine's WireGuard state from old (NULL: nothing) to new, keeping every session that it can.
 * Only differences between the two files are touched: what `wg set` changed meanwhile stays unless the file
 * changed it. */
int conf_apply(struct engine *g, const struct conf *old, const struct conf *new, struct conf_changes *changes,
	       struct error *e);

#endif
