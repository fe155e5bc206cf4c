#!/bin/sh
# weir-wg under wg-quick: up, traffic, down, as WG_QUICK_USERSPACE_IMPLEMENTATION.
. "$(dirname "$0")/lib.sh"
need wg wg-quick ping ip bash

host left right
cable left 192.0.2.1/24 right 192.0.2.2/24
keys left right
for side in left right; do
	other=right n=1 m=2
	[ $side = right ] && other=left n=2 m=1
	cat >$lab/$side/wq$n.conf <<CONF
[Interface]
PrivateKey = $(cat $lab/$side/key)
ListenPort = 5182$n
Address = 10.9.0.$n/24
[Peer]
PublicKey = $(cat $lab/$other/pub)
Endpoint = 192.0.2.$m:5182$m
AllowedIPs = 10.9.0.$m/32
CONF
	chmod 600 $lab/$side/wq$n.conf
done
export WG_QUICK_USERSPACE_IMPLEMENTATION="$weir_wg"
on left wg-quick up $lab/left/wq1.conf >$lab/left/log 2>&1 || fail "wg-quick up on left"
on right wg-quick up $lab/right/wq2.conf >$lab/right/log 2>&1 || fail "wg-quick up on right"
until_true 20 pings left 10.9.0.2 3 || fail "no tunnel"
wg show wq1 | grep -q "latest handshake" || fail "wg show: $(wg show wq1)"
say "wg-quick up with weir-wg on both sides; packets through"
on left wg-quick down $lab/left/wq1.conf >>$lab/left/log 2>&1 || fail "wg-quick down"
until_true 20 test ! -e /run/wireguard/wq1.sock || fail "socket stays"
until_true 20 sh -c "! pgrep -f '[w]eir-wg wq1'" || fail "daemon stays"
say "wg-quick down ends it"
