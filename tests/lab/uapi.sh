#!/bin/sh
# Acceptance as other implementations have it: three namespaces, devices that move, loopback as the network.
# TUN devices are made in one namespace and moved into others, while the sockets stay where they were made.
. "$(dirname "$0")/lib.sh"
need wg ping ip iperf3

host zero one two
keys one two
wg genpsk >$lab/psk
export WG_HIDE_KEYS=never
key1=$lab/one/key pub1=$(cat $lab/one/pub)
key2=$lab/two/key pub2=$(cat $lab/two/pub)

uapi_start zero wg1
uapi_start zero wg2
ip -n zero link set wg1 netns one
ip -n zero link set wg2 netns two
on one ip addr add 192.168.241.1/24 dev wg1
on one ip addr add fd00::1/112 dev wg1 nodad
on two ip addr add 192.168.241.2/24 dev wg2
on two ip addr add fd00::2/112 dev wg2 nodad
wg set wg1 private-key "$key1" listen-port 10001 peer "$pub2" preshared-key $lab/psk \
	allowed-ips 192.168.241.2/32,fd00::2/128
wg set wg2 private-key "$key2" listen-port 10002 peer "$pub1" preshared-key $lab/psk \
	allowed-ips 192.168.241.1/32,fd00::1/128
wg showconf wg1 >/dev/null
on one ip link set dev wg1 up
on two ip link set dev wg2 up

transfer() { # HOST SERVER-HOST ADDRESS ARGUMENTS...
	ip netns exec "$2" iperf3 -s -1 -B "$3" >/dev/null 2>&1 &
	until_true 10 sh -c "ip netns exec $2 ss -ltn | grep -q 5201" || fail "iperf3 does not listen"
	t_from=$1 t_to=$3
	shift 3
	on "$t_from" iperf3 -c "$t_to" -Z "$@" >$lab/iperf.txt 2>&1 || fail "transfer to $t_to: $(cat $lab/iperf.txt)"
}

traffic() {
	pings two 192.168.241.1 10 || fail "$1: IPv4 from two"
	pings one 192.168.241.2 10 || fail "$1: IPv4 from one"
	pings two fd00::1 10 || fail "$1: IPv6 from two"
	pings one fd00::2 10 || fail "$1: IPv6 from one"
	transfer one two 192.168.241.2 -n 60M
	transfer two one fd00::1 -n 60M
	transfer one two 192.168.241.2 -n 60M -u -b 300M
	transfer two one fd00::1 -n 60M -u -b 300M
	say "$1: pings, TCP and UDP both ways"
}

wg set wg1 peer "$pub2" endpoint 127.0.0.1:10002
wg set wg2 peer "$pub1" endpoint 127.0.0.1:10001
pings two 192.168.241.1 1
rx=$(wg show wg2 transfer | awk '{ print $2 }')
tx=$(wg show wg2 transfer | awk '{ print $3 }')
[ "$rx" -gt 0 ] && [ "$tx" -gt 0 ] || fail "counters: rx $rx tx $tx"
[ "$(wg show wg2 latest-handshakes | awk '{ print $2 }')" -gt 0 ] || fail "no handshake time"
traffic "IPv4 outside"

on one ip link set dev wg1 mtu 34736
on two ip link set dev wg2 mtu 34736
ip -n zero link set lo mtu 65536
traffic "IPv4 outside, MTU 34736"

wg set wg1 peer "$pub2" endpoint '[::1]:10002'
wg set wg2 peer "$pub1" endpoint '[::1]:10001'
traffic "IPv6 outside, MTU 34736"
on one ip link set dev wg1 mtu 1420
on two ip link set dev wg2 mtu 1420
traffic "IPv6 outside"
on one ip link set dev wg1 mtu 65000
on two ip link set dev wg2 mtu 65000
pings one 192.168.241.2 3 || fail "MTU 65000"
on one ping -q -c 3 -i 0.05 -W 5 -s 64000 192.168.241.2 >/dev/null || fail "64,000 bytes at MTU 65000"
say "MTU 65000 carries 64,000-byte packets whole"
on one ip link set dev wg1 mtu 1420
on two ip link set dev wg2 mtu 1420

# Roaming: another address, another port; a single packet must tell the other side.
wg set wg1 peer "$pub2" endpoint 127.0.0.1:10002
wg set wg2 peer "$pub1" endpoint 127.0.0.1:10001
ip -n zero addr add 127.212.121.99/8 dev lo
wg set wg1 listen-port 9999
wg set wg1 peer "$pub2" endpoint 127.0.0.1:10002
ip -n zero addr del 127.0.0.1/8 dev lo 2>/dev/null || true
ip -n zero addr add 127.0.0.1/32 dev lo 2>/dev/null || true
on one ping -q -c 1 -W 2 fd00::2 >/dev/null || fail "roaming: packet lost"
case $(wg show wg2 endpoints | awk '{ print $2 }') in
*:9999) ;;
*) fail "roaming: endpoint is $(wg show wg2 endpoints)" ;;
esac
say "roaming on IPv4: one packet, new port known"
wg set wg1 listen-port 9998
wg set wg1 peer "$pub2" endpoint '[::1]:10002'
on one ping -q -c 1 -W 2 192.168.241.2 >/dev/null || fail "roaming to IPv6: packet lost"
[ "$(wg show wg2 endpoints | awk '{ print $2 }')" = "[::1]:9998" ] || fail "roaming: $(wg show wg2 endpoints)"
say "roaming to IPv6"

# Cryptokey routing: the longest prefix owns the source, and the endpoint moves even when the packet is refused.
wg set wg2 peer "$pub1" allowed-ips 192.168.241.0/24
on one ping -q -c 1 -W 2 192.168.241.2 >/dev/null || fail "a /24 is not accepted"
more=$(wg genkey | wg pubkey)
wg set wg2 peer "$more" allowed-ips 192.168.241.1/32
wg set wg1 listen-port 9997
on one ping -q -c 1 -W 1 192.168.241.2 >/dev/null && fail "the source of another peer was accepted"
[ "$(wg show wg2 endpoints | grep -F "$pub1" | awk '{ print $2 }')" = "[::1]:9997" ] || fail "endpoint did not move: $(wg show wg2 endpoints; wg show wg1 endpoints)"
wg set wg2 peer "$more" remove
on one ping -q -c 1 -W 2 192.168.241.2 >/dev/null || fail "not back after the other peer went"
say "longest prefix owns the source; the endpoint is updated before that check"

# The same prefix moves from one peer to another.
wg set wg2 peer "$more" allowed-ips 192.168.241.0/24
[ "$(wg show wg2 allowed-ips | grep -F "$pub1" | awk '{ print $2 }')" = "(none)" ] || fail "prefix did not move"
wg set wg2 peer "$more" remove peer "$pub1" allowed-ips 192.168.241.1/32,fd00::1/128
say "an identical prefix moves to the peer that claims it last"

on one ip link del wg1
on two ip link del wg2
until_true 20 sh -c "! kill -0 $(cat $lab/zero/pid.wg1)" || fail "weir-wg outlives its device"
until_true 20 test ! -e /run/wireguard/wg1.sock || fail "socket outlives its device"
say "deleting the device ends the daemon and its socket"

# Large configurations.
uapi_start zero wg3
{
	echo "[Interface]"
	echo "PrivateKey = $(cat "$key1")"
	echo "[Peer]"
	echo "PublicKey = $pub2"
	awk 'BEGIN {
		for (a = 1; a <= 255; a++)
			for (b = 0; b < 256; b++)
				printf "AllowedIPs = %d.%d.0.0/16, %02x%02x::/32\n", a, b, a, b
	}'
} >$lab/big.conf
start=$(milliseconds)
wg setconf wg3 $lab/big.conf || fail "large configuration refused"
count=$(wg show wg3 allowed-ips | cut -f 2 | tr ' ' '\n' | grep -c /)
[ "$count" = 130560 ] || fail "130,560 allowed IPs went in, $count came back"
say "130,560 allowed IPs set and read back in $(($(milliseconds) - start)) ms"

{
	echo "[Interface]"
	i=0
	while [ $i -lt 40 ]; do
		i=$((i + 1))
		echo "[Peer]"
		echo "PublicKey = $(wg genkey | wg pubkey)"
		awk -v i=$i 'BEGIN { printf "AllowedIPs = "; for (n = 0; n < 52; n++) printf "%s10.%d.%d.0/24", n ? "," : "", i, n; print "" }'
	done
} >$lab/many.conf
wg setconf wg3 $lab/many.conf
wg show wg3 allowed-ips | awk 'NF != 53 { bad++ } END { exit bad > 0 || NR != 40 }' || fail "40 peers of 52 networks"
wg showconf wg3 >$lab/shown.conf
wg setconf wg3 $lab/shown.conf || fail "showconf cannot be read back"
wg syncconf wg3 $lab/shown.conf || fail "syncconf"
wg addconf wg3 $lab/shown.conf || fail "addconf"
say "40 peers of 52 networks; showconf, setconf, syncconf and addconf agree"

rm /run/wireguard/wg3.sock
until_true 20 sh -c "! kill -0 $(cat $lab/zero/pid.wg3)" || fail "weir-wg outlives its socket"
say "deleting the socket ends the daemon"
wg show doesnotexist 2>/dev/null && fail "a device that does not exist is shown"
say "done"
