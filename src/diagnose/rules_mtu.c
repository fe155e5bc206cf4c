/* Rules about datagrams that are too large for the way: small ones pass, large ones vanish without a word. */
#include <inttypes.h>
#include <string.h>

#include "diagnose/rules_net.h"

#define DATA_OVERHEAD 32 /* header, counter and tag of a WireGuard data message */

static unsigned fits(unsigned datagram)
{
	return datagram > DATA_OVERHEAD ? datagram - DATA_OVERHEAD : 0;
}

/* Probes padded to the size of a full packet are lost, small ones are answered: that is proof. */
static bool check_hole(const struct diagnosis_facts *f, uint64_t now, struct diagnosis *d)
{
	const struct diagnosis_path *p = net_chosen(f);
	uint64_t told = f->recent.counters[WG_COUNT_too_big];
	unsigned full = f->device_mtu + DATA_OVERHEAD, inner;

	if (!p || !p->view.mtu_failed || !f->device_mtu || f->state.tunnel == TUNNEL_NO_KEYS ||
	    p->view.mtu_failed > full || p->view.mtu >= full)
		return false;
	inner = p->view.mtu ? fits(p->view.mtu) : 0;
	diagnosis_holds(d, DIAGNOSIS_CERTAIN, SIDE_BETWEEN, p->view.since);
	net_severity(d, f, now);
	if (inner)
		diagnosis_says(d,
			       "Large datagrams vanish on the way to %s: %u bytes pass, %u do not. Inner "
			       "packets over %u bytes are "
			       "turned back here.",
			       p->remote, p->view.mtu, p->view.mtu_failed, inner);
	else
		diagnosis_says(d, "Large datagrams vanish on the way to %s: %u bytes do not pass.", p->remote,
			       p->view.mtu_failed);
	diagnosis_shows(d, MARK_GOOD, "mtu", p->view.last_proof,
			"pings of up to %u bytes of UDP payload are answered", p->view.mtu);
	diagnosis_shows(d, MARK_BAD, "mtu", 0, "pings of %u bytes are not, and no ICMP says so",
			p->view.mtu_failed);
	diagnosis_shows(d, MARK_NOTE, "mtu", 0, "the interface's MTU of %u asks for %u", f->device_mtu, full);
	if (told)
		diagnosis_shows(d, MARK_NOTE, "mtu", 0,
				"%" PRIu64 " inner packets were too big, and their senders were told", told);
	if (inner)
		diagnosis_helps(
			d, 0, "Set MTU = %u in [Interface] at both ends, so that nobody has to find it out.",
			inner);
	else
		diagnosis_helps(d, 0,
				"Set a smaller MTU in [Interface] at both ends: 1280 passes everywhere.");
	return true;
}

const struct diagnosis_rule rules_mtu[] = {
	{"mtu-black-hole", "large datagrams vanish",
	 "Pings padded to the size of a full packet are lost on the path, small ones are answered, and no "
	 "router says that they "
	 "are too big. Connections open and hang with the first large packet. weir turns larger inner "
	 "packets back, so that TCP "
	 "adapts; programs that send large datagrams do not.",
	 "data-unanswered", check_hole},
	{0},
};
