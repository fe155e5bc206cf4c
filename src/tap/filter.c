/* Filters at work: programs of libpcap over the headers of a packet, and our own words over what the tap
 * knows of it. */
#include "tap/filter.h"

#include <pcap/pcap.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/xalloc.h"
#include "tap/filter_internal.h"
#include "wg/messages.h"

#define HEADERS_MAX 48
#define LOOKED_AT   256 /* bytes of an outer datagram that a program can look at */
#define IPV4_LEN    20
#define IPV6_LEN    40
#define UDP_LEN	    8

_Static_assert(sizeof(struct tap_instruction) == sizeof(struct bpf_insn) &&
		       offsetof(struct tap_instruction, code) == offsetof(struct bpf_insn, code) &&
		       offsetof(struct tap_instruction, jt) == offsetof(struct bpf_insn, jt) &&
		       offsetof(struct tap_instruction, jf) == offsetof(struct bpf_insn, jf) &&
		       offsetof(struct tap_instruction, k) == offsetof(struct bpf_insn, k),
	       "both are the instruction of bpf(4)");

/* ---- the headers of an outer datagram ---- */

static void put16(uint8_t *at, size_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

/* RFC 1071, over the 20 bytes of a header. */
static void put_header_checksum(uint8_t *ip)
{
	uint32_t sum = 0;

	for (unsigned i = 0; i < IPV4_LEN; i += 2)
		sum += (uint32_t)ip[i] << 8 | ip[i + 1];
	sum = (sum & 0xffff) + (sum >> 16);
	sum += sum >> 16;
	put16(ip + 10, ~sum & 0xffff);
}

static void put_udp(uint8_t *udp, const union address *from, const union address *to, size_t payload)
{
	/* The port is at the same place in both families. */
	memcpy(udp, &from->in.sin_port, 2);
	memcpy(udp + 2, &to->in.sin_port, 2);
	put16(udp + 4, UDP_LEN + payload);
	put16(udp + 6, 0);
}

static size_t headers_v4(uint8_t *out, const union address *from, const union address *to, size_t payload)
{
	static const uint8_t start[IPV4_LEN] = {0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, IPPROTO_UDP};

	memcpy(out, start, sizeof(start));
	put16(out + 2, IPV4_LEN + UDP_LEN + payload);
	memcpy(out + 12, &from->in.sin_addr, 4);
	memcpy(out + 16, &to->in.sin_addr, 4);
	put_header_checksum(out);
	put_udp(out + IPV4_LEN, from, to, payload);
	return IPV4_LEN + UDP_LEN;
}

static size_t headers_v6(uint8_t *out, const union address *from, const union address *to, size_t payload)
{
	static const uint8_t start[8] = {0x60, 0, 0, 0, 0, 0, IPPROTO_UDP, 64};

	memcpy(out, start, sizeof(start));
	put16(out + 4, UDP_LEN + payload);
	memcpy(out + 8, &from->in6.sin6_addr, 16);
	memcpy(out + 24, &to->in6.sin6_addr, 16);
	put_udp(out + IPV6_LEN, from, to, payload);
	return IPV6_LEN + UDP_LEN;
}

size_t tap_outer_headers(uint8_t out[HEADERS_MAX], const struct tap_meta *m)
{
	const union address *remote = &m->remote;
	union address local = {.in6 = {.sin6_family = remote->sa.sa_family}};
	size_t payload = m->length < MESSAGE_LEN_MAX ? m->length : MESSAGE_LEN_MAX;

	/* Our own address is known only where the kernel told it; an unspecified one stands for it. */
	if (m->local.sa.sa_family == remote->sa.sa_family)
		local = m->local;
	if (remote->sa.sa_family == AF_INET)
		return headers_v4(out, m->out ? &local : remote, m->out ? remote : &local, payload);
	if (remote->sa.sa_family == AF_INET6)
		return headers_v6(out, m->out ? &local : remote, m->out ? remote : &local, payload);
	return 0;
}

/* ---- programs ---- */

/*
 * libpcap lets a jump go back ("protochain" needs it), and so a program could run for ever: here none may.
 * The rest (codes, memory, the end) is bpf_validate's.
 */
static bool ends(const struct tap_instruction *code, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		if (BPF_CLASS(code[i].code) == BPF_JMP && BPF_OP(code[i].code) == BPF_JA &&
		    code[i].k >= count - i - 1)
			return false;
	return true;
}

/* What libpcap's interpreter knows: it aborts the process on any other, and bpf_validate lets some of them
 * pass. */
static bool all_known(const struct tap_instruction *code, unsigned count)
{
	static const uint8_t known[] = {0x06, 0x16, 0x20, 0x28, 0x30, 0x40, 0x48, 0x50, 0x60, 0x61,
					0x80, 0x81, 0xb1, 0x00, 0x01, 0x02, 0x03, 0x05, 0x15, 0x1d,
					0x25, 0x2d, 0x35, 0x3d, 0x45, 0x4d, 0x04, 0x0c, 0x14, 0x1c,
					0x24, 0x2c, 0x34, 0x3c, 0x44, 0x4c, 0x54, 0x5c, 0x64, 0x6c,
					0x74, 0x7c, 0x84, 0x94, 0x9c, 0xa4, 0xac, 0x07, 0x87};

	for (unsigned i = 0; i < count; i++)
		if (code[i].code > 0xff || !memchr(known, code[i].code, sizeof(known)))
			return false;
	return true;
}

static bool program_valid(const struct tap_instruction *code, unsigned count)
{
	return code && count && count <= TAP_INSTRUCTIONS_MAX && all_known(code, count) &&
	       ends(code, count) && bpf_validate((const struct bpf_insn *)code, (int)count);
}

/* libpcap takes a dead handle for a live one of Linux, and then asks the kernel's side of a packet
 * (SKF_AD_OFF). */
static bool asks_kernel(const struct bpf_program *program)
{
	for (u_int i = 0; i < program->bf_len; i++)
		if (BPF_CLASS(program->bf_insns[i].code) == BPF_LD &&
		    BPF_MODE(program->bf_insns[i].code) == BPF_ABS && program->bf_insns[i].k >= 0xfffff000)
			return true;
	return false;
}

bool filter_compile(struct tap_node *node, const char *text, char why[FILTER_WHY])
{
	pcap_t *p = pcap_open_dead(DLT_RAW, 262144);
	struct bpf_program program = {0};
	bool good = false;

	if (!p) {
		snprintf(why, FILTER_WHY, "libpcap has no memory");
		return false;
	}
	if (pcap_compile(p, &program, text, 1, PCAP_NETMASK_UNKNOWN)) {
		snprintf(why, FILTER_WHY, "%s", pcap_geterr(p));
	} else if (!program_valid((struct tap_instruction *)program.bf_insns, program.bf_len)) {
		snprintf(why, FILTER_WHY,
			 "it needs a loop or is too long; that is not for packets in flight");
	} else if (asks_kernel(&program)) {
		snprintf(why, FILTER_WHY,
			 "this is known of a kernel's interface alone; \"in\" and \"out\" tell directions");
	} else {
		*node = (struct tap_node){.kind = TAP_NODE_BPF, .count = program.bf_len};
		node->code = xcalloc(program.bf_len, sizeof(*node->code));
		memcpy(node->code, program.bf_insns, program.bf_len * sizeof(*node->code));
		good = true;
	}
	pcap_freecode(&program);
	pcap_close(p);
	return good;
}

void tap_filter_free(struct tap_filter *f)
{
	if (!f)
		return;
	for (unsigned i = 0; i < f->count && i < TAP_NODES_MAX; i++)
		free(f->nodes[i].code);
	free(f);
}

static bool node_valid(const struct tap_node *n)
{
	switch (n->kind) {
	case TAP_NODE_BPF:
		return program_valid(n->code, n->count);
	case TAP_NODE_PEER:
		return memchr(n->peer, '\0', sizeof(n->peer));
	case TAP_NODE_POINT:
		return n->value < TAP_POINTS;
	case TAP_NODE_TYPE:
		return n->value < TAP_TYPES;
	case TAP_NODE_PATH:
		return n->value < PATH_KINDS;
	default:
		return n->kind < TAP_NODE_KINDS;
	}
}

bool tap_filter_valid(const struct tap_filter *f)
{
	unsigned depth = 0;

	if (f->count > TAP_NODES_MAX)
		return false;
	for (unsigned i = 0; i < f->count; i++) {
		const struct tap_node *n = &f->nodes[i];
		bool joins = n->kind == TAP_NODE_AND || n->kind == TAP_NODE_OR;
		unsigned takes = joins ? 2 : n->kind == TAP_NODE_NOT ? 1 : 0;

		if (!node_valid(n) || depth < takes)
			return false;
		depth += 1 - takes;
	}
	return depth == (f->count ? 1 : 0);
}

/* ---- matching ---- */

struct look {
	const struct tap_meta *meta;
	const uint8_t *data;
	size_t len;
	bool made; /* head is filled: an outer datagram's, made for the first program that wants it */
	uint32_t head_len, whole;
	uint8_t head[LOOKED_AT];
};

static void make_head(struct look *l)
{
	size_t headers = tap_outer_headers(l->head, l->meta);
	size_t payload = l->len < LOOKED_AT - HEADERS_MAX ? l->len : LOOKED_AT - HEADERS_MAX;

	l->made = true;
	if (!headers)
		return;
	memcpy(l->head + headers, l->data, payload);
	l->head_len = (uint32_t)(headers + payload);
	l->whole = (uint32_t)headers + l->meta->length;
}

static bool run(struct look *l, const struct tap_node *n)
{
	const struct bpf_insn *code = (const struct bpf_insn *)n->code;

	if (l->meta->point == TAP_INNER)
		return bpf_filter(code, l->data, l->meta->length, (u_int)l->len) != 0;
	if (l->meta->point != TAP_WIRE)
		return false;
	if (!l->made)
		make_head(l);
	return l->head_len && bpf_filter(code, l->head, l->whole, l->head_len) != 0;
}

static bool leaf(struct look *l, const struct tap_node *n)
{
	const struct tap_meta *m = l->meta;

	switch (n->kind) {
	case TAP_NODE_BPF:
		return run(l, n);
	case TAP_NODE_PEER:
		return m->has_peer && key_equal(&m->peer, &n->key);
	case TAP_NODE_POINT:
		return m->point == n->value;
	case TAP_NODE_TYPE:
		return m->type == n->value;
	case TAP_NODE_PATH:
		return m->path == n->value;
	case TAP_NODE_IN:
		return !m->out;
	case TAP_NODE_OUT:
		return m->out;
	case TAP_NODE_DROPPED:
		return m->drop != TAP_DROP_none;
	default:
		return false;
	}
}

bool tap_filter_match(const struct tap_filter *f, const struct tap_meta *m, const void *data, size_t len)
{
	struct look l; /* its head is filled when it is wanted: it is not cleared for each packet */
	bool stack[TAP_NODES_MAX + 1];
	unsigned depth = 0;

	if (!f || !f->count)
		return true;
	l.meta = m;
	l.data = data;
	l.len = len < m->length ? len : m->length;
	l.made = false;
	l.head_len = l.whole = 0;
	for (unsigned i = 0; i < f->count; i++) {
		const struct tap_node *n = &f->nodes[i];

		if (n->kind == TAP_NODE_NOT) {
			stack[depth - 1] = !stack[depth - 1];
		} else if (n->kind == TAP_NODE_AND || n->kind == TAP_NODE_OR) {
			bool right = stack[--depth], *left = &stack[depth - 1];

			*left = n->kind == TAP_NODE_AND ? *left && right : *left || right;
		} else {
			stack[depth++] = leaf(&l, n);
		}
	}
	return stack[0];
}
