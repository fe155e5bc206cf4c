#!/bin/sh
# Faults of keys, peers and allowed addresses, and networks of other shapes: many behind one NAT, addresses inside of the
# tunnel, IPv6 alone, a plain WireGuard peer beside. The ids are those of the catalogue of faults.
#
#   ONLY="F52 F46" STRICT=1
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/nat.sh"
. "$(dirname "$0")/faults.sh"
need wg jq nft conntrack ss ping awk iperf3

public
site left 10 port
site right 20 port
relay_start
login="Url = rel://$nat_server:443
SecretFile = $lab/srv/secret"
psk=$(wg genpsk)
other=$(wg genpsk)

# files PSK-OF-LEFT PSK-OF-RIGHT, either may be empty
files() {
	conf_of left 1 "$login"
	peer_of left right 2 "${1:+PresharedKey = $1}"
	conf_of right 2 "$login"
	peer_of right left 1 "${2:+PresharedKey = $2}"
}
stop() {
	for end in "$@"; do
		end_engine "$end"
		rm -rf "$lab/$end/state"
		mkdir "$lab/$end/state"
	done
}

# The relay and ICE are fine, and no handshake ever completes: the words must say why.
if wanted F52; then
	case=F52
	files "$psk" "$other"
	begin left right
	watch_start left 10.9.0.2 100 $lab/pings
	until_true 30 sh -c "ip netns exec left '$weir' status wg0 --run-dir $lab/left | grep -qi 'preshared'" ||
		fail "F52: left's status does not name the preshared key: $(weir_on left status wg0)"
	! answers $lab/pings 1 || fail "F52: a tunnel under different preshared keys"
	say "F52: preshared keys differ: never up, and left says: $(jq_of left '.peers[0].reason')"
	say "F52: right says: $(jq_of right '.peers[0].reason')"
	begun=$(moment)
	files "$psk" "$psk"
	weir_on right reload wg0 >/dev/null || fail "F52: reload"
	healed=$(date +%s.%N)
	until_true 60 flows $lab/pings || fail "F52: no tunnel under equal preshared keys"
	flow_stop
	back=$(after $lab/pings "$healed")
	say "F52: made equal by a reload: answers after $back ms, the bound is 3000 ms"
	evidence left "$begun" "." 2
	within F52 "$back" 3000
	settled ice left right
fi

# A fall-back and the way back keep the preshared key.
if wanted F54; then
	case=F54
	[ -n "$(jq_of left '.peers[0].publicKey')" ] || {
		files "$psk" "$psk"
		begin left right
		settled ice left right
	}
	block() { fault_udp left; }
	outage_case F54 "UDP blocked, with a preshared key" 1000 block
	heal left
	is left '.peers[0].presharedKey' true || fail "F54: the preshared key is gone"
	settled ice left right
	weir_on left drain right >/dev/null
	until_true 10 pings left 10.9.0.2 3 || fail "F54: no handshake after the fall-back"
	say "F54: a handshake after it works under the same preshared key"
fi

# Removed and added as fast as can be, while the other end sends.
if wanted F56; then
	case=F56
	[ -n "$(jq_of left '.peers[0].publicKey')" ] || {
		files "$psk" "$psk"
		begin left right
		settled ice left right
	}
	awk '/^\[Peer\]/ { exit } { print }' $lab/left/wg0.conf >$lab/left/none.conf
	cp $lab/left/wg0.conf $lab/left/full.conf
	flow_start right 10.9.0.1
	begun=$(moment)
	for _ in 1 2 3 4 5; do
		cat $lab/left/none.conf >$lab/left/wg0.conf
		weir_on left reload wg0 >/dev/null || fail "F56: reload"
		cat $lab/left/full.conf >$lab/left/wg0.conf
		weir_on left reload wg0 >/dev/null || fail "F56: reload"
	done
	added=$(date +%s.%N)
	flow_again 60
	flow_stop
	back=$(after $lab/pings "$added")
	say "F56: the peer was removed and added five times: $gap ms without an answer, back $back ms after the last," \
		"the bound is 3000 ms"
	evidence right "$begun"
	within F56 "$back" 3000
	settled ice left right
	[ "$(jq_of left '.peers | length')" = 1 ] || fail "F56: left has $(jq_of left '.peers | length') peers"
fi

# Another allowed address, live, on both ends of it.
if wanted F57; then
	case=F57
	[ -n "$(jq_of left '.peers[0].publicKey')" ] || {
		files "$psk" "$psk"
		begin left right
		settled ice left right
	}
	sed -i 's,10\.9\.0\.2/32,10.9.0.77/32,' $lab/left/wg0.conf
	sed -i 's,^Address = .*,Address = 10.9.0.77/24,' $lab/right/wg0.conf
	weir_on left reload wg0 >/dev/null || fail "F57: reload of left"
	weir_on right reload wg0 >/dev/null || fail "F57: reload of right"
	start=$(milliseconds)
	until_true 20 answered left 10.9.0.77 || fail "F57: the new address does not answer"
	back=$(since "$start")
	! answered left 10.9.0.2 || fail "F57: the old address still answers"
	say "F57: the peer has another address: answers after $back ms, the bound is 1000 ms"
	within F57 "$back" 1000
fi
[ ! -f $lab/left/pid ] || stop left right

# The peer's public address, and that of its box's network, lie in what goes through the tunnel.
inside() { # TEXT ALLOWED
	files
	sed -i "s|^AllowedIPs = .*|AllowedIPs = $2|" $lab/left/wg0.conf
	begin left right
	until_true 30 answered left 10.9.0.2 || fail "F47: $1: no tunnel"
	sleep 1
	until_true 30 pings left 10.9.0.2 10 || fail "F47: $1: packets are lost on $(path_of left)"
	before=$(jq_of left '.tun.rxPackets')
	looped=$(on left nft list ruleset | awk '/packets/ { for (i = 1; i < NF; i++) if ($i == "packets") print $(i + 1) }')
	[ "${looped:-0}" = 0 ] || fail "F47: $1: $looped packets to the peer's address went into the tunnel"
	say "F47: $1: a tunnel on $(path_of left), and not one packet of its own in it (inner packets: $before)"
	stop left right
}
if wanted F47; then
	case=F47
	nat_load left <<'NFT'
flush ruleset
table inet count {
	chain out {
		type filter hook output priority 0; policy accept;
		oifname wg0 ip daddr { 203.0.113.0/24, 10.20.0.0/16 } counter
	}
}
NFT
	inside "AllowedIPs with the peer's public address" "10.9.0.2/32, 203.0.113.20/32, 10.20.0.0/24"
	inside "a default route through the tunnel" "0.0.0.0/0"
	on left nft flush ruleset
fi

# Three behind one box, and one elsewhere: everybody with everybody.
if wanted F46; then
	case=F46
	behind sister left 3
	behind brother left 4
	last=0
	everybody="left sister brother right"
	keys $everybody
	for end in $everybody; do
		last=$((last + 1))
		conf_of $end $last "$login"
		sed -i 's/^Address/ListenPort = 51820\nAddress/' $lab/$end/wg0.conf
		n=0
		for peer in $everybody; do
			n=$((n + 1))
			[ $n = $last ] || peer_of $end $peer $n
		done
	done
	start=$(milliseconds)
	begin $everybody
	all_ice() {
		for end in $everybody; do
			[ "$(jq_of $end '[.peers[].path | select(.kind == "ice" and .state == "up")] | length')" = 3 ] || return 1
		done
	}
	until_true 60 all_ice || fail "F46: $(for end in $everybody; do weir_on $end status wg0; done)"
	say "F46: three behind one box and one elsewhere: all six pairs on ice after $(since "$start") ms"
	stop $everybody
fi
