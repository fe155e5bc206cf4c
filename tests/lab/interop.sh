#!/bin/sh
# weir against wireguard-go, each as initiator and as responder: with and without a preshared key, IPv4 and IPv6
# outside, bulk both ways, and restarts of either side.
. "$(dirname "$0")/lib.sh"
need wg ping ip iperf3 wireguard-go

host ours theirs
cable ours 192.0.2.1/24 theirs 192.0.2.2/24
ip -n ours addr add 2001:db8::1/64 dev to-theirs nodad
ip -n theirs addr add 2001:db8::2/64 dev to-ours nodad
keys ours theirs
wg genpsk >$lab/psk

uapi_start ours wa
go_start theirs wb
wg set wa private-key $lab/ours/key listen-port 1111 peer "$(cat $lab/theirs/pub)" allowed-ips 10.9.0.2/32,fd09::2/128
wg set wb private-key $lab/theirs/key listen-port 2222 peer "$(cat $lab/ours/pub)" allowed-ips 10.9.0.1/32,fd09::1/128
on ours ip addr add 10.9.0.1/24 dev wa
on ours ip addr add fd09::1/64 dev wa nodad
on theirs ip addr add 10.9.0.2/24 dev wb
on theirs ip addr add fd09::2/64 dev wb nodad
on ours ip link set dev wa mtu 1420 up
on theirs ip link set dev wb mtu 1420 up

endpoint() { # our OTHER endpoint, or theirs
	case $1 in
	ours) wg set wa peer "$(cat $lab/theirs/pub)" endpoint "$2" ;;
	theirs) wg set wb peer "$(cat $lab/ours/pub)" endpoint "$2" ;;
	esac
}

handshake_of() {
	wg show "$1" latest-handshakes | awk '{ print $2 }'
}

psk() {
	wg set wa peer "$(cat $lab/theirs/pub)" preshared-key "$1"
	wg set wb peer "$(cat $lab/ours/pub)" preshared-key "$1"
}

bulk() {
	ip netns exec theirs iperf3 -s -1 -B "$1" >/dev/null 2>&1 &
	until_true 10 sh -c "ip netns exec theirs ss -ltn | grep -q 5201" || fail "iperf3 does not listen"
	on ours iperf3 -c "$1" -n 30M "$2" >$lab/iperf.txt 2>&1 || fail "bulk $1 $2: $(cat $lab/iperf.txt)"
}

endpoint ours 192.0.2.2:2222
until_true 20 pings ours 10.9.0.2 1 || fail "weir as initiator"
[ "$(handshake_of wa)" != 0 ] || fail "no handshake time"
say "weir begins, wireguard-go answers"
pings ours fd09::2 10 || fail "IPv6 inside"
pings theirs 10.9.0.1 10 || fail "back"
bulk 10.9.0.2 -4
bulk 10.9.0.2 -R
bulk fd09::2 -6
say "bulk both ways, IPv4 and IPv6 inside"

restart_go() {
	kill "$(cat $lab/theirs/pid.wb)"
	wait "$(cat $lab/theirs/pid.wb)" || true # its socket goes before its port is free
	go_start theirs wb
	wg set wb private-key $lab/theirs/key listen-port 2222 peer "$(cat $lab/ours/pub)" \
		allowed-ips 10.9.0.1/32,fd09::1/128
	on theirs ip addr add 10.9.0.2/24 dev wb
	on theirs ip addr add fd09::2/64 dev wb nodad
	on theirs ip link set dev wb mtu 1420 up
}

restart_weir() { # SIGNAL
	kill "-$1" "$(cat $lab/ours/pid.wa)"
	wait "$(cat $lab/ours/pid.wa)" || true
	until_true 20 sh -c "! ip -n ours link show wa" || fail "weir-wg stays"
	rm -f /run/wireguard/wa.sock
	uapi_start ours wa
	wg set wa private-key $lab/ours/key listen-port 1111 peer "$(cat $lab/theirs/pub)" \
		allowed-ips 10.9.0.2/32,fd09::2/128
	on ours ip addr add 10.9.0.1/24 dev wa
	on ours ip addr add fd09::1/64 dev wa nodad
	on ours ip link set dev wa mtu 1420 up
}

restart_go
endpoint theirs 192.0.2.1:1111
until_true 30 pings theirs 10.9.0.1 1 || fail "wireguard-go as initiator"
say "wireguard-go begins, weir answers, after its restart"

restart_weir KILL
restart_go
psk $lab/psk
endpoint ours '[2001:db8::2]:2222'
until_true 20 pings ours 10.9.0.2 1 || fail "preshared key, IPv6 outside"
say "with a preshared key, IPv6 outside"
[ "$(wg show wb endpoints | awk '{ print $2 }')" = "[2001:db8::1]:1111" ] || fail "endpoint not learned"
say "the other side learned our IPv6 endpoint"
bulk fd09::2 -6

wg genpsk >$lab/psk2
wg set wb peer "$(cat $lab/ours/pub)" preshared-key $lab/psk2
restart_weir KILL
wg set wa peer "$(cat $lab/theirs/pub)" preshared-key $lab/psk endpoint 192.0.2.2:2222
sleep 1
pings ours 10.9.0.2 1 && fail "a tunnel in spite of different preshared keys"
say "different preshared keys: no tunnel"
