#!/bin/sh
# The numbers that weir promises for outages, measured on two engines behind two NATs with a relay: how long a ping every
# 20 ms finds no answer while something breaks. As a test each case runs once and has three times its bound, for machines
# that are busy, and more where the machine stood still; `make numbers` runs ten rounds and holds the medians against the bounds themselves.
#
#   ROUNDS=10 STRICT=1 ONLY="udp restart"
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/nat.sh"
. "$(dirname "$0")/faults.sh"
need wg jq nft conntrack ss ping awk

rounds=${ROUNDS:-1}
case=start
failures=0

public
site left 10 port
site right 20 port
relay_start
peer_conf left 1 right 2
peer_conf right 2 left 1

# What every case begins with.
kind=ice
settle() {
	settled $kind left right
	pings left 10.9.0.2 3 || fail "$case: the tunnel loses packets at rest"
}

# measure NAME BOUND-MS INJECT HEAL: rounds of a fault; the longest gap of each.
measure() {
	wanted "$1" || return 0
	case=$1
	bound=$2
	: >$lab/results
	round=0
	while [ $round -lt "$rounds" ]; do
		round=$((round + 1))
		flow_start left 10.9.0.2
		$3
		flow_again 60
		flow_stop
		echo "$gap" >>$lab/results
		$4
		settle
	done
	middle=$(sort -n $lab/results | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }')
	worst=$(sort -n $lab/results | tail -n 1)
	if late "$middle" "$bound"; then
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
	end_engine right
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

begin left right
settle
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
kind=relay
measure relay-restart-in-use 3000 restart_relay nothing
unforce
[ $failures = 0 ] || fail "$failures numbers do not hold"
