#include "net/too_big.h"

#include <netinet/in.h>
#include <netinet/icmp6.h>
#include <netinet/ip.h>
#include <netinet/ip_icmp.h>
#include <string.h>

#include "net/checksum.h"

#define IP4_HEADER    20
#define IP6_HEADER    40
#define ICMP_HEADER   8
#define IP4_REPLY_MAX 576 /* RFC 1812 section 4.3.2.3 */
#define HOPS	      64

static uint16_t get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static void put16(uint8_t *p, unsigned v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static void put_checksum(uint8_t *p, uint64_t sum)
{
	uint16_t csum = checksum_finish(sum);

	memcpy(p, &csum, sizeof(csum));
}

bool too_big_for_good(const uint8_t *packet)
{
	return packet[0] >> 4 == 6 || get16(packet + 6) & IP_DF;
}

/* One host, and a real one: no error goes to a group, nor about what was sent to one. */
static bool is_host4(const uint8_t *a)
{
	return a[0] != 0 && a[0] != 127 && a[0] < 224;
}

static bool is_host6(const uint8_t *a)
{
	static const uint8_t none[16];

	return a[0] != 0xff && memcmp(a, none, sizeof(none)) != 0;
}

static bool is_error4(uint8_t type)
{
	return type != ICMP_ECHO && type != ICMP_ECHOREPLY && type != ICMP_TIMESTAMP &&
	       type != ICMP_TIMESTAMPREPLY;
}

static size_t quote_len(size_t len, size_t headers, size_t most)
{
	return len < most - headers ? len : most - headers;
}

/*
 * The error bears the address that the packet was for, as if it had got there and had not fit: the sender's
 * route to that address leads here, so no reverse path filter throws the error away, which it might do with
 * an address of ours.
 */
static size_t reply4(uint8_t *out, const uint8_t *packet, size_t len, unsigned mtu)
{
	size_t ihl = (size_t)(packet[0] & 15) * 4,
	       quoted = quote_len(len, IP4_HEADER + ICMP_HEADER, IP4_REPLY_MAX);
	uint8_t *icmp = out + IP4_HEADER;

	if (ihl < IP4_HEADER || len <= ihl || get16(packet + 6) & IP_OFFMASK || !is_host4(packet + 12) ||
	    !is_host4(packet + 16) || (packet[9] == IPPROTO_ICMP && is_error4(packet[ihl])))
		return 0;
	memset(out, 0, IP4_HEADER + ICMP_HEADER);
	out[0] = 0x45;
	put16(out + 2, (unsigned)(IP4_HEADER + ICMP_HEADER + quoted));
	out[8] = HOPS;
	out[9] = IPPROTO_ICMP;
	memcpy(out + 12, packet + 16, 4);
	memcpy(out + 16, packet + 12, 4);
	put_checksum(out + 10, checksum_add(0, out, IP4_HEADER));
	icmp[0] = ICMP_DEST_UNREACH;
	icmp[1] = ICMP_FRAG_NEEDED;
	put16(icmp + 6, mtu);
	memcpy(icmp + ICMP_HEADER, packet, quoted);
	put_checksum(icmp + 2, checksum_add(0, icmp, ICMP_HEADER + quoted));
	return IP4_HEADER + ICMP_HEADER + quoted;
}

static size_t reply6(uint8_t *out, const uint8_t *packet, size_t len, unsigned mtu)
{
	size_t quoted = quote_len(len, IP6_HEADER + ICMP_HEADER, TOO_BIG_REPLY_MAX);
	uint8_t *icmp = out + IP6_HEADER;
	uint64_t sum;

	if (len <= IP6_HEADER || !is_host6(packet + 8) || !is_host6(packet + 24) ||
	    (packet[6] == IPPROTO_ICMPV6 && !(packet[IP6_HEADER] & ICMP6_INFOMSG_MASK)))
		return 0;
	memset(out, 0, IP6_HEADER + ICMP_HEADER);
	out[0] = 0x60;
	put16(out + 4, (unsigned)(ICMP_HEADER + quoted));
	out[6] = IPPROTO_ICMPV6;
	out[7] = HOPS;
	memcpy(out + 8, packet + 24, 16);
	memcpy(out + 24, packet + 8, 16);
	icmp[0] = ICMP6_PACKET_TOO_BIG;
	put16(icmp + 6, mtu);
	memcpy(icmp + ICMP_HEADER, packet, quoted);
	sum = checksum_pseudo(out, IPPROTO_ICMPV6, ICMP_HEADER + quoted);
	put_checksum(icmp + 2, checksum_add(sum, icmp, ICMP_HEADER + quoted));
	return IP6_HEADER + ICMP_HEADER + quoted;
}

size_t too_big_reply(uint8_t *out, const uint8_t *packet, size_t len, unsigned mtu)
{
	if (len >= IP4_HEADER && packet[0] >> 4 == 4)
		return reply4(out, packet, len, mtu);
	if (len >= IP6_HEADER && packet[0] >> 4 == 6)
		return reply6(out, packet, len, mtu);
	return 0;
}
