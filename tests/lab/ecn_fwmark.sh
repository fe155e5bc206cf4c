#!/bin/sh
# What the outer packets carry: congestion marks both ways (RFC 6040), the firewall mark, and the source address at which
# we were called, for as long as we have it.
. "$(dirname "$0")/lib.sh"
need wg ping ip nft tcpdump iperf3 nstat

host ours theirs
cable ours 192.0.2.1/24 theirs 192.0.2.2/24
ip -n theirs addr add 192.0.2.3/24 dev to-ours
ip -n ours addr add 2001:db8::1/64 dev to-theirs nodad
ip -n theirs addr add 2001:db8::2/64 dev to-ours nodad
ip -n theirs addr add 2001:db8::3/64 dev to-ours nodad
keys ours theirs
uapi_start ours wa
uapi_start theirs wb
wg set wa private-key $lab/ours/key listen-port 1111 peer "$(cat $lab/theirs/pub)" allowed-ips 10.9.0.2/32,fd09::2/128 \
	endpoint 192.0.2.2:2222
wg set wb private-key $lab/theirs/key listen-port 2222 peer "$(cat $lab/ours/pub)" allowed-ips 10.9.0.1/32,fd09::1/128
on ours ip addr add 10.9.0.1/24 dev wa
on ours ip addr add fd09::1/64 dev wa nodad
on theirs ip addr add 10.9.0.2/24 dev wb
on theirs ip addr add fd09::2/64 dev wb nodad
on ours ip link set dev wa mtu 1420 up
on theirs ip link set dev wb mtu 1420 up
until_true 20 pings ours 10.9.0.2 1 || fail "no tunnel"
until_true 20 pings ours fd09::2 1 || fail "no tunnel for IPv6"

# capture NAME INTERFACE FILTER: a line for each packet with the filter in $lab/NAME, from now on, on theirs
capture() {
	[ -z "${capture_pid:-}" ] || kill "$capture_pid"
	: >"$lab/$1.err"
	ip netns exec theirs tcpdump -n -v -l -i "$2" "$3" >"$lab/$1" 2>"$lab/$1.err" &
	capture_pid=$!
	until_true 20 grep -q "listening on" "$lab/$1.err" || fail "tcpdump: $(cat "$lab/$1.err")"
}
captured() { # NAME PATTERN NUMBER
	[ "$(grep -c "$2" "$lab/$1")" -ge "$3" ]
}

# 1. what is inside shows outside: tcpdump says "tos 0x2,ECT(0)" and "class 0x02" 
capture wire to-ours "udp and dst port 2222"
on ours ping -q -n -c 5 -i 0.05 -Q 2 10.9.0.2 >/dev/null || fail "packets with ECT(0) are lost"
until_true 10 captured wire 'tos 0x2,ECT(0)' 5 || fail "ECT(0) is not on the outer packets: $(cat $lab/wire)"
on ours ping -q -n -c 5 -i 0.05 -Q 1 fd09::2 >/dev/null || fail "packets with ECT(1) are lost"
until_true 10 captured wire 'tos 0x1,ECT(1)' 5 || fail "ECT(1) is not on the outer packets: $(cat $lab/wire)"
# The class beyond these two bits is our own business: it would tell what kind of traffic is inside.
on ours ping -q -n -c 5 -i 0.05 -Q 0xb8 10.9.0.2 >/dev/null || fail "packets with a class are lost"
until_true 10 captured wire 'tos 0x0' 5 || fail "no outer packets without a mark: $(cat $lab/wire)"
captured wire 'tos 0xb' 1 && fail "the class of the inner packet shows outside"
say "ECT(0) and ECT(1) are copied to the outer packet, the class is not"

# 2. congestion that is marked on the way arrives inside
on theirs nft -f - <<'NFT'
table inet t {
	chain pre {
		type filter hook prerouting priority -300;
		ip protocol udp udp dport 2222 counter ip ecn set ce
		ip6 nexthdr udp udp dport 2222 counter ip6 ecn set ce
	}
}
NFT
ecn_drops() {
	"$weir" status wb --json | jq .counters.reject_ecn
}
capture inside wb "icmp or icmp6"
[ "$(ecn_drops)" = 0 ] || fail "dropped before anything was marked"
on ours ping -q -n -c 5 -i 0.05 -Q 2 10.9.0.2 >/dev/null || fail "marked packets are lost"
until_true 10 captured inside 'tos 0x3,CE' 5 || fail "CE does not arrive inside: $(cat $lab/inside)"
on ours ping -q -n -c 5 -i 0.05 -Q 1 fd09::2 >/dev/null || fail "marked IPv6 packets are lost"
until_true 10 captured inside 'class 0x03' 5 || fail "CE does not arrive inside IPv6: $(cat $lab/inside)"
[ "$(ecn_drops)" = 0 ] || fail "marked packets count as dropped"
say "CE outside becomes CE inside, IPv4 and IPv6"

# 3. a packet that cannot carry the mark is dropped: its sender must notice
on ours ping -q -n -c 5 -i 0.05 -W 1 10.9.0.2 >/dev/null && fail "a packet that lost its mark is delivered"
[ "$(ecn_drops)" = 5 ] || fail "$(ecn_drops) counted as dropped, not 5"
say "not-ECT inside, CE outside: dropped and counted"

# 4. the same over IPv6 outside
wg set wa peer "$(cat $lab/theirs/pub)" endpoint '[2001:db8::2]:2222'
until_true 20 sh -c "wg show wb endpoints | grep -q '2001:db8::1'" || fail "no tunnel over IPv6"
capture wire to-ours "ip6 and udp and dst port 2222"
before=$(grep -c 'tos 0x3,CE' $lab/inside || true)
capture inside wb "icmp"
on ours ping -q -n -c 5 -i 0.05 -Q 2 10.9.0.2 >/dev/null || fail "marked packets are lost, IPv6 outside"
until_true 10 captured inside 'tos 0x3,CE' 5 || fail "CE does not arrive inside from IPv6: $(cat $lab/inside), $before before"
capture wire to-ours "ip6 and udp and dst port 2222"
on ours ping -q -n -c 5 -i 0.05 -Q 2 10.9.0.2 >/dev/null
until_true 10 captured wire 'class 0x02' 5 || fail "no ECT(0) on outer IPv6: $(cat $lab/wire)"
say "the same with IPv6 outside"

# 5. bulk: TCP that speaks ECN, one packet in twenty marked on the way; trains must not mix marks
on theirs nft flush chain inet t pre
on theirs nft add rule inet t pre udp dport 2222 ip6 ecn ect0 numgen random mod 20 0 counter ip6 ecn set ce
for side in ours theirs; do
	on $side sh -c "echo 1 >/proc/sys/net/ipv4/tcp_ecn" || fail "tcp_ecn"
done
ce() {
	on theirs env NSTAT_HISTORY=/dev/null nstat -asz IpExtInCEPkts | awk '/InCEPkts/ { print $2 }'
}
before=$(ce)
ip netns exec theirs iperf3 -s -1 -B 10.9.0.2 >/dev/null 2>&1 &
until_true 10 sh -c "ip netns exec theirs ss -ltn | grep -q 5201" || fail "iperf3 does not listen"
on ours iperf3 -c 10.9.0.2 -n 20M >$lab/iperf.txt 2>&1 || fail "bulk with ECN: $(cat $lab/iperf.txt)"
marked=$(on theirs nft list chain inet t pre | grep -o 'packets [0-9]*' | awk '{ print $2 }')
told=$(($(ce) - before))
[ "$marked" -ge 5 ] || fail "nothing was marked: $(on theirs nft list ruleset)"
# A marked train is several packets inside, never fewer.
[ $told -ge "$marked" ] || fail "$marked were marked outside, $told arrived inside"
[ "$(ecn_drops)" = 5 ] || fail "packets of a stream with ECN were dropped: $(ecn_drops)"
say "a stream with ECN: $marked marked outside, $told inside, no drops"
on theirs nft delete table inet t
kill "$capture_pid"

# 6. the firewall mark
on ours nft -f - <<'NFT'
table inet t {
	counter marked { }
	counter bare { }
	counter handshakes { }
	chain out {
		type filter hook output priority 0;
		udp dport 2222 meta mark 0x51 counter name marked
		udp dport 2222 meta mark != 0x51 counter name bare
		udp dport 2222 meta mark 0x51 @th,64,8 1 counter name handshakes
	}
}
NFT
counter() {
	on ours nft list counter inet t "$1" | awk '/packets/ { print $2 }'
}
wg set wa peer "$(cat $lab/theirs/pub)" endpoint 192.0.2.2:2222
pings ours 10.9.0.2 5 || fail "packets lost"
[ "$(counter marked)" = 0 ] || fail "marked before it was asked for"
wg set wa fwmark 0x51
before=$(counter bare)
"$weir" handshake all -i wa >/dev/null 2>&1 || "$weir" handshake "$(cat $lab/theirs/pub)" -i wa || fail "handshake"
pings ours 10.9.0.2 5 || fail "packets with a mark are lost"
[ "$(counter marked)" -ge 5 ] || fail "no mark on packets: $(on ours nft list ruleset)"
[ "$(counter bare)" = "$before" ] || fail "packets without the mark: $(on ours nft list ruleset)"
[ "$(counter handshakes)" -ge 1 ] || fail "no mark on handshakes"
on ours ip link set wa down
on ours ip link set wa up
on ours ip addr replace fd09::1/64 dev wa nodad # the kernel forgets them when a link goes down
until_true 20 pings ours 10.9.0.2 3 || fail "no tunnel after down and up"
[ "$(counter bare)" = "$before" ] || fail "the mark is gone after down and up"
wg set wa fwmark off
before=$(counter marked)
pings ours 10.9.0.2 5 || fail "packets lost"
[ "$(counter marked)" = "$before" ] || fail "the mark stays after off"
say "the firewall mark is on packets and handshakes, over down and up, until it is taken off"

# 7. a host with two addresses answers from the one it was called at; when that goes, the next packet goes from the other
endpoint_of() {
	wg show wa endpoints | awk '{ print $2 }'
}
sticky() { # CALLED OTHER DEL-ADDRESS INNER: endpoints as wg prints them
	wg set wa peer "$(cat $lab/theirs/pub)" endpoint "$1"
	until_true 20 sh -c "ip netns exec ours ping -q -n -c 1 -W 1 10.9.0.2" || fail "no answer from $1"
	pings ours 10.9.0.2 5 || fail "packets lost"
	pings theirs "$4" 5 || fail "packets lost"
	[ "$(endpoint_of)" = "$1" ] || fail "called at $1, answered from $(endpoint_of)"
	on theirs ip addr del "$3" dev to-ours
	pings theirs "$4" 1 || fail "the packet that met the loss of $1 did not arrive"
	[ "$(endpoint_of)" = "$2" ] || fail "$1 is gone, answers come from $(endpoint_of)"
	pings ours 10.9.0.2 5 || fail "packets lost after the loss of $1"
	say "called at $1: answered from there; without it from $2, and no packet was lost"
}
sticky 192.0.2.3:2222 192.0.2.2:2222 192.0.2.3/24 10.9.0.1
# The kernel prefers the address that was set last.
sticky '[2001:db8::2]:2222' '[2001:db8::3]:2222' 2001:db8::2/64 fd09::1
