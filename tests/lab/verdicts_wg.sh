#!/bin/sh
# Each fault of keys, clocks, addresses and this host, all at once, each on a peer of its own: it gets its verdict first. The
# pair beside them is healthy and gets none.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/verdicts.sh"
need wg ping ip nft python3
flood=$LAB_BUILD/tests/lab/flood
[ -x "$flood" ] || {
	echo "skipped: tests/lab/flood is not built (make check builds it)"
	exit 77
}

# Each host on a wire of its own to its hub: 172.16.NUMBER.1 there, .2 here; 10.9.0.NUMBER in the tunnel.
host here hub void
keys here hub void
numbers=0
spoke() { # HUB NAME...
	sp_hub=$1
	shift
	for sp_name in "$@"; do
		numbers=$((numbers + 1))
		eval "number_$sp_name=$numbers"
		host "$sp_name"
		cable "$sp_hub" "172.16.$numbers.1/24" "$sp_name" "172.16.$numbers.2/24"
		keys "$sp_name"
	done
}
spoke here good psk mute inner oldkey clock twin twin2 phoenix refuses leaves keyless busy lonely unrouted echo noise
spoke hub one two three
cp $lab/twin/key $lab/twin/pub $lab/twin2/

number() {
	eval "echo \$number_$1"
}
interface() { # HOST ADDRESS
	printf '[Interface]\nPrivateKey = %s\nListenPort = 51820\nAddress = %s\n[Ice]\nEnable = no\n' "$(cat $lab/$1/key)" "$2"
}
peer() { # NAME PUBLIC-KEY ALLOWED-IP [LINES]
	printf '[Peer]\nName = %s\nPublicKey = %s\nAllowedIPs = %s\n%s\n' "$1" "$2" "$3" "${4:-Mode = plain}"
}
stranger() {
	wg genkey | wg pubkey
}
plain='Mode = plain'
often='PersistentKeepalive = 2'
# of NAME [LINES]: the peer NAME in the file of its hub.
of() {
	peer "$1" "$(cat $lab/$1/pub)" "10.9.0.$((100 + $(number $1)))/32" "$2"
}
to() { # NAME: where it is
	echo "Endpoint = 172.16.$(number $1).2:51820"
}
# end NAME HUB [LINES]: the file of the host NAME, whose only peer is its hub.
end() {
	{
		interface "$1" "10.9.0.$((100 + $(number $1)))/24"
		peer "$2" "$(cat $lab/$2/pub)" 10.9.0.1/32 "$3"
	} >$lab/$1/wg0.conf
}
home() { # NAME: its hub, as it sees it
	echo "Endpoint = 172.16.$(number $1).1:51820"
}
umask 077
lines() {
	printf '%s\n' "$@"
}
{
	interface here 10.9.0.1/24
	of good "$(lines "$(to good)" "$often")"
	of psk "$(lines "$plain" "PresharedKey = $(wg genpsk)" "$(to psk)" "$often")"
	of mute "$(lines "$plain" "$(to mute)" "$often")"
	peer inner "$(cat $lab/inner/pub)" 10.9.0.77/32 "$plain"
	of oldkey "$(lines "$plain" "$(to oldkey)" "$often")"
	of clock "$plain"
	of twin "$plain"
	of phoenix "$(lines "$plain" "$(to phoenix)")"
	of refuses "$(lines "$(to refuses)" "$often")"
	of leaves "$(lines "$(to leaves)" "$often")"
	printf '[Peer]\nName = keyless\nPublicKey = %s\nMode = plain\n' "$(cat $lab/keyless/pub)"
	of busy "$(lines "$plain" "$(to busy)" "$often")"
	of lonely "$(lines "$plain" "$(to lonely)" "$often")"
	of echo "$plain"
	of noise "$plain"
	peer unrouted "$(cat $lab/unrouted/pub)" "10.9.0.$((100 + $(number unrouted)))/32, 10.66.0.0/16" "$plain"
	peer nobody "$(stranger)" 10.9.0.201/32 "$(lines "$plain" "Endpoint = 172.16.1.77:51820" "$often")"
	peer noroute "$(stranger)" 10.9.0.202/32 "$(lines "$plain" "Endpoint = 192.88.99.1:51820" "$often")"
	peer noname "$(stranger)" 10.9.0.203/32 "$(lines "$plain" "Endpoint = nosuch.invalid:51820" "$often")"
	peer nowhere "$(stranger)" 10.9.0.204/32 "$plain"
	peer victim "$(stranger)" 10.9.0.205/32 "$plain"
	peer thief "$(stranger)" 10.9.0.205/32 "$plain"
	peer held "$(stranger)" 10.9.0.206/32 "$(lines "Endpoint = 172.16.1.78:51820" "$often")"
} >$lab/here/wg0.conf
end good here "$(home good)"
end psk here "$(lines "$plain" "PresharedKey = $(wg genpsk)")"
end mute here "$(lines "$plain" "$(home mute)" "$often")"
end inner here "$(lines "$plain" "$(home inner)" "$often")"
end clock here "$(lines "$plain" "$(home clock)" "$often")"
end twin here "$(lines "$plain" "$(home twin)" "PersistentKeepalive = 1")"
end twin2 here "$(lines "$plain" "$(home twin2)" "PersistentKeepalive = 1")"
end phoenix here "$plain"
end refuses here "$(home refuses)"
sed -i 's/^AllowedIPs = .*/AllowedIPs = 10.99.0.1\/32/' $lab/refuses/wg0.conf
end leaves here "$(home leaves)"
end keyless here "$(lines "$plain" "$(home keyless)" "$often")"
end busy here "$(lines "$plain" "$(home busy)" "$often")"
end lonely here "$(lines "$plain" "$(home lonely)" "$often")"
end unrouted here "$(lines "$plain" "$(home unrouted)" "$often")"
end echo here "$(lines "$plain" "$(home echo)" "$often")"
end noise here "$(lines "$plain" "$(home noise)" "$often")"
end oldkey here "$(lines "$plain" "$(home oldkey)" "$often")"
sed -i "s|^PublicKey = .*|PublicKey = $(stranger)|" $lab/oldkey/wg0.conf
{
	interface hub 10.9.0.1/24
	for name in one two three; do
		of $name "$(lines "$plain" "$(to $name)" "$often")"
	done
} >$lab/hub/wg0.conf
for name in one two three; do
	end $name hub "$(lines "$plain" "$(home $name)")"
done
host nowhere
cable void 192.0.2.1/24 nowhere 192.0.2.2/24
{
	interface void 10.9.0.1/24
	for number in 1 2 3; do
		peer lost$number "$(stranger)" 10.9.0.10$number/32 "$(lines "$plain" "Endpoint = 192.0.2.77:1$number" "$often")"
	done
} >$lab/void/wg0.conf

# What it sends arrives, what is sent to it does not.
echo 'table inet f { chain i { type filter hook input priority 0; udp dport 51820 drop; }; }' | on mute nft -f -
# It is asked for a cookie, and never hears the initiation that brings it: the 16 bytes of mac2 are not zero. It calls, too,
# and is not heard.
echo 'table inet f { chain i { type filter hook input priority 0; udp length 156 @th,1120,32 != 0 drop; }; }' | on busy nft -f -
echo 'table inet f { chain i { type filter hook input priority 0; iifname "to-busy" udp length 156 drop; }; }' | on here nft -f -
# The clock there is two hours ahead, until it is set right.
mkdir -p $lab/clock/state
echo "floor $(($(date +%s%N) + 7200000000000))" >$lab/clock/state/wg0.state

began() {
	for name in "$@"; do
		weir_start $name $lab/$name/wg0.conf --time-divisor 5
	done
}
began good psk mute inner oldkey clock twin phoenix refuses leaves keyless lonely unrouted echo noise one two three here hub void
injected here nobody no-answer "wrong endpoint"
injected here noroute send-refused "no route to the endpoint"
injected here noname name-unresolved "name does not resolve"
injected here psk psk-differs "preshared keys differ"
injected psk here psk-differs "preshared keys differ, seen by who answers"
injected here mute outbound-blocked "return path blocked, seen by who answers"
injected mute here no-answer "return path blocked, seen by who calls"
injected here oldkey wrong-key-for-us/there "the peer has a wrong key for us"
injected oldkey here unknown-key/here "we have no such key"
injected here victim prefix-stolen "two peers list one prefix"
injected void lost1 all-silent "nothing answers this host"
until_true 20 pings here "10.9.0.$((100 + $(number good)))" 1 || fail "no tunnel for the good pair"
ip netns exec good ping -n -q -i 0.2 10.9.0.1 >/dev/null 2>&1 &
for name in clock twin leaves lonely unrouted echo noise; do
	until_true 20 pings $name 10.9.0.1 1 || fail "no tunnel of $name"
done
until_true 20 pings here "10.9.0.$((100 + $(number phoenix)))" 1 || fail "no tunnel of phoenix"
ip netns exec here ping -n -q -i 0.1 "10.9.0.$((100 + $(number phoenix)))" >/dev/null 2>&1 &
for name in one two three; do
	until_true 20 pings $name 10.9.0.1 1 || fail "no tunnel of $name"
done

# Now what takes a tunnel that stood.
weir_end phoenix KILL
rm -rf $lab/phoenix/state
weir_end clock KILL
rm -rf $lab/clock/state
sleep 1 # its peer must have something unanswered
began phoenix clock twin2
# Ours may bring the tunnel back before a second one of its initiations is refused, and one might be a replay.
refused() {
	weir_on clock handshake here
	[ "$(weir_on here status wg0 --json | jq '.peers[] | select(.name == "clock") | .counters.reject_replayed_timestamp')" -ge 2 ]
}
until_true 30 refused || fail "initiations of a clock that went back are not refused"
injected here phoenix peer-restarted/there "the peer restarted"
injected phoenix here we-restarted/here "we restarted"
injected here clock peer-clock-back "its clock went back"
injected here twin duplicate-key "one key on two hosts"
weir_on leaves down >/dev/null
injected here leaves peer-away "the peer went down in order"
ip -n lonely link set to-here down
injected lonely here link-lost/here "this host lost its link"
ip netns exec here ping -n -q -i 0.2 "10.9.0.$((100 + $(number lonely)))" >/dev/null 2>&1 &
injected here lonely stopped-answering "the peer lost its link"
echo 'table inet f { chain i { type filter hook input priority 0; udp dport 51820 drop; }; }' | on hub nft -f -
for name in one two three; do
	ip netns exec hub ping -n -q -i 0.2 "10.9.0.$((100 + $(number $name)))" >/dev/null 2>&1 &
done
injected hub one all-at-once "all peers fall silent at once"
ip -n here route del 10.66.0.0/16 || fail "the route was not there"
injected here unrouted route-missing "a prefix is routed elsewhere"
# Each packet on its wire comes a second time; and large ones arrive with another byte in them.
ip netns exec echo python3 - >>$lab/echo/log.copies 2>&1 <<'PY' &
import socket
wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
wire.bind(("to-here", 0))
seen = set()
while True:
    packet, where = wire.recvfrom(65536)
    if where[2] == socket.PACKET_OUTGOING and packet[12:14] == b"\x08\x00" and packet[23] == 17 and packet not in seen:
        copy = packet[:40] + b"\0\0" + packet[42:] # its checksum is to be made by a card that there is not
        seen.update((packet, copy))
        wire.send(copy)
PY
ip netns exec echo ping -n -q -i 0.1 10.9.0.1 >/dev/null 2>&1 &
injected here echo replayed "each packet comes a second time"
echo 'table inet m { chain i { type filter hook input priority -300; iifname "to-noise" udp length > 400 @th,640,8 set 0x5a; }; }' |
	on here nft -f -
ip netns exec noise ping -n -q -i 0.2 10.9.0.1 >/dev/null 2>&1 &
ip netns exec noise ping -n -q -i 0.1 -s 800 10.9.0.1 >/dev/null 2>&1 &
injected here noise corrupted "a byte of large packets is changed on the way"
weir_on here ladder held hold >/dev/null
injected here held recovery-held "recovery on hold"
for name in inner keyless; do
	ip netns exec $name ping -n -q -i 0.2 10.9.0.1 >/dev/null 2>&1 &
done
injected here inner allowed-ip-in "source not allowed here"
injected here keyless no-allowed-ips "no allowed IPs"
ip netns exec here ping -n -q -i 0.2 "10.9.0.$((100 + $(number refuses)))" >/dev/null 2>&1 &
injected refuses here allowed-ip-in/here "source not allowed, seen there"
injected here refuses allowed-ip-out/there "source not allowed there, by its report"
ip netns exec here ping -n -q -i 0.2 10.9.0.204 >/dev/null 2>&1 &
injected here nowhere no-endpoint "nobody knows where it is"
# Somebody looks at that peer, or nobody asks for its report.
weir_on here explain refuses >/dev/null || true
verdicts_come 45

# A flood is loud, so it comes by itself; and before a handshake can have passed.
host attacker
cable attacker 203.0.113.1/24 busy 203.0.113.2/24
ip netns exec attacker "$flood" 203.0.113.2 51820 "$(cat $lab/busy/pub)" 20000 30 >$lab/flood.txt 2>&1 &
flood_pid=$!
began busy
injected here busy load-there/there "the peer is flooded"
injected busy here load-here/here "we are flooded"
verdicts_come 25
kill $flood_pid 2>/dev/null || true
ip -n three link set wg0 down
injected three hub device-down "the interface is down"
verdicts_come 10

never_a_verdict here good
never_a_verdict good here
say "each fault has its verdict, and the healthy pair none"
