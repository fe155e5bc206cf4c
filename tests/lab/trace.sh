#!/bin/sh
# weir trace: for each way in which a packet may go or not go, the verdict that is true of it.
. "$(dirname "$0")/lib.sh"
need wg ping ip jq

host left right
cable left 192.0.2.1/24 right 192.0.2.2/24
keys left right
peers="silent away nearby loop"
for name in $peers; do
	mkdir -p $lab/$name
	keys $name
done
cat >$lab/left/wg0.conf <<CONF
[Interface]
PrivateKey = $(cat $lab/left/key)
ListenPort = 51820
Address = 10.9.0.1/24, fd09::1/64
[Peer]
Name = right
Mode = plain
PublicKey = $(cat $lab/right/pub)
Endpoint = 192.0.2.2:51820
AllowedIPs = 10.9.0.2/32, 10.9.0.0/25, fd09::2/128
[Peer]
Name = silent
Mode = plain
PublicKey = $(cat $lab/silent/pub)
Endpoint = 192.0.2.9:51820
AllowedIPs = 10.9.0.3/32
[Peer]
Name = away
Mode = plain
PublicKey = $(cat $lab/away/pub)
AllowedIPs = 10.9.0.4/32
[Peer]
Name = nearby
Mode = plain
PublicKey = $(cat $lab/nearby/pub)
Endpoint = 198.51.100.1:51820
AllowedIPs = 10.9.0.130/32
[Peer]
Name = loop
Mode = plain
PublicKey = $(cat $lab/loop/pub)
Endpoint = 10.9.0.2:51820
AllowedIPs = 10.9.0.5/32
CONF
cat >$lab/right/wg0.conf <<CONF
[Interface]
PrivateKey = $(cat $lab/right/key)
ListenPort = 51820
Address = 10.9.0.2/24, fd09::2/64
[Peer]
Mode = plain
PublicKey = $(cat $lab/left/pub)
AllowedIPs = 10.9.0.1/32, fd09::1/128
CONF
chmod 600 $lab/*/wg0.conf
weir_start right $lab/right/wg0.conf
weir_start left $lab/left/wg0.conf
until_true 20 pings left 10.9.0.2 1 || fail "no tunnel"

# trace VERDICT JQ ADDRESS [options]: that verdict, and what the filter asks of the JSON
trace() {
	t_verdict=$1
	t_filter=$2
	shift 2
	weir_on left trace "$@" --json >$lab/trace.json || [ $? = 4 ] || fail "trace $*: exit code $?"
	[ "$(jq -r .verdict $lab/trace.json)" = "$t_verdict" ] || fail "trace $*: not $t_verdict: $(cat $lab/trace.json)"
	jq -e "$t_filter" $lab/trace.json >/dev/null || fail "trace $*: not $t_filter: $(cat $lab/trace.json)"
}

trace sent '.schema == 1 and .peer.name == "right" and .covering[-1].allowedIp == "10.9.0.2/32" and
	.covering[0].allowedIp == "10.9.0.0/25" and .keypair.createdAt > 0 and .path.kind == "direct" and
	.path.remote == "192.0.2.2:51820" and .route.sourceAddress == "10.9.0.1" and .outerRoute.interface == "to-right" and
	.outerRoute.sourceAddress == "192.0.2.1"' 10.9.0.2
trace sent '.covering[-1].allowedIp == "10.9.0.0/25"' 10.9.0.77
trace sent '.covering[-1].allowedIp == "fd09::2/128"' fd09::2
trace too-big '.innerMtu == 1420' 10.9.0.2 --size 1421
trace sent '.size == 1420' 10.9.0.2 --size 1420
say "a tunnel that stands: prefix, peer, keypair, path, both routes, size"

trace no-peer '(.near | map(.allowedIp) | index("10.9.0.130/32")) != null and (has("peer") | not)' 10.9.0.131
trace no-endpoint '.peer.name == "away"' 10.9.0.4
trace unreachable '.peer.name == "nearby" and .outerRoute.error != ""' 10.9.0.130
trace loop '.outerRoute.intoTunnel' 10.9.0.5
trace not-routed '.route.interface == "to-right"' 192.0.2.2
trace not-routed '.route.error != ""' 203.0.113.1
trace not-routed '.route.local' 10.9.0.1
on left ping -q -n -c 1 -W 1 10.9.0.3 >/dev/null 2>&1 || true
trace waits '.peer.handshake.attempt > 0 and (.why | test("try [0-9]+ of 18"))' 10.9.0.3
say "no peer, no endpoint, no way to it, a loop, not routed, waiting: each is told apart"

ln -s $lab/left/wireguard/wg0.sock /run/wireguard/wg0.sock
on left wg set wg0 peer "$(cat $lab/nearby/pub)" allowed-ips 10.9.0.130/32,10.9.0.4/32 || fail "wg set"
trace unreachable '.peer.name == "nearby" and .covering[-1].allowedIp == "10.9.0.4/32" and
	(.lost | map(.allowedIp + " " + .name)) == ["10.9.0.4/32 away"]' 10.9.0.4
trace sent '.lost == []' 10.9.0.7
say "a prefix that another peer took"

weir_on left trace localhost >$lab/trace.txt && fail "localhost goes into the tunnel"
grep -q "not-routed.*own\|not-routed: .*this host" $lab/trace.txt || fail "a name: $(cat $lab/trace.txt)"
weir_on left trace 10.9.0.2 >$lab/trace.txt || fail "exit code of a packet that goes"
grep -q "^  verdict   sent" $lab/trace.txt || fail "text: $(cat $lab/trace.txt)"
rc=0
weir_on left trace no.such.name.invalid >$lab/trace.txt 2>&1 || rc=$?
[ $rc = 1 ] && grep -q "no name that resolves" $lab/trace.txt || fail "a name that is none: $rc $(cat $lab/trace.txt)"
say "names are looked up; text and exit codes"

ip -n left link set wg0 down
down() { [ "$(weir_on left trace 10.9.0.2 --json | jq -r .verdict)" = down ]; }
until_true 10 down || fail "down: $(weir_on left trace 10.9.0.2)"
say "an interface that is down"
