#!/bin/sh
# Two engines behind NATs of every kind, with a relay, and with a TURN server besides: no pair of kinds without a tunnel,
# and the path that the NATs allow. Prints which path, time to the tunnel and time to that path.
#
#   LAB_LONG=1   every pair of kinds; otherwise those that differ in what they allow
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/nat.sh"
need wg jq nft conntrack turnserver ss ping

public
site left 10 port
site right 20 port
relay_start
coturn_start
# shellcheck disable=SC2034 # read by peer_conf
turn_section="[Ice]
Turn = $nat_server:3490
TurnUser = weir
TurnPassword = pass"

# The best path that two kinds allow, by the mapping and the filtering of either (RFC 4787): a symmetric box shows every
# destination another port, so the other end must accept packets from a port that it does not know.
expected() { # KIND KIND TURN
	case "$1 $2" in
	*blocked*) echo relay ;;
	"symmetric symmetric" | "symmetric port" | "port symmetric") [ "$3" = no ] && echo relay || echo turn ;;
	*) echo ice ;;
	esac
}

try() { # LEFT RIGHT TURN
	nat_kind left "$1"
	nat_kind right "$2"
	nat_forget left
	nat_forget right
	section=
	[ "$3" = no ] || section=$turn_section
	peer_conf left 1 right 2 "$section"
	peer_conf right 2 left 1 "$section"
	want=$(expected "$1" "$2" "$3")
	start=$(milliseconds)
	weir_start left $lab/left/wg0.conf
	weir_start right $lab/right/wg0.conf
	until_true 30 answered left 10.9.0.2 || fail "$1 and $2, TURN $3: no tunnel"
	tunnel=$(since "$start")
	until_true 30 path_is left "$want" || fail "$1 and $2, TURN $3: path $(path_of left), expected $want"
	until_true 30 path_is right "$want" || fail "$1 and $2, TURN $3: path back $(path_of right), expected $want"
	best=$(since "$start")
	pings left 10.9.0.2 5 || fail "$1 and $2, TURN $3: packets lost on $want"
	say "$1 and $2, TURN $3: $want; tunnel after $tunnel ms, best path after $best ms"
	kill "$(cat $lab/left/pid)" "$(cat $lab/right/pid)"
	wait "$(cat $lab/left/pid)" "$(cat $lab/right/pid)" || true
	rm -rf $lab/left/state $lab/right/state
	mkdir -p $lab/left/state $lab/right/state
}

if [ "${LAB_LONG:-}" = 1 ]; then
	for turn in no yes; do
		for left in cone address port symmetric blocked; do
			for right in cone address port symmetric blocked; do
				try $left $right $turn
			done
		done
	done
else
	try port port no
	try cone symmetric no
	try address symmetric no
	try symmetric symmetric no
	try blocked port no
	try port symmetric yes
	try symmetric symmetric yes
	try blocked blocked yes
fi

# Both behind one box: by their own addresses, whatever the box does with hairpins.
behind sister left 3
nat_kind left symmetric
peer_conf left 1 sister 3
peer_conf sister 3 left 1
start=$(milliseconds)
weir_start left $lab/left/wg0.conf
weir_start sister $lab/sister/wg0.conf
until_true 30 answered left 10.9.0.3 || fail "behind one box: no tunnel"
until_true 30 path_is left ice || fail "behind one box: path $(path_of left)"
say "both behind one symmetric box: ice after $(since "$start") ms"
