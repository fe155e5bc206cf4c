#!/bin/sh
# Control frames that somebody makes up, 50,000 a second: of no pair that is known here, and with the pair id that
# somebody on the way can see. Packets, handshakes and the frames of the peer itself go on, and the engine's work for
# it stays bounded.
. "$(dirname "$0")/lib.sh"
need wg ping ip jq
flood=$LAB_BUILD/tests/lab/flood
[ -x "$flood" ] || {
	echo "skipped: tests/lab/flood is not built (make check builds it)"
	exit 77
}
rate=${FLOOD_RATE:-50000}

host target friend attacker
cable friend 192.0.2.1/24 target 192.0.2.2/24
cable attacker 203.0.113.1/24 target 203.0.113.2/24
keys target friend
conf() { # HOST OTHER ADDRESS OTHER-ADDRESS ENDPOINT
	(umask 077 && cat >"$lab/$1/wg0.conf" <<CONF
[Interface]
PrivateKey = $(cat "$lab/$1/key")
ListenPort = 51820
Address = $3/24
[Ice]
Enable = no
[Peer]
Name = $2
PublicKey = $(cat "$lab/$2/pub")
Endpoint = $5
AllowedIPs = $4/32
CONF
	)
	weir_start "$1" "$lab/$1/wg0.conf"
}
conf target friend 10.9.0.2 10.9.0.1 192.0.2.1:51820
conf friend target 10.9.0.1 10.9.0.2 192.0.2.2:51820
until_true 20 pings friend 10.9.0.2 1 || fail "no tunnel"
peer() { # HOST FIELD of its one peer
	weir_on "$1" status wg0 --json | jq ".peers[0].$2"
}
more() { # HOST FIELD NUMBER: it has grown beyond that
	[ "$(peer "$1" "$2")" -gt "$3" ]
}
until_true 20 more friend network.frames.received 0 || fail "no frames between the two: $(peer friend network)"

# What the sockets of target took, and what they had no room for: a flood fills them where the engine gets no turn.
received() {
	on target awk '/^Udp: [0-9]/ { print $2, $6 }' /proc/net/snmp
}

# under NAME [ARGUMENT]: a flood, and meanwhile pings, handshakes, and frames that are answered.
under() {
	name=$1
	shift
	received_before=$(received)
	ip netns exec attacker "$flood" 203.0.113.2 51820 "$(cat $lab/target/pub)" "$rate" 60 --frames "$@" >$lab/flood.txt 2>&1 &
	flood_pid=$!
	ip netns exec friend ping -n -q -i 0.02 10.9.0.2 >$lab/pings 2>&1 &
	ping_pid=$!
	sleep 1
	busy=$(awk '{ print $14 + $15 }' "/proc/$(cat $lab/target/pid)/stat")
	before=$(milliseconds)
	for round in 1 2 3; do
		handshakes=$(peer friend counters.handshake_done)
		frames=$(peer friend network.frames.received)
		start=$(milliseconds)
		weir_on friend handshake all >/dev/null || fail "handshake"
		weir_on friend probe all >/dev/null || fail "probe"
		until_true 20 more friend counters.handshake_done "$handshakes" || fail "$name: no handshake"
		until_true 20 more friend network.frames.received "$frames" || fail "$name: no frame is answered"
		echo "# $name, round $round: handshake and frames after $(($(milliseconds) - start)) ms"
	done
	kill -0 $flood_pid || fail "$name: the flood ended before the tests"
	busy=$((($(awk '{ print $14 + $15 }' "/proc/$(cat $lab/target/pid)/stat") - busy) * 1000 / ($(milliseconds) - before)))
	kill -INT $ping_pid
	wait $ping_pid || true
	kill -TERM $flood_pid
	wait $flood_pid || true
	loss=$(sed -n 's/.* \([0-9.]*\)% packet loss.*/\1/p' $lab/pings)
	# Percent of all datagrams. Pings come evenly, the flood does not quite: twice as much.
	full=$(echo "$received_before $(received)" | awk '{ lost = $4 - $2; printf "%d\n", 100 * lost / ($3 - $1 + lost + 1) }')
	echo "# $name: $(cat $lab/flood.txt); the engine at $busy % of a core; $(grep loss $lab/pings); $(tail -1 $lab/pings); $full % found its sockets full"
	[ "${loss%.*}" -lt $((5 + full * 2)) ] || fail "$name: $loss % of the pings are lost"
	say "$name: packets, handshakes and frames go on"
}

under "frames of no known pair"
[ "$(weir_on target status wg0 --json | jq '.peers[0].network.frames.rejected.forged // 0')" = 0 ] ||
	fail "frames of another pair were taken for the peer's"
under "frames with the pair's id" "$(cat $lab/friend/key)"
until_true 20 more target 'network.frames.rejected.forged // 0' 10000 ||
	fail "the forged frames are not counted: $(peer target network.frames)"
