#!/bin/sh
# Faults of relays and of the connections to them, with real engines that have no other way. The ids are those of the
# catalogue of faults in the simulator's tests.
#
#   ONLY="F1 F18" STRICT=1
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/nat.sh"
. "$(dirname "$0")/faults.sh"
need wg jq nft conntrack ss ping awk

one=203.0.113.5
two=203.0.113.6
public
site left 10 blocked
site right 20 blocked
site third 30 blocked
relay_at one $one
line="Url = rel://$one:443
SecretFile = $lab/srv/secret"

conf_of left 1 "$line"
peer_of left right 2
peer_of left third 3
conf_of right 2 "$line"
peer_of right left 1
peer_of right third 3
conf_of third 3 "$line"
peer_of third left 1
peer_of third right 2

case=start
weir_start left $lab/left/wg0.conf
weir_start right $lab/right/wg0.conf
weir_start third $lab/third/wg0.conf
until_true 20 pings left 10.9.0.2 1 || fail "no tunnel from left to right"
until_true 20 pings left 10.9.0.3 1 || fail "no tunnel from left to third"
until_true 20 pings right 10.9.0.3 1 || fail "no tunnel from right to third"
settled relay left right
say "three engines behind boxes that let no UDP through, at one relay"

if wanted F1; then
	outage_case F1 "the connection to the relay dies silently, a new one would work" 3000 "tcp_dies left $one"
	heal left
fi

# The server keeps the dead session until a new one takes its place.
if wanted F9; then
	case=F9
	flow_start left 10.9.0.2
	begun=$(moment)
	before=$(relay_ports left $one)
	tcp_dies left $one
	fault left tcp dport 443 drop
	sleep 8
	healed=$(date +%s.%N)
	nat_kind left blocked
	for port in $before; do
		fault left tcp sport "$port" drop
		fault left tcp dport "$port" drop
	done
	flow_again 60
	flow_stop
	back=$(after $lab/pings "$healed")
	say "F9: the connection died and could be made anew after 8 s only, beside the ghost of the old: back after $back ms," \
		"the bound is 3000 ms"
	evidence left "$begun"
	within F9 "$back" 3000
	heal left
fi

if wanted F18; then
	case=F18
	watch_start left 10.9.0.3 100 $lab/pings.a
	watch_start right 10.9.0.3 100 $lab/pings.b
	flow_start left 10.9.0.2
	begun=$(moment)
	relay_kill one
	sleep 0.5
	relay_at one $one
	listens=$(date +%s.%N)
	flow_again 60
	for file in $lab/pings.a $lab/pings.b; do
		until_true 60 flows $file "$(grep -c 'bytes from' $file)" || fail "F18: a tunnel did not come back"
	done
	flow_stop
	watch_stop $lab/pings.a
	watch_stop $lab/pings.b
	worst=0
	for file in $lab/pings $lab/pings.a $lab/pings.b; do
		back=$(after $file "$listens")
		gap=$(outage_of $file)
		[ "$gap" -le $worst ] || worst=$gap
		[ -n "$back" ] && ! late "$back" 3000 || fail "F18: $file: $back ms after it listens"
	done
	back=$(after $lab/pings "$listens")
	say "F18: the relay of three peers restarted: all three tunnels back, the longest gap $worst ms," \
		"the first $back ms after it listens, the bound is 3000 ms"
	for end in left right third; do
		[ -n "$(told $end "$begun" 'relay connection is lost|logged in')" ] || fail "F18: $end did not notice"
		evidence $end "$begun" 'lost|notice' 1
	done
fi

# A proxy that cuts connections. (Three that end within 15 s are taken for another host with our key, see F39.)
cut() {
	for port in $(relay_ports left $one); do
		fault left tcp sport "$port" reject with tcp reset
		fault left tcp dport "$port" reject with tcp reset
	done
}
twice() {
	cut
	sleep 2
	cut
}
if wanted F36; then
	outage_case F36 "a proxy resets the connection, and again 2 s later" 1000 twice
	heal left
fi

# third takes no part any more: it is stopped as by a debugger, and its kernel goes on to acknowledge.
if wanted F35; then
	case=F35
	kill -STOP "$(cat $lab/third/pid)"
	ip netns exec left ping -n -q -f -s 1300 -w 6 10.9.0.3 >/dev/null 2>&1 &
	flood=$!
	flow_start left 10.9.0.2
	begun=$(moment)
	sleep 4
	wait $flood || true
	flow_stop
	changes=$(told left "$begun" 'right: .* (lost|dead|reopen)')
	say "F35: third reads nothing while it is flooded: right's longest gap is $gap ms, the bound is 200 ms"
	within F35 "$gap" 200
	[ -z "$changes" ] || fail "F35: $changes"
	kill -CONT "$(cat $lab/third/pid)"
	start=$(milliseconds)
	until_true 20 answered left 10.9.0.3 || fail "F35: third does not come back"
	say "F35: third is back $(since "$start") ms after it goes on"
fi

# A second engine with right's key.
if wanted F39; then
	case=F39
	end_engine third
	mkdir -p $lab/twin/state
	cp $lab/right/wg0.conf $lab/twin/wg0.conf
	begun=$(moment)
	ip netns exec third "$weir" --headless $lab/twin/wg0.conf --run-dir $lab/twin --state-dir $lab/twin/state \
		--log-level debug >>$lab/twin/log 2>&1 &
	echo $! >$lab/twin/pid
	until_true 60 grep -q "another host logs in with the same key" $lab/right/log || fail "F39: right is not told"
	until_true 60 grep -q "another host logs in with the same key" $lab/twin/log || fail "F39: its twin is not told"
	say "F39: two engines with one key: both say so"
	grep -h -m 1 "same key" $lab/right/log $lab/twin/log | sed 's/^/#   /'
	until_true 60 sh -c "ip netns exec right '$weir' status wg0 --run-dir $lab/right | grep -q 'same key'" ||
		fail "F39: right's status does not say it: $(weir_on right status wg0)"
	kill -TERM "$(cat $lab/twin/pid)"
	wait "$(cat $lab/twin/pid)" 2>/dev/null || true
	start=$(milliseconds)
	until_true 90 pings left 10.9.0.2 2 || fail "F39: right does not come back when its twin is gone"
	say "F39: right is back $(since "$start") ms after its twin is gone"
fi
