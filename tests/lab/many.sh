#!/bin/sh
# Many peers: 2,000 through wg setconf, 10,000 from a file. What they cost is printed; the bounds are wide, for slow
# machines. Status, dashboard and packets of a good peer among 1,000 that do not answer.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/terminal.sh"
need wg ping ip jq python3

host left right
cable left 192.0.2.1/24 right 192.0.2.2/24
keys left right
cat >$lab/right/wg0.conf <<CONF
[Interface]
PrivateKey = $(cat $lab/right/key)
ListenPort = 51820
Address = 10.9.0.2/24
[Peer]
Name = left
PublicKey = $(cat $lab/left/pub)
AllowedIPs = 10.9.0.1/32
CONF
chmod 600 $lab/right/wg0.conf
weir_start right $lab/right/wg0.conf

# peers FILE NUMBER KIND: with endpoints that nobody answers at ("dead"), or without ("waiting"). Any 32 bytes are a
# public key, so that they need no wg genkey each.
peers() {
	python3 - "$@" <<'PY'
import base64, hashlib, sys
path, number, kind = sys.argv[1], int(sys.argv[2]), sys.argv[3]
with open(path, "a") as out:
    for i in range(number):
        key = bytearray(hashlib.sha256(b"peer %d" % i).digest())
        key[31] &= 0x7f
        out.write("[Peer]\nPublicKey = %s\nAllowedIPs = 10.%d.%d.%d/32\n" % (
            base64.b64encode(key).decode(), 100 + (i >> 16), i >> 8 & 255, i & 255))
        if kind == "dead":
            out.write("Endpoint = 192.0.2.2:%d\n" % (10000 + i))
PY
}
good_peer() {
	printf '[Peer]\nPublicKey = %s\nEndpoint = 192.0.2.2:51820\nAllowedIPs = 10.9.0.2/32\n' "$(cat $lab/right/pub)"
}
resident() { # PID: kB
	awk '/^VmRSS/ { print $2 }' "/proc/$1/status"
}
ticks() { # PID: CPU time, in 1/100 s
	awk '{ print $14 + $15 }' "/proc/$1/stat"
}
per_peer() { # BEFORE-KB AFTER-KB NUMBER: bytes
	echo $((($2 - $1) * 1024 / $3))
}

# 1. 2,000 through wg setconf
uapi_start left wm
engine=$(cat $lab/left/pid.wm)
before=$(resident "$engine")
printf '[Interface]\nPrivateKey = %s\n' "$(cat $lab/left/key)" >$lab/many.conf
peers $lab/many.conf 2000 waiting
good_peer >>$lab/many.conf
on left ip addr add 10.9.0.1/24 dev wm
on left ip link set wm up
start=$(milliseconds)
wg setconf wm $lab/many.conf || fail "wg setconf with 2,000 peers"
ms=$(($(milliseconds) - start))
[ "$(wg show wm peers | wc -l)" = 2001 ] || fail "$(wg show wm peers | wc -l) peers"
until_true 20 pings left 10.9.0.2 1 || fail "no tunnel among 2,000 peers"
bytes=$(per_peer "$before" "$(resident "$engine")" 2000)
echo "# 2,000 peers by wg setconf: $ms ms, $bytes bytes of memory each"
[ "$ms" -lt 30000 ] || fail "wg setconf took $ms ms"
[ "$bytes" -lt 32768 ] || fail "$bytes bytes for each peer"
start=$(milliseconds)
wg setconf wm $lab/many.conf || fail "again"
echo "# the same again: $(($(milliseconds) - start)) ms"
kill "$engine"
until_true 20 sh -c "! ip -n left link show wm" || fail "wm stays"
say "2,000 peers by wg setconf"

# 2. 10,000 from a file
conf() { # NUMBER KIND
	cat >$lab/left/wg0.conf <<CONF
[Interface]
PrivateKey = $(cat $lab/left/key)
ListenPort = 51820
Address = 10.9.0.1/24
CONF
	peers $lab/left/wg0.conf "$1" "$2"
	good_peer >>$lab/left/wg0.conf
	chmod 600 $lab/left/wg0.conf
}
conf 0 waiting
weir_start left $lab/left/wg0.conf --log-level notice
until_true 20 pings left 10.9.0.2 1 || fail "no tunnel"
before=$(resident "$(cat $lab/left/pid)")
stop() {
	kill "$(cat $lab/left/pid)"
	until_true 30 sh -c "! ip -n left link show wg0" || fail "wg0 stays"
}
stop
conf 10000 waiting
start=$(milliseconds)
weir_start left $lab/left/wg0.conf --log-level notice
until_true 60 pings left 10.9.0.2 1 || fail "no tunnel among 10,000 peers"
ms=$(($(milliseconds) - start))
engine=$(cat $lab/left/pid)
bytes=$(per_peer "$before" "$(resident "$engine")" 10000)
[ "$ms" -lt 60000 ] || fail "$ms ms until the tunnel is up"
[ "$bytes" -lt 32768 ] || fail "$bytes bytes for each peer"
start=$(milliseconds)
weir_on left status wg0 --json >$lab/status.json || fail "status of 10,000 peers"
json=$(($(milliseconds) - start))
[ "$(jq '.peers | length' $lab/status.json)" = 10001 ] || fail "$(jq '.peers | length' $lab/status.json) peers in status"
start=$(milliseconds)
weir_on left status wg0 >/dev/null || fail "status"
text=$(($(milliseconds) - start))
[ $json -lt 30000 ] && [ $text -lt 30000 ] || fail "status took $json ms as JSON, $text ms as text"
# Two seconds in which nothing happens.
sleep 1
idle=$(ticks "$engine")
sleep 2
idle=$((($(ticks "$engine") - idle) / 2))
echo "# 10,000 peers from a file: up after $ms ms, $bytes bytes of memory each, status $text ms, --json $json ms, idle $idle % of a core"
[ $idle -le 10 ] || fail "an idle engine takes $idle % of a core"
say "10,000 peers from a file"

# 3. the dashboard shows them; packets go on beside it
ip netns exec left ping -n -q -i 0.02 10.9.0.2 >$lab/pings 2>&1 &
ping_pid=$!
start=$(milliseconds)
tm new-session -d -s lab -x 120 -y 40 "ip netns exec left $weir attach wg0 --run-dir $lab/left"
until_true 30 shows "10,\{0,1\}001" || fail "the dashboard does not show 10,001 peers: $(screen)"
shown=$(($(milliseconds) - start))
keys_to End
until_true 30 shows "IDLE" || fail "no list at its end"
sleep 1
busy=$(ticks "$engine")
sleep 2
busy=$((($(ticks "$engine") - busy) / 2))
tm kill-server || true
kill -INT $ping_pid
wait $ping_pid || true
# One that a busy machine lost is no dashboard's fault.
answered_all() { # [NUMBER]: but for so many, and those that there was no room for
	awk -v most=$((${1:-0} + $(kernel_dropped left right))) '/packets transmitted/ { exit !($1 - $4 <= most) }' $lab/pings
}
answered_all 2 ||
	fail "the dashboard of 10,000 peers costs packets: $(tail -2 $lab/pings)"
echo "# dashboard of 10,001 peers: shown after $shown ms, engine at $busy % of a core while it is watched; $(tail -1 $lab/pings)"
[ $busy -le 60 ] || fail "the engine takes $busy % of a core for a dashboard"
say "the dashboard shows 10,001 peers, no packet lost beside it"
stop

# 4. 1,000 peers that do not answer are called at the start, and a good one among them has its tunnel at once
conf 1000 dead
start=$(milliseconds)
weir_start left $lab/left/wg0.conf --log-level notice
until_true 20 pings left 10.9.0.2 1 || fail "no tunnel among 1,000 dead peers"
ms=$(($(milliseconds) - start))
on left ping -n -q -i 0.02 -c 300 -W 2 10.9.0.2 >$lab/pings 2>&1 || fail "packets lost among 1,000 dead peers: $(tail -2 $lab/pings)"
called=$(weir_on left status wg0 --json | jq .counters.initiation_sent)
[ "$called" -ge 1001 ] || fail "only $called of 1,001 were called"
answered_all || fail "packets lost among 1,000 dead peers: $(tail -2 $lab/pings)"
echo "# $called initiations to 1,000 peers that do not answer; the good one is up after $ms ms; $(tail -1 $lab/pings)"
say "1,000 peers that do not answer: the good one is up after $ms ms and loses nothing"
