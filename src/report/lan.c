/* The gateway and the LAN: does anything there open ports on request? Sends only when the user wants it to.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "report/internal.h"

#define PORT	 5351 /* of NAT-PMP and PCP */
#define LAN_WAIT (1500 * NS_PER_MS)

/* Repeats a question until `take` likes an answer, or it is over. */
static enum report_tri ask(const union address *to, const void *request, size_t len,
			   bool (*take)(struct report_lan *out, const uint8_t *d, size_t n),
			   struct report_lan *out)
{
	uint64_t end = clock_boot_ns() + LAN_WAIT;
	enum report_tri verdict = REPORT_NO;
	int fd = probe_socket(AF_INET, 0, NULL);

	if (fd < 0)
		return REPORT_UNKNOWN;
	for (uint64_t now = clock_boot_ns(); now < end && verdict == REPORT_NO; now = clock_boot_ns()) {
		struct pollfd p = {.fd = fd, .events = POLLIN};
		uint8_t reply[2048];
		ssize_t n;

		sendto(fd, request, len, 0, &to->sa, address_len(to));
		if (poll(&p, 1, 400) <= 0)
			continue;
		n = recv(fd, reply, sizeof(reply) - 1, 0);
		if (n > 0 && take(out, reply, (size_t)n))
			verdict = REPORT_YES;
		else if (n < 0 && errno == ECONNREFUSED)
			break;
	}
	close(fd);
	return verdict;
}

/* RFC 6886 section 3.2.1 */
static bool take_nat_pmp(struct report_lan *out, const uint8_t *d, size_t n)
{
	if (n < 12 || d[0] != 0 || d[1] != 128 || d[2] || d[3])
		return false;
	out->nat_pmp_address.in.sin_family = AF_INET;
	memcpy(&out->nat_pmp_address.in.sin_addr, d + 8, 4);
	return true;
}

/* RFC 6887 section 14.1: any result shows that PCP is spoken. */
static bool take_pcp(struct report_lan *out, const uint8_t *d, size_t n)
{
	(void)out;
	return n >= 24 && d[0] == 2 && d[1] == 128;
}

static bool take_upnp(struct report_lan *out, const uint8_t *d, size_t n)
{
	const char *at;
	char text[2048];

	memcpy(text, d, n);
	text[n] = '\0';
	if (strncmp(text, "HTTP/1.1 200", 12) != 0)
		return false;
	at = strcasestr(text, "\r\nlocation:");
	if (at) {
		at += strlen("\r\nlocation:");
		at += strspn(at, " \t");
		log_visible(out->upnp_location, sizeof(out->upnp_location), at, strcspn(at, "\r\n"));
	}
	return true;
}

/* Each may run beside the others. */
void probe_nat_pmp(struct report_lan *out)
{
	static const uint8_t external[2] = {0, 0};
	union address gateway = out->gateway;

	address_set_port(&gateway, PORT);
	out->nat_pmp = ask(&gateway, external, sizeof(external), take_nat_pmp, out);
}

void probe_pcp(struct report_lan *out)
{
	/* ANNOUNCE. The server compares our address with the packet's, and answers either way. */
	static const uint8_t announce[24] = {2, 0, [18] = 0xff, [19] = 0xff};
	union address gateway = out->gateway;

	address_set_port(&gateway, PORT);
	out->pcp = ask(&gateway, announce, sizeof(announce), take_pcp, out);
}

void probe_upnp(struct report_lan *out)
{
	static const char search[] =
		"M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\nMAN: \"ssdp:discover\"\r\nMX: 1\r\n"
		"ST: urn:schemas-upnp-org:device:InternetGatewayDevice:1\r\n\r\n";
	union address group = {.in = {.sin_family = AF_INET}};

	inet_pton(AF_INET, "239.255.255.250", &group.in.sin_addr);
	address_set_port(&group, 1900);
	out->upnp = ask(&group, search, sizeof(search) - 1, take_upnp, out);
}
