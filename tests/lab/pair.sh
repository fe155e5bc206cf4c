#!/bin/sh
# Two weir daemons from wg-quick files: tunnel up, every packet through, counters true, orderly end.
. "$(dirname "$0")/lib.sh"
need wg ping ip iperf3 ss

host left right
cable left 192.0.2.1/24 right 192.0.2.2/24
ip -n left addr add 2001:db8::1/64 dev to-right nodad
ip -n right addr add 2001:db8::2/64 dev to-left nodad
keys left right

cat >$lab/left/wg0.conf <<CONF
[Interface]
PrivateKey = $(cat $lab/left/key)
ListenPort = 51820
Address = 10.9.0.1/24, fd09::1/64
[Peer]
Name = right
PublicKey = $(cat $lab/right/pub)
Endpoint = 192.0.2.2:51820
AllowedIPs = 10.9.0.2/32, fd09::2/128
CONF
cat >$lab/right/wg0.conf <<CONF
[Interface]
PrivateKey = $(cat $lab/right/key)
ListenPort = 51820
Address = 10.9.0.2/24, fd09::2/64
[Peer]
Name = left
PublicKey = $(cat $lab/left/pub)
AllowedIPs = 10.9.0.1/32, fd09::1/128
CONF
chmod 600 $lab/*/wg0.conf

weir_start right $lab/right/wg0.conf
weir_start left $lab/left/wg0.conf
until_true 20 pings left 10.9.0.2 1 || fail "no tunnel"
say "tunnel is up"

pings left 10.9.0.2 20 || fail "IPv4 packets lost"
pings right fd09::1 20 || fail "IPv6 packets lost"
say "IPv4 and IPv6 through the tunnel, no packet lost"

listens() { on right ss -Hltn 'sport = :5201' | grep -q .; }
silent() { ! listens; }
on right iperf3 -s -1 -B 10.9.0.2 >/dev/null 2>&1 &
until_true 10 listens || fail "iperf3 does not listen"
on left iperf3 -c 10.9.0.2 -n 200M >$lab/iperf.txt 2>&1 || fail "bulk transfer broke: $(cat $lab/iperf.txt)"
say "200 MB of TCP"

until_true 10 silent || fail "iperf3 does not end"
on right iperf3 -s -1 -B fd09::2 >/dev/null 2>&1 &
until_true 10 listens || fail "iperf3 does not listen"
on left iperf3 -u -b 50M -l 1300 -t 2 -c fd09::2 >$lab/iperf.txt 2>&1 || fail "UDP broke: $(cat $lab/iperf.txt)"
say "UDP over IPv6"

weir_on left status wg0 --json >$lab/status.json || fail "status --json"
grep -q '"word": *"DIRECT"' $lab/status.json || fail "status does not say DIRECT: $(cat $lab/status.json)"
say "status says DIRECT"

weir_end left
say "SIGTERM ends it and removes the interface"
