#!/bin/sh
# Mode of a peer, changed by reloads under one tunnel: relay-only sends nothing to an endpoint that would work, auto moves
# to it, plain is WireGuard alone.
. "$(dirname "$0")/lib.sh"
need wg ping ip jq nft ss

host hub left right
cable left 192.0.2.1/24 hub 192.0.2.2/24
cable right 198.51.100.1/24 hub 198.51.100.2/24
cable left 10.1.0.1/24 right 10.1.0.2/24
keys left right
ip -n hub addr add 203.0.113.1/32 dev lo
ip -n left route add 203.0.113.1 via 192.0.2.2
ip -n right route add 203.0.113.1 via 198.51.100.2
relay_on hub 8001 rel://203.0.113.1:8001

# conf HOST OTHER ADDRESS ENDPOINT MODE
conf() {
	(umask 077 && cat >"$lab/$1/wg0.conf" <<CONF
[Interface]
PrivateKey = $(cat "$lab/$1/key")
ListenPort = 51820
Address = $3/24
[Relay]
Url = rel://203.0.113.1:8001
SecretFile = $lab/secret
[Ice]
Enable = no
[Peer]
Name = $2
PublicKey = $(cat "$lab/$2/pub")
AllowedIPs = 10.9.0.0/24
Endpoint = $4
Mode = $5
CONF
	)
}

mode() {
	conf left right 10.9.0.1 10.1.0.2:51820 "$1"
	conf right left 10.9.0.2 10.1.0.1:51820 "$1"
}

reload() {
	weir_on left reload wg0 >/dev/null || fail "reload of left"
	weir_on right reload wg0 >/dev/null || fail "reload of right"
}

# word HOST WORD: is that what its status says?
word() {
	[ "$(weir_on "$1" status wg0 --json | jq -r '.peers[0].word')" = "$2" ]
}

# UDP alone: neighbours are looked up whether a tunnel sends or not.
udp_to_right() {
	on left nft list counter inet count direct | awk '/packets/ { print $2 }'
}
on left nft add table inet count
on left nft add counter inet count direct
on left nft 'add chain inet count out { type filter hook output priority 0; }'
on left nft add rule inet count out oifname to-right meta l4proto udp counter name direct

mode relay-only
weir_start left $lab/left/wg0.conf
weir_start right $lab/right/wg0.conf
until_true 20 pings left 10.9.0.2 1 || fail "no tunnel"
until_true 10 word left RELAY || fail "relay-only, and not relayed: $(weir_on left status wg0)"
pings left 10.9.0.2 20 || fail "packets lost over the relay"
[ "$(udp_to_right)" = 0 ] || fail "relay-only, and $(udp_to_right) packets went to the endpoint"
say "relay-only sends nothing to the endpoint"

mode auto
reload
until_true 30 word left DIRECT || fail "auto does not use the endpoint: $(weir_on left status wg0)"
until_true 10 word right DIRECT || fail "auto does not use the endpoint: $(weir_on right status wg0)"
pings left 10.9.0.2 20 || fail "packets lost"
[ "$(udp_to_right)" -ge 20 ] || fail "DIRECT, and nothing goes there"
say "auto moves to the endpoint"

mode plain
reload
pings left 10.9.0.2 20 || fail "packets lost after the change to plain"
word left DIRECT || fail "plain, and not direct: $(weir_on left status wg0)"
say "plain goes on without a packet lost"

mode relay-only
reload
until_true 30 word left RELAY || fail "back to relay-only, and not relayed: $(weir_on left status wg0)"
until_true 30 word right RELAY || fail "back to relay-only, and not relayed: $(weir_on right status wg0)"
until_true 10 pings left 10.9.0.2 10 || fail "packets lost after the change to relay-only"
before=$(udp_to_right)
pings left 10.9.0.2 20 || fail "packets lost over the relay"
[ "$(udp_to_right)" = "$before" ] || fail "relay-only, and packets went to the endpoint"
say "back over the relay"

# Right is auto, knows where left is, and begins there; left remembers where right was.
conf right left 10.9.0.2 10.1.0.1:51820 auto
before=$(udp_to_right)
weir_end right
weir_end left
echo "peer $(cat $lab/right/pub) 10.1.0.2:51820" >>$lab/left/state/wg0.state
weir_start left $lab/left/wg0.conf
weir_start right $lab/right/wg0.conf
until_true 30 pings left 10.9.0.2 1 || fail "no tunnel after both were started anew"
until_true 10 word right RELAY || fail "right is not relayed: $(weir_on right status wg0)"
weir_on right handshake all >/dev/null
pings left 10.9.0.2 20 || fail "packets lost over the relay"
pings right 10.9.0.1 20 || fail "packets lost over the relay, from right"
[ "$(udp_to_right)" = "$before" ] || fail "relay-only, and $(($(udp_to_right) - before)) packets went to where it was, or asked from"
say "relay-only answers nothing at the endpoint, and sends nothing to one that is remembered"

echo "1..$lab_tests"
