#!/bin/sh
# The restart behaviour: killed and started again under traffic from the other side, with no endpoint configured here;
# the other side is a stock wireguard-go whose session is alive. Prints the outage after each start; ten of ten must be
# back. Then the same with drain, and with a clock that went back a day.
. "$(dirname "$0")/lib.sh"
need wg ping ip wireguard-go

runs=${RUNS:-10}
host ours theirs
cable ours 192.0.2.1/24 theirs 192.0.2.2/24
keys ours theirs
cat >$lab/ours/wg0.conf <<CONF
[Interface]
PrivateKey = $(cat $lab/ours/key)
ListenPort = 51820
Address = 10.9.0.1/24
[Peer]
PublicKey = $(cat $lab/theirs/pub)
AllowedIPs = 10.9.0.2/32
CONF
chmod 600 $lab/ours/wg0.conf
go_start theirs wb
wg set wb private-key $lab/theirs/key listen-port 2222 peer "$(cat $lab/ours/pub)" allowed-ips 10.9.0.1/32 \
	endpoint 192.0.2.1:51820
on theirs ip addr add 10.9.0.2/24 dev wb
on theirs ip link set dev wb mtu 1420 up

# Traffic from the other side all along, one packet each 20 ms, each answer with its time.
ip netns exec theirs ping -n -D -i 0.02 10.9.0.1 >$lab/pings 2>&1 &
ping_pid=$!

answers_since() { # milliseconds since 1970 of the first answer after $1, nothing if none yet
	awk -v t="$1" -F'[][]' '/bytes from/ && $2 * 1000 > t { printf "%d", $2 * 1000; exit }' $lab/pings
}

answered_since() {
	[ -n "$(answers_since "$1")" ]
}

weir_start ours $lab/ours/wg0.conf
start=$(milliseconds)
until_true 30 answered_since "$start" || fail "no first tunnel"
until_true 30 grep -q "^peer " $lab/ours/state/wg0.state || fail "the endpoint is not kept"
say "tunnel is up before any restart, and where the peer is has been written down"

turns_start
i=0
worst=0
while [ $i -lt "$runs" ]; do
	i=$((i + 1))
	kill -KILL "$(cat $lab/ours/pid)"
	until_true 20 sh -c "! ip -n ours link show wg0" || fail "wg0 stays after kill -9"
	sleep 0.3
	weir_start ours $lab/ours/wg0.conf
	until_true 20 test -S $lab/ours/wg0.sock || fail "no start after kill -9"
	start=$(milliseconds)
	until_true 30 answered_since "$start" || fail "run $i: not back"
	ms=$(($(answers_since "$start") - start))
	[ $ms -le 1000 ] || ms=$((ms - $(stalled $((ms + 500)))))
	[ $ms -lt 0 ] && ms=0
	echo "# run $i: first answer $ms ms after the start"
	[ $ms -gt $worst ] && worst=$ms
done
say "killed and started again $runs times, no endpoint configured: back every time, worst $worst ms after the start"
[ $worst -le 1000 ] || fail "a restart took longer than a second"

# A clock that went back a day: the floor of the last run lies a day ahead of the clock. Stock peers refuse an
# initiation that is not newer than the last one, so ours must be stamped above the floor.
kill -KILL "$(cat $lab/ours/pid)"
until_true 20 sh -c "! ip -n ours link show wg0" || fail "wg0 stays"
sed -i "s/^floor .*/floor $(($(date +%s) + 86400))000000000/" $lab/ours/state/wg0.state
weir_start ours $lab/ours/wg0.conf
until_true 20 test -S $lab/ours/wg0.sock || fail "no start with a future floor"
start=$(milliseconds)
until_true 30 answered_since "$start" || fail "not back with a future floor"
kill -KILL "$(cat $lab/ours/pid)"
until_true 20 sh -c "! ip -n ours link show wg0" || fail "wg0 stays"
cp $lab/ours/state/wg0.state $lab/state.kept
floor=$(awk '/^floor/ { print substr($2, 1, 10) }' $lab/state.kept)
[ "$floor" -gt "$(($(date +%s) + 86400))" ] || fail "the floor did not move ahead of what was sent: $floor"
# The peer has now seen a stamp of tomorrow; without the floor our next initiation would look replayed for a day.
weir_start ours $lab/ours/wg0.conf
until_true 20 test -S $lab/ours/wg0.sock || fail "no start"
start=$(milliseconds)
until_true 30 answered_since "$start" || fail "the clock went back a day: initiations are refused"
say "clock back a day: initiations still accepted"
kill $ping_pid
