#!/bin/sh
# Keys are renewed under traffic without the loss of one packet; they expire, and are called for again, when there is
# none; silence is noticed. weir to weir with protocol times divided by 40. With LAB_LONG=1 also 130 s in real time
# against wireguard-go.
. "$(dirname "$0")/lib.sh"
need wg ping ip jq nft iperf3

divisor=40
host left right
cable left 192.0.2.1/24 right 192.0.2.2/24
keys left right
conf() { # HOST OTHER-HOST N M
	cat >$lab/$1/wg0.conf <<CONF
[Interface]
PrivateKey = $(cat $lab/$1/key)
ListenPort = 51820
Address = 10.9.0.$3/24
[Peer]
Name = $2
PublicKey = $(cat $lab/$2/pub)
Endpoint = 192.0.2.$4:51820
AllowedIPs = 10.9.0.$4/32
Mode = plain
CONF
	chmod 600 $lab/$1/wg0.conf
}
conf left right 1 2
conf right left 2 1
weir_start right $lab/right/wg0.conf --time-divisor $divisor
weir_start left $lab/left/wg0.conf --time-divisor $divisor
until_true 20 pings left 10.9.0.2 1 || fail "no tunnel"

peer() { # JQ-PATH of left's peer
	weir_on left status wg0 --json | jq -r ".peers[0]$1"
}
counted() { # COUNTER NUMBER: left has at least that many
	[ "$(peer ".counters.$1 // 0")" -ge "$2" ]
}
pinger() { # HOST ADDRESS FILE [INTERVAL]: in the background, its pid in $pid
	ip netns exec "$1" ping -n -q -i "${4:-0.02}" -W 2 "$2" >"$3" 2>&1 &
	pid=$!
}
ended() { # PID FILE [NUMBER]: ends that ping; true if every packet was answered, but for so many
	kill -INT "$1"
	wait "$1" || true
	# What was under way when it ended is no loss.
	awk -v most=$((1 + ${3:-0})) '/packets transmitted/ { found = 1; exit $1 - $4 > most } END { if (!found) exit 1 }' "$2"
}

# 1. six rekeys or more under traffic from both sides and a stream of UDP
done_before=$(peer .counters.handshake_done)
pinger left 10.9.0.2 $lab/left/pings
left_ping=$pid
pinger right 10.9.0.1 $lab/right/pings
right_ping=$pid
ip netns exec right iperf3 -s -1 >/dev/null 2>&1 &
until_true 10 sh -c "ip netns exec right ss -ltn | grep -q 5201" || fail "iperf3 does not listen"
on left iperf3 -c 10.9.0.2 -u -b 20M -l 1200 -w 1M -t 20 --json >$lab/iperf.json 2>&1 || fail "iperf3: $(cat $lab/iperf.json)"
until_true 30 counted handshake_done $((done_before + 6)) || fail "no rekeys: $(peer .counters)"
dropped=$(kernel_dropped left right)
ended $left_ping $lab/left/pings "$dropped" || fail "packets lost across rekeys: $(tail -2 $lab/left/pings)"
ended $right_ping $lab/right/pings "$dropped" || fail "packets lost across rekeys: $(tail -2 $lab/right/pings)"
lost=$(jq .end.sum.lost_packets $lab/iperf.json)
[ "$lost" -le "$dropped" ] ||
	fail "$lost of $(jq .end.sum.packets $lab/iperf.json) UDP packets lost across rekeys, $dropped of them by the kernel"
rekeys=$(($(peer .counters.handshake_done) - done_before))
say "$rekeys rekeys under traffic, nothing lost but what the kernel dropped ($dropped): $(grep transmitted $lab/left/pings); $(jq .end.sum.packets $lab/iperf.json) UDP packets"
# One per 3 s and initiator; far more would be handshakes without need.
[ $rekeys -le 24 ] || fail "$rekeys handshakes in some 20 s"
[ "$(peer '.counters | (.reject_replayed_counter // 0) + (.reject_undecryptable_data // 0)')" = 0 ] ||
	fail "packets were refused: $(peer .counters)"

# 2. without traffic nothing is renewed, keys die, and the first packet later arrives all the same
sleep 1
before=$(peer .counters.initiation_sent)
until_true 30 sh -c "[ \$(ip netns exec left $weir status wg0 --json --run-dir $lab/left | jq -r .peers[0].tunnel.state) = expired ]" ||
	fail "keys do not expire: $(peer .tunnel)"
keyless() {
	[ "$(peer '.keypairs | length')" = 0 ]
}
until_true 30 keyless || fail "keys are not forgotten: $(peer .keypairs)"
[ "$(peer .counters.initiation_sent)" = "$before" ] || fail "handshakes on a tunnel that nobody uses"
pings left 10.9.0.2 1 || fail "the first packet after the end of the keys is lost"
say "no traffic: no handshakes, keys expire and are forgotten; the first packet after that arrives"

# 3. silence: they do not answer. New handshakes are tried, and the tunnel is back with the first that is answered.
pinger left 10.9.0.2 $lab/left/pings 0.05
until_true 10 pings left 10.9.0.2 1 || fail "no tunnel before the silence"
on right nft -f - <<'NFT'
table inet t {
	chain in {
		type filter hook input priority 0;
		udp dport 51820 drop
	}
	chain out {
		type filter hook output priority 0;
		udp sport 51820 drop
	}
}
NFT
before=$(peer .counters.initiation_sent)
until_true 30 counted initiation_sent $((before + 3)) || fail "silence is not noticed: $(peer .)"
until_true 10 sh -c "$weir log wg0 --run-dir $lab/left | grep 'no answer to data'" ||
	fail "the log does not tell of silence: $(weir_on left log wg0 | tail -5)"
is_stuck() {
	[ "$(peer .word)" = STUCK ]
}
until_true 30 is_stuck || fail "not STUCK: $(peer .word)"
on right nft delete table inet t
start=$(milliseconds)
until_true 30 pings left 10.9.0.2 1 || fail "not back after silence"
say "silence is noticed and named, and after it the tunnel is back in $(($(milliseconds) - start)) ms"
kill $pid
wait $pid || true

# 4. handshakes are given up after 90 s of the divided clock, and a packet begins anew
weir_end right KILL
weir_on left drain all -i wg0
on left ping -q -n -c 1 -W 1 10.9.0.2 >/dev/null 2>&1 && fail "somebody answers"
until_true 30 counted handshake_given_up 1 || fail "never given up: $(peer .handshake)"
before=$(peer .counters.initiation_sent)
sleep 1
[ "$(peer .counters.initiation_sent)" = "$before" ] || fail "goes on after giving up"
weir_start right $lab/right/wg0.conf --time-divisor $divisor
until_true 30 pings left 10.9.0.2 1 || fail "not back after giving up"
say "given up after the time of 90 s, and begun anew by the next packet"

[ "${LAB_LONG:-0}" = 1 ] || {
	echo "# without LAB_LONG=1: no 130 s against wireguard-go"
	exit 0
}
need wireguard-go
for side in left right; do
	weir_end $side
done
go_start right wb
wg set wb private-key $lab/right/key listen-port 51820 peer "$(cat $lab/left/pub)" allowed-ips 10.9.0.1/32
on right ip addr add 10.9.0.2/24 dev wb
on right ip link set dev wb mtu 1420 up
weir_start left $lab/left/wg0.conf
until_true 20 pings left 10.9.0.2 1 || fail "no tunnel with wireguard-go"
pinger left 10.9.0.2 $lab/left/pings 0.01
until_true 150 counted handshake_done 2 || fail "no rekey after 120 s"
sleep 8
ended $pid $lab/left/pings || fail "packets lost across the rekey with wireguard-go: $(tail -2 $lab/left/pings)"
[ "$(peer .counters.handshake_done)" = 2 ] || fail "$(peer .counters.handshake_done) handshakes, not 2"
say "130 s against wireguard-go, one rekey: $(grep transmitted $lab/left/pings)"
