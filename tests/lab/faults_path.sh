#!/bin/sh
# Faults of a path that looks alive, and of the network below it, with two real engines behind two NATs and a relay. The
# ids are those of the catalogue of faults in the simulator's tests.
#
#   ONLY="F2 F14" STRICT=1; LAB_LONG=1 lets the total outage last two minutes
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/nat.sh"
. "$(dirname "$0")/faults.sh"
need wg jq nft conntrack ss ping awk iperf3

public
site left 10 port
site right 20 port
relay_start
peer_conf left 1 right 2
peer_conf right 2 left 1
case=start
weir_start left $lab/left/wg0.conf
weir_start right $lab/right/wg0.conf
settled ice left right
say "two engines on ice, a relay standing by"

both_ways() { fault_wireguard left; }
outwards() {
	fault left iifname lan meta l4proto udp @th,64,32 '{ 0x01000000, 0x02000000, 0x03000000, 0x04000000 }' drop
}
inwards() {
	fault left iifname wan meta l4proto udp @th,64,32 '{ 0x01000000, 0x02000000, 0x03000000, 0x04000000 }' drop
}
if wanted F2; then
	outage_case F2 "WireGuard filtered, STUN and frames pass" 3000 both_ways
	heal left
	settled ice left right
fi
if wanted F41; then
	outage_case F41 "WireGuard filtered on the way out" 3000 outwards
	heal left
	settled ice left right
	outage_case F41 "WireGuard filtered on the way in" 3000 inwards
	heal left
	settled ice left right
fi

# Everything is lost for a while, then nothing: F14 counts from the healing on.
if wanted F14; then
	case=F14
	long=35
	[ "${LAB_LONG:-}" != 1 ] || long=120
	flow_start left 10.9.0.2
	begun=$(moment)
	fault_all left
	sleep $long
	healed=$(date +%s.%N)
	heal left
	flow_again 60
	flow_stop
	back=$(awk -v healed="$healed" '/bytes from/ { t = substr($1, 2) + 0
		if (t > healed) { printf "%d\n", (t - healed) * 1000; exit } }' $lab/pings)
	say "F14: nothing passed for $long s: back $back ms after the healing, the bound is 3000 ms"
	evidence left "$begun"
	within F14 "$back" 3000
	settled ice left right
fi

# Large packets vanish on the direct path alone: bulk goes on, with smaller packets or another way, and says so.
if wanted F30; then
	case=F30
	on right iperf3 -s -1 -D -I $lab/right/iperf.pid >/dev/null
	until_true 10 on right sh -c "ss -Hltn 'sport = :5201' | grep -q ." || fail "iperf3 does not listen"
	begun=$(moment)
	on left iperf3 -c 10.9.0.2 -t 8 -i 0.5 --forceflush >$lab/iperf 2>&1 &
	client=$!
	sleep 1.5
	# Trains of datagrams would be measured as one, by their whole length.
	ip -n left link set lan gso_max_segs 1
	ip -n right link set lan gso_max_segs 1
	fault_size left 1300
	wait $client || fail "F30: the transfer broke: $(tail -n 3 $lab/iperf)"
	stalls=$(grep -c ' 0.00 bits/sec' $lab/iperf || true)
	until_true 20 is left '.peers[0].network.paths[] | select(.kind == "ice") | .mtu < 1300' true ||
		fail "F30: the size that passes is not shown: $(jq_of left '.peers[0].network.paths')"
	mtu=$(jq_of left '.peers[0].network.paths[] | select(.kind == "ice") | .mtu')
	say "F30: packets over 1300 bytes vanish under bulk: TCP stood still for $stalls half seconds of 13; found: $mtu bytes pass"
	evidence left "$begun" "carries|bytes|notice|warn" 12
	[ "$stalls" -le 6 ] || fail "F30: bulk stood still for $stalls half seconds: $(cat $lab/iperf)"
	until_true 30 path_is left ice || fail "F30: left is not on ice any more: $(path_of left)"
	ip -n left route flush cache
	on left ping -n -c 2 -i 0.3 -W 1 -M do -s 1372 10.9.0.2 >$lab/big 2>&1 || true
	grep -qi "frag needed" $lab/big || fail "F30: a packet that is too big is not told so: $(cat $lab/big)"
	until_true 10 pings left 10.9.0.2 3 || fail "F30: small packets do not pass"
	say "F30: $(grep -i -o 'frag needed.*' $lab/big | head -n 1)"
	heal left
fi

# Our own address changes under a flow, on the same cable.
readdress() {
	ip -n left addr del 10.10.0.2/24 dev lan
	ip -n left addr add 10.10.0.9/24 dev lan
	ip -n left route replace default via 10.10.0.1
}
if wanted F50; then
	case=F50
	settled ice left right
	outage_case F50 "our address changed under a flow" 1000 readdress
	grep -q "our address of that connection is gone" $lab/left/log ||
		fail "F50: the relay connection from the old address was not given up at once"
fi

# The cable is pulled, and comes back with everything as it was: no address changes.
if wanted link; then
	case=link
	settled ice left right
	flow_start left 10.9.0.2
	begun=$(moment)
	ip -n left-nat link set l2 down
	sleep 4
	healed=$(date +%s.%N)
	ip -n left-nat link set l2 up
	flow_again 60
	flow_stop
	back=$(after $lab/pings "$healed")
	say "link: a cable was out for 4 s: back $back ms after it, the bound is 3000 ms"
	evidence left "$begun"
	within link "$back" 3000
fi
