#!/bin/sh
# Two hosts that reach a relay and nothing else find each other by their files alone; a reload that changes nothing of
# [Relay] closes nothing, and one that names another relay moves the tunnel there.
. "$(dirname "$0")/lib.sh"
need wg ping ip ss

host hub left right
cable left 192.0.2.1/24 hub 192.0.2.2/24
cable right 198.51.100.1/24 hub 198.51.100.2/24
keys left right
ip -n hub addr add 203.0.113.1/32 dev lo
ip -n left route add 203.0.113.1 via 192.0.2.2
ip -n right route add 203.0.113.1 via 198.51.100.2
for port in 8001 8002; do
	relay_on hub $port rel://203.0.113.1:$port
done

# conf HOST OTHER ADDRESS PORT [LINE]
conf() {
	(umask 077 && cat >"$lab/$1/wg0.conf" <<CONF
[Interface]
PrivateKey = $(cat "$lab/$1/key")
Address = $3/24
[Relay]
Url = rel://203.0.113.1:$4
SecretFile = $lab/secret
[Ice]
Enable = no
[Peer]
Name = $2
PublicKey = $(cat "$lab/$2/pub")
AllowedIPs = 10.9.0.0/24
${5:-}
CONF
	)
}
conf left right 10.9.0.1 8001
conf right left 10.9.0.2 8001
weir_start left $lab/left/wg0.conf
weir_start right $lab/right/wg0.conf
until_true 20 pings left 10.9.0.2 1 || fail "no tunnel over the relay"
say "no endpoint, and a tunnel over the relay"

# connections HOST PORT: to the relay at that port, with their own ports, so that a new one is seen.
connections() {
	on "$1" ss -Htn state established "dst 203.0.113.1:$2" | awk '{ print $3 }' | sort
}
before=$(connections left 8001)
[ -n "$before" ] || fail "left is not connected to the relay"
conf left right 10.9.0.1 8001 "PersistentKeepalive = 25"
weir_on left reload wg0 >$lab/reload.txt || fail "reload"
grep -q "1 changed" $lab/reload.txt || fail "the reload did nothing: $(cat $lab/reload.txt)"
pings left 10.9.0.2 5 || fail "packets lost over a reload"
[ "$(connections left 8001)" = "$before" ] || fail "a reload with the same [Relay] made a new connection"
say "a reload that leaves [Relay] alone leaves the connection alone"

conf left right 10.9.0.1 8002
conf right left 10.9.0.2 8002
weir_on left reload wg0 || fail "reload"
weir_on right reload wg0 || fail "reload"
until_true 60 sh -c "[ -n \"\$(ip netns exec left ss -Htn state established dst 203.0.113.1:8002)\" ]" ||
	fail "left does not go to the new relay"
until_true 30 pings left 10.9.0.2 3 || fail "no tunnel over the new relay"
say "another Url moves the tunnel to that relay"

# Each at a relay of its own, neither knowing where the other is, from a fresh start on.
weir_end left
weir_end right
conf left right 10.9.0.1 8001
weir_start left $lab/left/wg0.conf
weir_start right $lab/right/wg0.conf
until_true 20 sh -c "[ -n \"\$(ip netns exec left ss -Htn state established dst 203.0.113.1:8001)\" ]" ||
	fail "left is not at its relay"
until_true 20 sh -c "[ -n \"\$(ip netns exec right ss -Htn state established dst 203.0.113.1:8002)\" ]" ||
	fail "right is not at its relay"
! pings left 10.9.0.2 1 || fail "they met, and nobody said where"
conf left right 10.9.0.1 8001 "Relay = rel://203.0.113.1:8002"
weir_on left reload wg0 >/dev/null || fail "reload"
until_true 30 pings left 10.9.0.2 3 || fail "no tunnel to a peer at another relay"
say "a peer at another relay is found by its Relay, added by a reload"

echo "1..$lab_tests"
