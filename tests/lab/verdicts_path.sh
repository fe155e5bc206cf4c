#!/bin/sh
# Faults between the ends, side by side: NATs, filters, routes and sizes. Each gets its verdict first, at the end that can
# know it; the peer whose way is good gets none, at either end.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/nat.sh"
. "$(dirname "$0")/faults.sh"
. "$(dirname "$0")/verdicts.sh"
need wg ping ip nft conntrack turnserver python3

public
relay_start
coturn_start
relay="Url = rel://$nat_server:443
SecretFile = $lab/srv/secret"
stun="[Ice]
Stun = $nat_server:3478, $nat_server:3490"

# Its only network is a tunnel (of another VPN, say), which ICE passes by: the box has the other end of it.
only_tunnel() { # SITE NUMBER
	ip -n "$1" link del lan
	ip -n "$1-nat" link del lan
	ip netns exec "$1-nat" python3 - >>$lab/$1/log.tunnel 2>&1 <<'PY' &
import fcntl, os, select, struct
ends = []
for name in (b"lan", b"vpn"):
    fd = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(fd, 0x400454CA, struct.pack("16sH22x", name, 0x1001))
    ends.append(fd)
while True:
    for fd in select.select(ends, [], [])[0]:
        try:
            os.write(ends[fd == ends[0]], os.read(fd, 65536))
        except OSError:
            pass
PY
	until_true 20 ip -n "$1-nat" link show vpn || fail "no tunnel for $1"
	ip -n "$1-nat" link set vpn netns "$1"
	ip -n "$1-nat" addr add "10.$2.0.1/24" dev lan
	ip -n "$1-nat" link set lan up
	ip -n "$1" addr add "10.$2.0.2/24" dev vpn
	ip -n "$1" link set vpn up
	ip -n "$1" route add default via "10.$2.0.1"
}

# All of them speak with the hub; two pairs are for themselves.
open_host hub 10
open_host loop 18
open_host mute 29
site good 11 port
site blocked 12 blocked
site filter 16 port
site narrow 17 port
site quiet 19 port
site refused 20 port
site lost 24 port
site walled 25 port
site dark 26 port
site dims 27 port
site tuns 28 port
open_host dies1 23
site dies2 21 port
site flaps 22 port
site sym1 13 symmetric
site sym2 14 symmetric
site twin1 15 port
behind twin2 twin1 3
for port in l2 l3; do
	on twin1-nat ip link set $port type bridge_slave isolated on
done

conf_of hub 1 "$relay" "$stun"
sed -i '/^\[Interface\]/a ListenPort = 51820' $lab/hub/wg0.conf
n=2
for name in good blocked filter narrow quiet refused lost walled flaps dark dims tuns mute loop; do
	eval "n_$name=$n"
	ice=$stun
	more=
	[ $name != refused ] || ice="[Ice]
Turn = $nat_server:3490
TurnUser = weir
TurnPassword = wrong"
	[ $name != lost ] || ice="$stun
Turn = 203.0.113.99:3490
TurnUser = weir
TurnPassword = pass"
	[ $name != quiet ] || more="Mode = plain"
	[ $name != mute ] || more="Mode = plain
Endpoint = 203.0.113.29:51820"
	peer_of hub $name $n "$more"
	[ $name != quiet ] || more="Mode = plain
Endpoint = 203.0.113.10:51820"
	[ $name != mute ] || more="Mode = plain"
	[ $name != loop ] || more="Mode = plain
Endpoint = 203.0.113.10:51820
AllowedIPs = 203.0.113.10/32"
	conf_of $name $n "$relay" "$ice"
	peer_of $name hub 1 "$more"
	[ $name != mute ] || sed -i '/^\[Interface\]/a ListenPort = 51820' $lab/mute/wg0.conf
	n=$((n + 1))
done
pair_of() { # A NUMBER B NUMBER
	conf_of $1 $2 "$relay" "$stun"
	peer_of $1 $3 $4
	conf_of $3 $4 "$relay" "$stun"
	peer_of $3 $1 $2
}
pair_of sym1 23 sym2 24
pair_of twin1 25 twin2 26

# No relay here, and dies2 calls.
conf_of dies1 27 "" "[Ice]
Enable = no"
sed -i '/^\[Interface\]/a ListenPort = 51820' $lab/dies1/wg0.conf
peer_of dies1 dies2 28
conf_of dies2 28 "" "[Ice]
Enable = no"
peer_of dies2 dies1 27 "Endpoint = 203.0.113.23:51820"

# What is broken before anybody starts.
injected blocked hub udp-blocked/here "UDP is dropped by the network of this end"
injected hub blocked udp-blocked/there "UDP is dropped by the network of the other end"
injected sym1 sym2 symmetric-nats "a symmetric NAT at each end"
injected twin1 twin2 hairpin "both behind one NAT without hairpin, isolated inside"
injected refused hub turn-refused "wrong password for TURN"
injected lost hub turn-unreachable "no TURN server at that address"
injected walled hub no-direct-path "UDP between the two is dropped, and nothing else"
for name in refused lost walled; do
	fault $name ip daddr 203.0.113.10 meta l4proto udp drop
	fault $name ip saddr 203.0.113.10 meta l4proto udp drop
done
only_tunnel tuns 28
injected tuns hub no-local-candidates/here "the only address is a tunnel's"
injected loop hub tunnel-in-tunnel "the peer's endpoint is routed into the tunnel"

begin hub quiet
until_true 20 answered quiet 10.9.0.1 || fail "the quiet one is not reached"
quiet_at=$(milliseconds)
begin good blocked filter narrow refused lost walled flaps dark dims tuns mute loop dies1 dies2 sym1 sym2 twin1 twin2

talk() { # HOST ADDRESS: a packet every 0.2 s until the test ends
	ip netns exec "$1" ping -q -n -i 0.2 "$2" >/dev/null 2>&1 &
}
for name in good blocked filter narrow refused lost walled flaps dark dims tuns loop; do
	talk $name 10.9.0.1
done
talk dies2 10.9.0.27
talk sym1 10.9.0.24
talk twin1 10.9.0.26
for name in filter narrow flaps dark dims; do
	until_true 20 path_is $name ice || fail "$name is on $(path_of $name)"
done
say "all are up, as far as they can be"

injected hub filter wireguard-filtered/between "WireGuard is dropped, pings and STUN pass"
injected filter hub wireguard-filtered/between "the same, seen by the other end"
fault_wireguard filter
injected hub narrow mtu-black-hole "datagrams over 1300 bytes vanish"
fault_size narrow 1308
on hub ping -q -n -c 20 -i 0.1 -s 1380 -M "do" 10.9.0.$n_narrow >/dev/null 2>&1 || true
until_true 20 answered dies1 10.9.0.28 || fail "dies1 is not reached"
injected dims hub udp-blocked/here "UDP stops to pass, and the relay carries"
injected hub dims udp-blocked/there "the same, seen by the other end"
fault_udp dims
until_true 20 answered hub 10.9.0.$n_mute || fail "mute is not reached"
talk hub 10.9.0.$n_mute
injected hub mute data-unanswered "a plain peer falls silent under a flow"
on mute nft -f - <<'NFT'
table inet f {
	chain i { type filter hook input priority 0; udp dport 51820 drop; }
	chain o { type filter hook output priority 0; udp sport 51820 drop; }
}
NFT
injected dark hub nothing-gets-out/here "this end's network is cut off"
injected hub dark path-died "the network of the other end is cut off"
fault_all dark
injected dies1 dies2 path-died "the only path dies"
fault_all dies2
talk dies1 10.9.0.28

(
	for round in 1 2 3; do
		fault_udp flaps
		until_true 20 path_is flaps relay
		heal flaps
		[ $round = 3 ] || until_true 20 path_is flaps ice
	done
) &
injected flaps hub path-flaps "UDP comes and goes"

# A NAT forgets after half a minute; the last keepalive comes ten seconds after the ping. What comes meanwhile is seen.
until_forgotten() {
	uf_age=$(($(milliseconds) - quiet_at))
	[ $uf_age -ge 37000 ] || return 1
	! grep -q filter $verdicts_wait || [ $uf_age -ge 90000 ]
}
until until_forgotten; do
	for end in $(cut -f1 $verdicts_wait | sort -u); do
		verdicts_of "$end"
	done
	sleep 0.2
done

# While it lasts pairs are replaced; the verdict stays. It ends with the filter.
for end in hub filter; do
	grep -q "over: WireGuard is filtered" $lab/$end/log && fail "$end took it back: $(grep filtered $lab/$end/log)"
done
heal filter
nat_forget quiet
injected hub quiet nat-mapping-lost "a NAT forgets a peer without keepalive"
talk hub 10.9.0.$n_quiet

# Tries are counted as they fail and as the peer offers some, so one end is ahead of the other: either will do.
parked_is_told() {
	for pt_end in "hub walled" "walled hub"; do
		weir_on ${pt_end% *} explain ${pt_end#* } --json >$lab/parked 2>&1 || true
		grep -q '"retry-parked"' $lab/parked || continue
		injected ${pt_end% *} ${pt_end#* } retry-parked "tries for a direct path have become rare"
		return
	done
	return 1
}
until_true 90 parked_is_told || fail "tries that failed are as frequent as ever: $(cat $lab/parked)"

verdicts_come 60
never_a_verdict hub good
never_a_verdict good hub
say "each fault has its verdict, and who is well has none"

verdict_is_over() { # HOST PEER
	weir_on "$1" explain "$2" --json >$lab/read || true
	grep -q '"healthy"' $lab/read && ! grep -q '"wireguard-filtered"' $lab/read
}
until_true 60 path_is filter ice || fail "filter stays on $(path_of filter)"
for end in "hub filter" "filter hub"; do
	until_true 20 verdict_is_over $end || fail "not over: $(weir_on ${end% *} explain ${end#* })"
done
say "WireGuard passes again: the direct path is back, and the verdict is over"
