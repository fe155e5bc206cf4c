#!/bin/sh
# Both ends are weir and tell each other what they count, so the verdict can say on which side the fault is: a preshared key
# that differs, a way back that is blocked, a peer that dropped our key while it is still at the relay. A pair beside them is
# healthy.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/verdicts.sh"
need wg ping ip nft
flood=$LAB_BUILD/tests/lab/flood
[ -x "$flood" ] || {
	echo "skipped: tests/lab/flood is not built (make check builds it)"
	exit 77
}

host rel here
ip -n rel link add br0 type bridge
ip -n rel addr add 203.0.113.1/24 dev br0
ip -n rel link set br0 up
plugged() { # NAME LAST
	ip -n "$1" link add wan type veth peer name "to-$1" netns rel
	ip -n rel link set "to-$1" master br0 up
	ip -n "$1" addr add "203.0.113.$2/24" dev wan
	ip -n "$1" link set wan up
	ip -n "$1" route add default via 203.0.113.1
	keys "$1"
}
plugged here 2
host good psk lacks left right forged old next forger
plugged good 3
plugged psk 4
plugged lacks 5
plugged left 6
plugged right 7
plugged forged 8
plugged old 9
plugged next 10
plugged forger 20
relay_on rel 8001 rel://203.0.113.1:8001

umask 077
interface() { # HOST ADDRESS [LINES]
	printf '[Interface]\nPrivateKey = %s\nListenPort = 51820\nAddress = 10.9.0.%s/24\n%s\n[Ice]\nEnable = no\n' "$(cat $lab/$1/key)" "$2" "${3:-}"
}
peer() { # NAME LAST [LINES]
	printf '[Peer]\nName = %s\nPublicKey = %s\nAllowedIPs = 10.9.0.%s/32\nEndpoint = 203.0.113.%s:51820\nPersistentKeepalive = 2\n%s\n' \
		"$1" "$(cat $lab/$1/pub)" "$2" "$2" "${3:-}"
}
secret() {
	echo "PresharedKey = $(wg genpsk)"
}
relay=$(printf '[Relay]\nUrl = rel://203.0.113.1:8001\nSecretFile = %s' $lab/secret)
{
	interface here 2 "$relay"
	peer good 3
	peer psk 4 "$(secret)"
	peer lacks 5
	peer forged 8
	peer old 9 | grep -v Endpoint
	peer next 10
} >$lab/here/wg0.conf
{
	interface old 9 "$relay"
	peer here 2 | grep -v Endpoint
} >$lab/old/wg0.conf
for name in good:3 lacks:5 forged:8; do
	{
		interface ${name%:*} ${name#*:} "$relay"
		peer here 2
	} >$lab/${name%:*}/wg0.conf
done
{
	interface psk 4 "$relay"
	peer here 2 "$(secret)"
} >$lab/psk/wg0.conf
{
	interface left 6
	peer right 7
} >$lab/left/wg0.conf
{
	interface right 7
	peer left 6
} >$lab/right/wg0.conf

for name in good psk lacks left right forged old here; do
	weir_start $name $lab/$name/wg0.conf --time-divisor 5
done
injected here psk psk-differs "preshared keys differ, both ends weir"
for pair in good:10.9.0.2 lacks:10.9.0.2 forged:10.9.0.2 old:10.9.0.2 left:10.9.0.7; do
	until_true 20 pings ${pair%:*} ${pair#*:} 1 || fail "no tunnel of $pair"
done
ip netns exec good ping -n -q -i 0.2 10.9.0.2 >/dev/null 2>&1 &
ip netns exec left ping -n -q -i 0.2 10.9.0.7 >/dev/null 2>&1 &

# Somebody on the way who makes frames up; frames of a start that is over; and those of a version to come.
forge() { # NAME SECONDS [HOW]
	fo_name=$1
	shift
	ip netns exec forger "$flood" 203.0.113.2 51820 "$(cat $lab/here/pub)" 100 "$1" --frames "$(cat $lab/$fo_name/key)" ${2:-} >/dev/null 2>&1 &
}
injected here forged forged-frames "control frames are forged"
forge forged 40
injected here old frames-of-old-start "frames of a start that is over"
forge old 40 old
injected here next frames-of-other-version "frames of another version"
forge next 40 version

# It forgets us, and stays at its relay.
sed -i '/^\[Peer\]/,$d' $lab/lacks/wg0.conf
weir_on lacks reload >/dev/null
injected here lacks peer-lacks-our-key/there "our key was removed there"
# What is not a frame does not come in.
echo 'table inet f { chain i { type filter hook input priority 0; udp dport 51820 @th,64,32 != 0x77656972 drop; }; }' |
	on left nft -f -
injected left right wireguard-filtered "what comes in is filtered, and frames pass"
injected right left wireguard-filtered "the same, seen by the other end"
verdicts_come 45
never_a_verdict here good
never_a_verdict good here
say "with both ends' counts"
