/*
 * Which packets a tap is for. The language is that of pcap-filter(7), for inner packets and outer datagrams,
 * plus the words
 *   peer NAME|KEY
 *   point wire|inner|relay|signal
 *   type init|resp|cookie|data|keep|stun|frame|relay|ip|other
 *   path direct|ice|turn|relay
 *   in, out, dropped
 * joined by and, or, not (also &&, ||, !) and parentheses. As in pcap-filter(7), and and or bind alike, from
 * the left.
 * What lies between our words goes to libpcap as it stands. Relay messages and signal bodies match no pcap
 * primitive.
 *
 * Parsed where it is typed, by the client: names of hosts, ports and protocols are looked up there, and the
 * engine gets programs that it checks (bpf_validate), not text.
 */
#ifndef WEIR_TAP_FILTER_H
#define WEIR_TAP_FILTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "tap/packet.h"

enum tap_node_kind {
	TAP_NODE_AND,
	TAP_NODE_OR,
	TAP_NODE_NOT,
	TAP_NODE_BPF,	/* code */
	TAP_NODE_PEER,	/* peer: text until somebody resolved it into key */
	TAP_NODE_POINT, /* value: enum tap_point */
	TAP_NODE_TYPE,	/* value: enum tap_type */
	TAP_NODE_PATH,	/* value: enum path_kind */
	TAP_NODE_IN,
	TAP_NODE_OUT,
	TAP_NODE_DROPPED,
	TAP_NODE_KINDS
};

/* As in bpf(4) and struct bpf_insn; our own type, so that only filter.c includes libpcap. */
struct tap_instruction {
	uint16_t code;
	uint8_t jt, jf;
	uint32_t k;
};

#define TAP_NODES_MAX	     64
#define TAP_INSTRUCTIONS_MAX 4096 /* of one node (BPF_MAXINSNS) */

struct tap_node {
	enum tap_node_kind kind;
	uint8_t value;
	char peer[64];
	struct key key;
	struct tap_instruction *code; /* owned */
	unsigned count;
};

/* Postfix: operands come before what joins them. No node: everything matches. */
struct tap_filter {
	unsigned count;
	struct tap_node nodes[TAP_NODES_MAX];
};

/* *out is the caller's (tap_filter_free). -EINVAL with words that name the place in the text. */
int tap_filter_parse(struct tap_filter **out, const char *text, struct error *e);
void tap_filter_free(struct tap_filter *f); /* NULL is allowed */

/* Is it whole: postfix balanced, programs valid (they end, jump forward, stay inside)? For filters that came
 * from outside. */
bool tap_filter_valid(const struct tap_filter *f);

/* [any thread] len bytes of the packet are at data; meta->length is its whole length. */
bool tap_filter_match(const struct tap_filter *f, const struct tap_meta *m, const void *data, size_t len);

/* The IP and UDP headers that an outer datagram had, or nearly (checksums right; no options; TTL 64): their
 * length, 0 where the addresses are not known. out has 48 bytes. The UDP checksum is 0: the payload is not at
 * hand. */
size_t tap_outer_headers(uint8_t out[48], const struct tap_meta *m);

#endif
