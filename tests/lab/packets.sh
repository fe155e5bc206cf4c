#!/bin/sh
# The Packets screen on a real engine: what it shows, what its filter picks, what it saves, and that nothing is tapped
# when nobody looks.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/terminal.sh"
need wg ping ip jq od

two_hosts host-
for side in left right; do
	weir_start $side $lab/$side/wg0.conf
done
until_true 20 pings left 10.9.0.2 1 || fail "no tunnel"

sessions() {
	[ "$(weir_on left status wg0 --json | jq .tap.sessions)" = "$1" ]
}

ip netns exec left ping -n -i 0.2 10.9.0.2 >$lab/pings 2>&1 &
ping_pid=$!
mkdir -m 777 $lab/folder
tm new-session -d -s lab -x 120 -y 40 \
	"cd $lab/folder; ip netns exec left $weir attach wg0 --run-dir $lab/left"
wait_screen 'host-right' "no dashboard"
sessions 0 || fail "the engine taps before anybody looks: $(weir_on left status wg0 --json | jq -c .tap)"
keys_to 3
wait_screen 'ICMP .*echo request' "no inner packet"
wait_screen 'WG data' "no datagram"
wait_screen 'FOLLOW' "it does not follow"
sessions 1 || fail "tap: $(weir_on left status wg0 --json | jq -c .tap)"
say "key 3 shows packets of the tunnel and datagrams"

keys_to '/type init or type resp' Enter
wait_screen 'none of' "the filter does not act"
sessions 1 || fail "tap with a filter: $(weir_on left status wg0 --json | jq -c .tap)"
weir_on left drain host-right -i wg0 || fail "drain"
wait_screen 'WG init' "no initiation"
wait_screen 'WG resp.*answers' "no response that answers it"
until_true 20 lacks 'WG data' || fail "the filter lets data through: $(screen)"
keys_to Enter j
wait_screen 'WireGuard  handshake resp' "no decode"
wait_screen 'highlighted: ' "no bytes are highlighted"
wait_screen 'peer  *host-right' "the engine's knowledge is missing"
keys_to Escape Escape
say "a handshake: filtered by type, decoded, request and answer linked"

keys_to '/icmp and ('
wait_screen 'filter?' "a filter that does not parse is not marked"
keys_to 'host 10.9.0.2)' Enter
until_true 20 lacks 'WG ' || fail "the filter lets datagrams through: $(screen)"
wait_screen 'echo reply' "no ICMP with a filter for it"
keys_to k
wait_screen 'PAUSED' "moving does not pause"
keys_to w
wait_screen 'weir-wg0-.*pcapng' "nothing is said of a file"
file=$(echo $lab/folder/*.pcapng)
[ "$(od -An -tx1 -N4 "$file" | tr -d ' ')" = 0a0d0d0a ] || fail "no pcapng: $(od -An -tx1 -N32 "$file")"
if command -v tshark >/dev/null; then
	tshark -r "$file" -Y icmp >$lab/tshark 2>&1 || true
	grep -q 'Echo (ping)' $lab/tshark || fail "tshark sees no ICMP in the file: $(cat $lab/tshark)"
fi
keys_to Escape
say "pcap-filter words with ours, live; w saves what is listed"

ip -n left route add 10.9.0.77/32 dev wg0
keys_to F '/dropped and icmp' Enter
wait_screen 'none of' "packets are shown as dropped that are not"
sessions 1 || fail "tap with a filter: $(weir_on left status wg0 --json | jq -c .tap)"
on left ping -c 1 -W 1 10.9.0.77 >/dev/null 2>&1 || true
wait_screen 'dropped: no peer has' "a packet that no peer takes is not shown as dropped"
wait_screen 'dropped  *no-route' "the decode does not say why it was dropped"
keys_to Escape
say "dropped packets say why"

tm resize-window -t lab -x 60 -y 16
wait_screen 'ICMP' "no packets at 60x16"
tm resize-window -t lab -x 80 -y 24
wait_screen '── bytes' "no bytes at 80x24"
keys_to 1
until_true 10 sessions 0 || fail "the tap goes on after the screen was left"
keys_to T
wait_screen 'is tapped' "T does not tap"
keys_to 1
wait_screen 'STATE' "not back"
sessions 1 || fail "T taps no longer when the screen is left"
keys_to T
until_true 10 sessions 0 || fail "T does not end it"
say "nothing is tapped after leaving, but for T, until T again"

keys_to q
tm kill-server 2>/dev/null || true
until_true 10 sh -c "! [ -S $lab/tmux ] || ! tmux -S $lab/tmux list-sessions" || true
tm new-session -d -s lab -x 80 -y 24 "ip netns exec left $weir attach wg0 --readonly --run-dir $lab/left"
wait_screen 'host-right' "no read-only dashboard"
keys_to 3
wait_screen 'read-only' "a read-only view does not say why it has no packets"
sessions 0 || fail "a read-only view taps"
tm kill-server || true
kill $ping_pid
say "a read-only view taps nothing, and says so"
