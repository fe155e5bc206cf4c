#!/bin/sh
# The dashboard in a real terminal (tmux): screens, actions, leaving, job control, crash, lost terminal, and a terminal
# that nobody reads, none of which may hold up a packet.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/terminal.sh"
need wg ping ip jq

two_hosts host-
weir_start right $lab/right/wg0.conf

tm new-session -d -s lab -x 80 -y 24 "ip netns exec left env PS1='shell> ' sh -i"
wait_screen 'shell>' "no shell"
keys_to "$weir $lab/left/wg0.conf --run-dir $lab/left --state-dir $lab/left/state" Enter
wait_screen 'host-right' "no dashboard"
until_true 20 pings left 10.9.0.2 1 || fail "no tunnel"
wait_screen 'DIRECT' "no DIRECT"
say "weir FILE opens the dashboard on a running tunnel"

keys_to Enter
wait_screen 'wireguard' "no Peer screen"
keys_to '?'
wait_screen 'MOVE' "no help"
keys_to q
wait_screen 'wireguard' "help does not close"
keys_to Escape
wait_screen 'PEER' "not back on Peers"
tm resize-window -t lab -x 120 -y 40
wait_screen 'KEY' "no wide table"
tm resize-window -t lab -x 40 -y 10
wait_screen 'needs 60x16' "nothing said at 40x10"
tm resize-window -t lab -x 60 -y 16
wait_screen 'host-right' "no reduced table"
tm resize-window -t lab -x 80 -y 24
wait_screen 'host-right' "not back at 80x24"
say "Peer, help, resize to 120x40, 40x10, 60x16 and back"

done_count() {
	weir_on left status wg0 --json | jq '.peers[0].counters.handshake_done'
}
was_drained() {
	[ "$(weir_on left status wg0 --json | jq '.peers[0].counters.drained // 0')" -gt 0 ]
}
before=$(done_count)
keys_to D
wait_screen 'rain host-right' "no prompt"
keys_to n
keys_to D
wait_screen 'rain host-right' "no second prompt"
keys_to y
until_true 20 was_drained || fail "drain did nothing"
pings left 10.9.0.2 1 || fail "no packet after drain"
[ "$(done_count)" -gt "$before" ] || fail "no handshake after drain"
say "D asks, n leaves it, y drains"

port_taken() {
	[ "$(weir_on left status wg0 --json | jq '.peers[0].network.ladder.taken.port // 0')" -gt 0 ]
}
keys_to :
keys_to 'ladder hos' Tab
wait_screen 'now skip hold resume port reopen' "Tab does not complete"
keys_to 'port' Enter
until_true 20 port_taken || fail "the command was not taken: $(screen | tail -1)"
pings left 10.9.0.2 3 || fail "no packet from the fresh port"
weir_on left resolve host-right 2>$lab/err && fail "an address was looked up as a name"
grep -q "no name" $lab/err || fail "resolve: $(cat $lab/err)"
keys_to : 'trac' Tab '10.9.0.2' Enter
wait_screen 'trace 10.9.0.2: sent, host-right: ' "a typed trace has no answer"
keys_to : Up
wait_screen '^ : trace 10.9.0.2' "what was typed does not come back"
keys_to Escape
keys_to w
wait_screen 'report saved: /' "no report"
report=$(screen | sed -n 's/.*report saved: \([^ ]*\).*/\1/p')
[ "$(stat -c %a "$report")" = 600 ] || fail "$report is not private"
grep -q 'wireguard sessions' "$report" || fail "the report says nothing: $(head -5 "$report")"
grep -q -e 192.0.2 -e "$(cut -c1-8 $lab/right/pub)" "$report" && fail "the report tells keys or addresses"
rm -f "$report"
say ": takes a command, with Tab; w writes a report without keys and addresses"

# Job control: the view stops alone, and the shell has its terminal back.
ip netns exec left ping -n -D -i 0.05 10.9.0.2 >$lab/pings 2>&1 &
ping_pid=$!
keys_to C-z
wait_screen 'shell>' "^Z does not give the shell back"
pings left 10.9.0.2 20 || fail "^Z stopped packets"
keys_to "fg" Enter
wait_screen 'host-right' "fg does not bring the view back"
say "^Z stops the view alone; fg brings it back"

engine() {
	pgrep -o -f "$weir $lab/left/wg0.conf" | head -1
}
view_crash() {
	for p in $(pgrep -f "$weir"); do
		grep -q '^Name:.*weir-view' "/proc/$p/status" 2>/dev/null && kill -SEGV "$p" && return 0
	done
	return 1
}
if view_crash; then
	sleep 0.5
	wait_screen 'host-right' "the view was not started again"
	pings left 10.9.0.2 5 || fail "a crash of the view stopped packets"
	say "a view that crashes is started again; packets go on"
else
	fail "no process named weir-view"
fi

keys_to q
wait_screen 'keeps running' "q says nothing"
pings left 10.9.0.2 5 || fail "q stopped the tunnel"
say "q leaves the view, the engine keeps running"

keys_to "clear; $weir attach wg0 --readonly --run-dir $lab/left" Enter
wait_screen 'host-right' "attach"
keys_to D
sleep 0.3
shows 'rain host-right' && fail "readonly view offers drain"
say "attach --readonly shows, and offers nothing that changes"

# A terminal that goes away.
tm kill-session -t lab
pings left 10.9.0.2 10 || fail "a lost terminal stopped packets"
weir_on left status wg0 >/dev/null || fail "a lost terminal ended the engine"
say "a lost terminal leaves the engine running"

# A terminal that nobody reads: the view's output blocks at once.
mkfifo $lab/never
tm new-session -d -s stall -x 120 -y 40 "ip netns exec left sh -c '$weir attach wg0 --run-dir $lab/left'"
sleep 1
stalled=$(pgrep -n -f "attach wg0 --run-dir $lab/left")
server=$(pgrep -o -f "tmux -S $lab/tmux")
kill -STOP "$server"
before=$(milliseconds)
on left ping -q -n -c 100 -i 0.02 -W 2 10.9.0.2 >$lab/stall.txt || fail "packets lost while the terminal is stuck"
weir_on left drain all -i wg0 || fail "drain hangs while a terminal is stuck"
pings left 10.9.0.2 5 || fail "no packets after a drain with a stuck terminal"
echo "# with a stuck terminal: $(tail -1 $lab/stall.txt)"
kill -0 "$stalled" || fail "the view died of a stuck terminal"
kill -CONT "$server"
say "a terminal that nobody reads delays no packet and no command"
tm kill-server || true

losses=$(kill -INT $ping_pid; sleep 0.2; tail -3 $lab/pings | grep -o '[0-9.]*% packet loss')
say "through all of this one ping ran in the tunnel: ${losses:-?}"
weir_on left down wg0 || fail "down"
until_true 20 sh -c "! ip -n left link show wg0" || fail "wg0 stays"

# Where there is no terminal, a sentence.
rc=0
on left "$weir" $lab/left/wg0.conf --run-dir $lab/left </dev/null >$lab/err 2>&1 || rc=$?
[ $rc = 2 ] || [ $rc = 1 ] || fail "without a terminal: exit $rc"
grep -q -- "--headless" $lab/err || fail "without a terminal: $(cat $lab/err)"
say "without a terminal: $(head -1 $lab/err)"
