#!/bin/sh
# The numbers that weir promises for outages, measured on two engines behind two NATs with a relay: how long a ping every
# 20 ms finds no answer while something breaks. As a test each case runs once and has three times its bound, for machines
# that are busy; `make numbers` runs ten rounds and holds the medians against the bounds themselves.
#
#   ROUNDS=10 STRICT=1 ONLY="udp restart"
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/nat.sh"
need wg jq nft conntrack ss ping awk

rounds=${ROUNDS:-1}
slack=3
[ "${STRICT:-}" != 1 ] || slack=1
failures=0

public
site left 10 port
site right 20 port
relay_start
peer_conf left 1 right 2
peer_conf right 2 left 1

start_both() {
	weir_start left $lab/left/wg0.conf
	weir_start right $lab/right/wg0.conf
	settle
}

# On the direct path, and the relay stands by: what every case begins with.
settle() {
	until_true 60 path_is left ice || fail "left is not on ice: $(path_of left)"
	until_true 60 path_is right ice || fail "right is not on ice: $(path_of right)"
	until_true 30 standby left || fail "left has no relay standing by"
	until_true 30 standby right || fail "right has no relay standing by"
	pings left 10.9.0.2 3 || fail "the tunnel loses packets at rest"
}

standby() {
	weir_on "$1" status wg0 --json | jq -e '.peers[0].network.paths[] | select(.kind == "relay" and .state == "up")' >/dev/null
}

answers() { # FILE NUMBER: so many answers have come
	[ "$(grep -c 'bytes from' "$1")" -ge "$2" ]
}

# The tunnel has answered again after the fault, steadily.
steady() {
	before=$(grep -c 'bytes from' "$1")
	until_true 60 answers "$1" $((before + 25)) || fail "$case: the tunnel did not come back"
}

# The last answers of the file are newer than the moment, and 15 of them follow each other.
alive_again() { # FILE
	awk '/bytes from/ { t = substr($1, 2) + 0; n = t - last < 0.2 ? n + 1 : 0; last = t } END { exit !(n >= 15) }' "$1"
}

# measure NAME BOUND-MS INJECT HEAL: rounds of a fault; the longest gap of each.
measure() {
	case=$1
	[ -z "${ONLY:-}" ] || case " $ONLY " in *" $1 "*) ;; *) return 0 ;; esac
	bound=$2
	: >$lab/results
	round=0
	while [ $round -lt "$rounds" ]; do
		round=$((round + 1))
		watch_start left 10.9.0.2 120 $lab/pings
		until_true 20 answers $lab/pings 25 || fail "$1: no pings before the fault"
		$3
		sleep 0.3
		until_true 60 alive_again $lab/pings || fail "$1: the tunnel did not come back"
		steady $lab/pings
		watch_stop $lab/pings
		outage_of $lab/pings >>$lab/results
		$4
		settle
	done
	middle=$(sort -n $lab/results | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }')
	worst=$(sort -n $lab/results | tail -n 1)
	if [ "$middle" -gt $((bound * slack)) ]; then
		echo "NOT OK: $1: median $middle ms, worst $worst ms of $rounds; bound $bound ms"
		failures=$((failures + 1))
	else
		say "$1: median $middle ms, worst $worst ms of $rounds; bound $bound ms"
	fi
}

nothing() { :; }
heal_left() { heal left; }

udp_blocked() { fault_udp left; }
wireguard_filtered() { fault_wireguard left; }
mappings_lost() {
	nat_forget left
	nat_forget right
}

# Another public address at the left box: its relay connection and its mapping die together.
readdress() {
	if [ -f $lab/moved ]; then
		nat_readdress left 10 port
		rm $lab/moved
	else
		nat_readdress left 11 port
		touch $lab/moved
	fi
}

kill_right() {
	kill -9 "$(cat $lab/right/pid)"
	wait "$(cat $lab/right/pid)" 2>/dev/null || true
	ip -n right link del wg0 2>/dev/null || true
	weir_start right $lab/right/wg0.conf
}

stop_right() {
	kill -TERM "$(cat $lab/right/pid)"
	wait "$(cat $lab/right/pid)" || true
	weir_start right $lab/right/wg0.conf
}

drain_left() { weir_on left drain all >/dev/null; }

restart_relay() {
	kill -9 "$(cat $lab/srv/pid.relay)"
	wait "$(cat $lab/srv/pid.relay)" 2>/dev/null || true
	sleep 0.5 # nobody restarts one in no time, and a server that closes and answers at once means another thing (F39)
	relay_start
}

# The relay is what carries the tunnel when it goes away.
force_relay() {
	weir_on left path right relay-only >/dev/null
	weir_on right path left relay-only >/dev/null
	until_true 30 path_is left relay || fail "left does not take the relay"
	until_true 30 path_is right relay || fail "right does not take the relay"
}
unforce() {
	weir_on left path right auto >/dev/null
	weir_on right path left auto >/dev/null
}

# Our own address changes, on the same cable.
new_address() {
	if [ -f $lab/readdressed ]; then
		ip -n left addr del 10.10.0.9/24 dev lan
		ip -n left addr add 10.10.0.2/24 dev lan
		rm $lab/readdressed
	else
		ip -n left addr del 10.10.0.2/24 dev lan
		ip -n left addr add 10.10.0.9/24 dev lan
		touch $lab/readdressed
	fi
	ip -n left route replace default via 10.10.0.1
}

start_both
say "two engines on ice, a relay standing by"
measure udp-blocked 1000 udp_blocked heal_left
measure wireguard-filtered 3000 wireguard_filtered heal_left
measure mappings-lost 1000 mappings_lost nothing
measure public-address 3000 readdress nothing
measure killed 1000 kill_right nothing
measure orderly-restart 300 stop_right nothing
measure drained 300 drain_left nothing
measure relay-restart-on-ice 60 restart_relay nothing
measure new-address 1000 new_address nothing
force_relay
settle() {
	until_true 60 path_is left relay || fail "left is not on the relay"
	until_true 60 path_is right relay || fail "right is not on the relay"
	pings left 10.9.0.2 3 || fail "the relay loses packets at rest"
}
measure relay-restart-in-use 3000 restart_relay nothing
unforce
[ $failures = 0 ] || fail "$failures numbers do not hold"
