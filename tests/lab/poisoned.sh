#!/bin/sh
# A firewall holds the flow of one source port fast, one way, between two hosts that have no relay: what comes in goes on
# looking well to one end, and only a new source port gets through (the poisoned mapping of conntrack tables).
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/nat.sh"
. "$(dirname "$0")/faults.sh"
. "$(dirname "$0")/verdicts.sh"
need wg ping ip nft jq

public
open_host left 10
open_host right 20
for end in left right; do
	conf_of $end $([ $end = left ] && echo 1 || echo 2) "" "[Ice]
Enable = no"
	sed -i '/^\[Relay\]/d; /^\[Interface\]/a ListenPort = 51820' $lab/$end/wg0.conf
done
peer_of left right 2 "Endpoint = 203.0.113.20:51820"
peer_of right left 1
weir_start left $lab/left/wg0.conf
weir_start right $lab/right/wg0.conf
until_true 20 answered left 10.9.0.2 || fail "no tunnel"

hold_fast() {
	on right nft -f - <<'NFT'
table inet f { chain i { type filter hook input priority 0; ip saddr 203.0.113.10 udp sport 51820 drop; }; }
NFT
}
injected left right poisoned-mapping "the flow of one source port is held fast on the way"
outage_case poisoned "the flow of one port is held fast" 8000 hold_fast left 10.9.0.2
told left "$begun" "fresh source port" | grep -q . || fail "no fresh port: $(told left "$begun")"
verdicts_come 20
say "and the verdict says so"
