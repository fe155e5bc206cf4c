#!/bin/sh
# Two weir daemons with a NAT between them that forgets fast: a keepalive each second holds the mapping, so that the
# outer side can always begin; without it, it cannot. When the NAT gives another port, that is followed at once.
. "$(dirname "$0")/lib.sh"
need wg ping ip nft conntrack jq

host inner nat outer
cable inner 10.1.0.2/24 nat 10.1.0.1/24
cable nat 192.0.2.1/24 outer 192.0.2.2/24
on inner ip route add default via 10.1.0.1
on nat sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward'
on nat nft -f - <<'NFT'
table inet nat {
	chain post {
		type nat hook postrouting priority srcnat;
		ip protocol udp oifname "to-outer" masquerade to :40000-40999
	}
	counter refused { }
	chain input {
		type filter hook input priority 0;
		udp dport 40000-46999 counter name refused drop
	}
}
NFT
for timeout in udp_timeout udp_timeout_stream; do
	on nat sh -c "echo 4 >/proc/sys/net/netfilter/nf_conntrack_$timeout" 2>/dev/null || {
		echo "skipped: the time after which a NAT forgets cannot be set here"
		exit 77
	}
done
keys inner outer
cat >$lab/outer/wg0.conf <<CONF
[Interface]
PrivateKey = $(cat $lab/outer/key)
ListenPort = 51820
Address = 10.9.0.2/24
[Peer]
Name = inner
PublicKey = $(cat $lab/inner/pub)
AllowedIPs = 10.9.0.1/32
CONF
cat >$lab/inner/wg0.conf <<CONF
[Interface]
PrivateKey = $(cat $lab/inner/key)
ListenPort = 51820
Address = 10.9.0.1/24
[Peer]
Name = outer
PublicKey = $(cat $lab/outer/pub)
Endpoint = 192.0.2.2:51820
AllowedIPs = 10.9.0.2/32
PersistentKeepalive = 1
CONF
chmod 600 $lab/*/wg0.conf
peer() { # JQ-PATH of what outer sees of inner
	weir_on outer status wg0 --json | jq -r ".peers[0]$1"
}
refused() {
	on nat nft list counter inet nat refused | awk '/packets/ { print $2 }'
}
give_ports() { # RANGE: for mappings from now on
	on nat nft "flush chain inet nat post; add rule inet nat post ip protocol udp oifname to-outer masquerade to :$1" ||
		fail "nft"
}
weir_start outer $lab/outer/wg0.conf
weir_start inner $lab/inner/wg0.conf
until_true 20 pings outer 10.9.0.1 1 || fail "no tunnel through the NAT"
first=$(peer .endpoint)
case $first in
192.0.2.1:40*) ;;
*) fail "there is no NAT in between: $first" ;;
esac

# 1. longer than twice what the NAT remembers, with keepalives alone
sleep 9
[ "$(refused)" = 0 ] || fail "the NAT refused something already"
pings outer 10.9.0.1 1 || fail "a keepalive each second does not hold the mapping"
[ "$(peer .endpoint)" = "$first" ] || fail "the mapping changed in between: $first, $(peer .endpoint)"
kept=$(peer .counters.keepalive_received)
[ "$kept" -ge 4 ] && [ "$kept" -le 20 ] || fail "$kept keepalives in some 9 s"
say "a keepalive each second holds a mapping that lasts 4 s: $kept came, the outer side can begin"

# 2. the NAT forgets and gives another port: the next keepalive tells
give_ports 41000-41999
on nat conntrack -D -p udp >/dev/null 2>&1 || fail "conntrack -D"
start=$(milliseconds)
moved() {
	case $(peer .endpoint) in 192.0.2.1:41*) return 0 ;; esac
	return 1
}
until_true 10 moved || fail "the new port is not followed: $(peer .endpoint)"
ms=$(($(milliseconds) - start))
[ "$(peer .endpointOrigin)" = roamed ] || fail "origin $(peer .endpointOrigin)"
[ "$(peer .counters.roamed)" -ge 1 ] || fail "not counted"
pings outer 10.9.0.1 5 || fail "packets lost after the change"
say "another port at the NAT is followed after $ms ms, with the next keepalive"

# 3. the same while packets go: the first from the new port is answered there. (A ping of its own each time: an answer
# that is under way while the NAT forgets is lost in any case.)
done_before=$(peer .counters.handshake_done)
for range in 42000-42999 43000-43999 44000-44999 45000-45999 46000-46999; do
	pings inner 10.9.0.2 1 || fail "packets lost"
	give_ports $range
	on nat conntrack -D -p udp >/dev/null 2>&1 || fail "conntrack -D"
	pings inner 10.9.0.2 1 || fail "the first packet from a new port is answered at the old one"
	case $(peer .endpoint) in
	192.0.2.1:"${range%???-*}"*) ;;
	*) fail "the new port is not followed: $(peer .endpoint)" ;;
	esac
done
[ "$(peer .counters.handshake_done)" = "$done_before" ] || fail "a new mapping cost a handshake"
say "five new mappings under traffic: each followed by its first packet, nothing lost, no handshake"

# 4. without keepalives the outer side cannot begin once the NAT has forgotten; the next packet from inside mends that
sed -i '/PersistentKeepalive/d' $lab/inner/wg0.conf
weir_on inner reload -i wg0 >/dev/null || fail "reload"
until_true 20 sh -c "! ip netns exec nat conntrack -L -p udp 2>/dev/null | grep -q 51820" || fail "the NAT never forgets"
before=$(refused) # what was under way whenever it forgot
on outer ping -q -n -c 1 -W 1 10.9.0.1 >/dev/null 2>&1 && fail "the outer side gets in: the NAT is none"
[ "$(refused)" -gt "$before" ] || fail "the NAT refused nothing"
pings inner 10.9.0.2 1 || fail "not back from inside"
pings outer 10.9.0.1 3 || fail "not back from outside"
say "without keepalives the NAT forgets; one packet from inside brings the tunnel back"
