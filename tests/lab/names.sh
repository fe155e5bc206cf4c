#!/bin/sh
# Endpoint host names: not to be resolved at first, then there, then another address while the tunnel is silent; with a
# name server that does not answer. A peer with a number beside it loses nothing, and status answers at once.
. "$(dirname "$0")/lib.sh"
need wg ping ip jq nft

host client first second other
cable client 192.0.2.1/24 first 192.0.2.2/24
cable client 198.51.100.1/24 second 198.51.100.2/24
cable client 203.0.113.1/24 other 203.0.113.2/24
keys client first other

# What is resolved: a file, and a name server that takes questions and answers none.
# (On a copy of /etc: not every machine has all three files, and one may be a link into /run.)
mkdir /run/etc
cp -r /etc/. /run/etc/ 2>/dev/null || true # what root alone may read is not needed
mount --bind /run/etc /etc || fail "cannot cover /etc"
rm -f /etc/hosts /etc/resolv.conf /etc/nsswitch.conf
printf 'nameserver 203.0.113.2\noptions timeout:2 attempts:1\n' >/etc/resolv.conf
printf 'hosts: files dns\n' >/etc/nsswitch.conf
: >/etc/hosts
on other nft -f - <<'NFT'
table inet t {
	chain in {
		type filter hook input priority 0;
		udp dport 53 counter drop
	}
}
NFT
named() { # ADDRESS: what the name stands for
	echo "$1 gate.example" >/etc/hosts
}

server() { # HOST KEYS-OF ADDRESS
	cat >$lab/$1/wg0.conf <<CONF
[Interface]
PrivateKey = $(cat $lab/$2/key)
ListenPort = 51820
Address = $3/24
[Peer]
PublicKey = $(cat $lab/client/pub)
AllowedIPs = 10.9.0.1/32
CONF
	chmod 600 $lab/$1/wg0.conf
	weir_start "$1" $lab/$1/wg0.conf --time-divisor 5
}
server first first 10.9.0.2
server other other 10.9.0.3
cat >$lab/client/wg0.conf <<CONF
[Interface]
PrivateKey = $(cat $lab/client/key)
ListenPort = 51820
Address = 10.9.0.1/24
[Peer]
Name = gate
PublicKey = $(cat $lab/first/pub)
Endpoint = gate.example:51820
AllowedIPs = 10.9.0.2/32
[Peer]
Name = other
PublicKey = $(cat $lab/other/pub)
Endpoint = 203.0.113.2:51820
AllowedIPs = 10.9.0.3/32
CONF
chmod 600 $lab/client/wg0.conf
start=$(milliseconds)
weir_start client $lab/client/wg0.conf --time-divisor 5
until_true 20 test -S $lab/client/wg0.sock || fail "a name that does not resolve keeps weir from starting"
until_true 20 pings client 10.9.0.3 1 || fail "a name that does not resolve keeps another peer out"
say "starts without waiting for a name: the other peer is up $(($(milliseconds) - start)) ms after the start"
ip netns exec client ping -n -q -i 0.02 10.9.0.3 >$lab/pings 2>&1 &
ping_pid=$!

gate() { # JQ-PATH
	weir_on client status wg0 --json | jq -r ".peers[] | select(.name == \"gate\")$1"
}
questions() {
	on other nft list chain inet t in | awk '/dport 53/ { print $6 }'
}
waits() {
	[ "$(gate .word)" = WAIT ] && gate .reason | grep -q "does not resolve"
}
until_true 20 waits || fail "no WAIT with a reason: $(gate .word), $(gate .reason)"
asked=$(questions)
[ "$asked" -ge 1 ] || fail "the name server was not asked: $(on other nft list ruleset)"
turns_start
slow=0
for _ in 1 2 3 4 5 6 7 8 9 10; do
	before=$(milliseconds)
	weir_on client status wg0 >$lab/status || fail "status while a name is looked up"
	ms=$(($(milliseconds) - before))
	[ $ms -lt 1000 ] || ms=$((ms - $(stalled $ms)))
	[ $ms -gt $slow ] && slow=$ms
	sleep 0.2
done
[ $slow -lt 1000 ] || fail "status took $slow ms while a name was looked up"
grep -q "does not resolve" $lab/status || fail "status does not say it: $(cat $lab/status)"
asked_again() {
	[ "$(questions)" -gt "$asked" ]
}
until_true 30 asked_again || fail "not tried again"
say "a name that does not resolve: WAIT, \"$(gate .reason)\", tried again; status takes $slow ms at most"

named 192.0.2.2
start=$(milliseconds)
until_true 60 pings client 10.9.0.2 1 || fail "the name is there, the tunnel is not: $(gate .reason)"
[ "$(gate .endpoint)" = 192.0.2.2:51820 ] || fail "endpoint $(gate .endpoint)"
[ "$(gate .endpointOrigin)" = resolved ] || fail "origin $(gate .endpointOrigin)"
say "the name appears: tunnel up after $(($(milliseconds) - start)) ms"

# The name moves while the tunnel works: nobody asks. Then its end falls silent, and the other one answers.
named 198.51.100.2
pings client 10.9.0.2 10 || fail "packets lost"
[ "$(gate .endpoint)" = 192.0.2.2:51820 ] || fail "a working endpoint was changed"
kill -KILL "$(cat $lab/first/pid)"
server second first 10.9.0.2
start=$(milliseconds)
until_true 60 on client ping -q -n -c 1 -W 1 10.9.0.2 || fail "the peer moved, and is not found: $(gate .endpoint), $(gate .reason)"
[ "$(gate .endpoint)" = 198.51.100.2:51820 ] || fail "endpoint $(gate .endpoint)"
say "the name stands for another address while the tunnel is silent: back after $(($(milliseconds) - start)) ms"

# And again while the name does not resolve at all: the old address is kept, and the new one taken once it is there.
pings client 10.9.0.2 3 || fail "packets lost"
kill -KILL "$(cat $lab/second/pid)"
: >/etc/hosts
unreachable() {
	on client ping -q -n -c 1 -W 0.2 10.9.0.2 && return 1
	gate .resolveError | grep -q .
}
until_true 60 unreachable || fail "a name that is gone is not noticed"
[ "$(gate .endpoint)" = 198.51.100.2:51820 ] || fail "the last address was dropped: $(gate .endpoint)"
named 192.0.2.2
server first first 10.9.0.2
start=$(milliseconds)
until_true 60 on client ping -q -n -c 1 -W 1 10.9.0.2 || fail "not back: $(gate .endpoint), $(gate .reason)"
say "a name that is gone for a while: the last address is kept, back $(($(milliseconds) - start)) ms after it returns"

kill -INT $ping_pid
wait $ping_pid || true
grep -q " 0% packet loss" $lab/pings || fail "the other peer lost packets: $(tail -2 $lab/pings)"
say "the other peer lost nothing through all of this: $(grep loss $lab/pings)"
