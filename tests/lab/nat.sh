# NATs for the lab, to be sourced after lib.sh: a public network with a server, and sites behind NAT boxes.
#
#   public                       the public network 203.0.113.0/24 and host srv (.5, and .6 for servers that want two)
#   site NAME NUMBER KIND        box NAME-nat (public address 203.0.113.NUMBER) and host NAME (10.NUMBER.0.2) behind it
#   behind NAME SITE LAST        one more host behind the same box, 10.NUMBER.0.LAST
#   open_host NAME NUMBER        a host with a public address and no NAT
#
# KIND, in the words of RFC 4787 (mapping / filtering):
#   cone        endpoint-independent both: "full cone"
#   address     endpoint-independent mapping, address-dependent filtering
#   port        Linux masquerade: the port is kept, address-and-port-dependent filtering
#   symmetric   another random port for each destination
#   blocked     no UDP at all; TCP as with port
# A box drops what nobody behind it asked for, also on its own input: a stray probe would otherwise leave a conntrack
# entry that takes the port away from the mapping that comes next.

nat_server=203.0.113.5

# nat_set FILE: a rule set for a box; nftables wants real newlines.
nat_load() { # BOX
	on "$1" nft -f -
}

public() {
	host internet srv
	ip -n internet link add br0 type bridge
	ip -n internet link set br0 up
	plug srv 5
	ip -n srv addr add 203.0.113.6/24 dev wan
}

# plug HOST NUMBER: the host's "wan" interface on the public network.
plug() {
	ip -n "$1" link add wan type veth peer name "p$2" netns internet
	ip -n internet link set "p$2" master br0
	ip -n internet link set "p$2" up
	ip -n "$1" addr add "203.0.113.$2/24" dev wan
	ip -n "$1" link set wan up
	ip -n "$1" route replace default via 203.0.113.1 2>/dev/null || true
}

open_host() {
	host "$1"
	plug "$1" "$2"
}

site() {
	host "$1-nat" "$1"
	echo "$2" >"$lab/$1-nat/number"
	plug "$1-nat" "$2"
	on "$1-nat" sysctl -q -w net.ipv4.ip_forward=1
	ip -n "$1-nat" link add lan type bridge
	ip -n "$1-nat" addr add "10.$2.0.1/24" dev lan
	ip -n "$1-nat" link set lan up
	join "$1" "$1-nat" "$2" 2
	nat_kind "$1" "$3"
}

behind() {
	host "$1"
	join "$1" "$2-nat" "$(cat "$lab/$2-nat/number")" "$3"
}

# join HOST BOX NUMBER LAST: the host's "lan" interface, and its way out.
join() {
	ip -n "$1" link add lan type veth peer name "l$4" netns "$2"
	ip -n "$2" link set "l$4" master lan
	ip -n "$2" link set "l$4" up
	ip -n "$1" addr add "10.$3.0.$4/24" dev lan
	ip -n "$1" link set lan up
	ip -n "$1" route add default via "10.$3.0.1"
}

# nat_kind SITE KIND [PUBLIC ADDRESS]: (re)loads the rules of a site's box.
nat_kind() {
	nk_number=$(cat "$lab/$1-nat/number")
	nk_public=${3:-203.0.113.$nk_number}
	nk_out="oifname wan masquerade"
	nk_in=
	nk_forward=
	nk_sets=
	case $2 in
	port) ;;
	symmetric)
		nk_out="oifname wan meta l4proto { tcp, udp } masquerade random,fully-random
		oifname wan masquerade"
		;;
	blocked) nk_forward="meta l4proto udp drop" ;;
	cone | address)
		nk_out="oifname wan snat to $nk_public"
		nk_in="iifname wan ip daddr $nk_public udp dport 1024-65535 dnat to 10.$nk_number.0.2"
		nk_forward="iifname wan ct status dnat accept"
		;;
	*) fail "nat_kind: unknown kind $2" ;;
	esac
	if [ "$2" = address ]; then
		nk_sets="set contacted { type ipv4_addr; flags timeout; timeout 120s; size 1024; }"
		nk_forward="iifname lan meta l4proto udp update @contacted { ip daddr }
		iifname wan ct status dnat ip saddr @contacted accept"
	fi
	nat_load "$1-nat" <<NFT
flush ruleset
table ip nat {
	chain in {
		type nat hook prerouting priority -100;
		$nk_in
	}
	chain out {
		type nat hook postrouting priority 100;
		$nk_out
	}
}
table inet guard {
	$nk_sets
	chain input {
		type filter hook input priority 0; policy accept;
		iifname wan ct state new drop
	}
	chain through {
		type filter hook forward priority 0; policy drop;
		$nk_forward
		ct state established,related accept
		iifname lan accept
	}
}
table inet faults {
	chain through {
		type filter hook forward priority -50; policy accept;
	}
}
NFT
}

# ---- faults: rules in a chain of their own on the site's box, taken away by heal ----

# fault SITE RULE...: e.g. fault left meta l4proto udp drop
fault() {
	f_site=$1
	shift
	on "$f_site-nat" nft add rule inet faults through "$*"
}

heal() {
	on "$1-nat" nft flush chain inet faults through
}

# WireGuard alone is lost (types 1 to 4), STUN and everything else passes: F2, F41.
fault_wireguard() {
	fault "$1" meta l4proto udp @th,64,32 '{ 0x01000000, 0x02000000, 0x03000000, 0x04000000 }' drop
}

# Nothing passes at all.
fault_all() {
	fault "$1" drop
}

fault_udp() {
	fault "$1" meta l4proto udp drop
}

# UDP datagrams longer than LENGTH bytes (UDP header and payload) vanish: an MTU black hole.
fault_size() {
	fault "$1" meta l4proto udp udp length gt "$2" drop
}

# Every mapping is forgotten; with symmetric boxes the next packet gets another port.
nat_forget() {
	on "$1-nat" conntrack -F >/dev/null 2>&1
}

# The site's public address changes, as on a dial-up line: nat_readdress SITE NUMBER KIND
nat_readdress() {
	ip -n "$1-nat" addr flush dev wan
	ip -n "$1-nat" addr add "203.0.113.$2/24" dev wan
	nat_kind "$1" "$3" "203.0.113.$2"
	nat_forget "$1"
}

# ---- measuring ----

# outage HOST ADDRESS SECONDS FILE: pings every 20 ms in the background; outage_of FILE prints the longest gap in ms.
watch_start() {
	ip netns exec "$1" ping -n -D -i 0.02 -W 1 -w "$3" "$2" >"$4" 2>/dev/null &
	echo $! >"$4.pid"
}

watch_stop() {
	kill -INT "$(cat "$1.pid")" 2>/dev/null || true
	wait "$(cat "$1.pid")" 2>/dev/null || true
}

# The longest time between two answers, in ms; the time until the first one does not count, that to the end does.
outage_of() {
	awk '/bytes from/ { t = substr($1, 2) + 0; if (last && t - last > gap) gap = t - last; last = t }
		END { printf "%d\n", gap * 1000 }' "$1"
}

# ---- servers on srv ----

# relay_start [options]: weir's relay server with STUN; its pid is in $lab/srv/pid.relay.
relay_start() {
	[ -f $lab/srv/secret ] || (umask 077 && head -c 24 /dev/urandom | base64 >$lab/srv/secret)
	ip netns exec srv "$weir" relay --listen "$nat_server:443" --secret-file $lab/srv/secret --status 127.0.0.1:9090 "$@" \
		>>$lab/srv/log.relay 2>&1 &
	echo $! >$lab/srv/pid.relay
	until_true 20 on srv sh -c "ss -Hltn 'sport = :443' | grep -q ." || fail "the relay does not listen"
}

# coturn_start: user weir, password pass, realm lab.
coturn_start() {
	cat >$lab/srv/turn.conf <<CONF
listening-ip=$nat_server
relay-ip=$nat_server
listening-port=3490
lt-cred-mech
user=weir:pass
realm=lab
no-cli
no-tls
no-dtls
no-multicast-peers
pidfile=$lab/srv/turn.pid
log-file=stdout
simple-log
CONF
	ip netns exec srv turnserver -c $lab/srv/turn.conf >>$lab/srv/log.turn 2>&1 &
	echo $! >$lab/srv/pid.turn
	until_true 20 on srv sh -c "ss -Hlun 'sport = :3490' | grep -q ." || fail "coturn does not listen"
}

# ---- a pair of engines: peer_conf HOST LAST PEER PEER-LAST [more lines for the file's sections before the peer] ----

# The tunnel addresses are 10.9.0.LAST. What peer_extra holds goes into the peer's section.
peer_conf() {
	keys "$1" "$3"
	cat >"$lab/$1/wg0.conf" <<CONF
[Interface]
PrivateKey = $(cat "$lab/$1/key")
Address = 10.9.0.$2/24
[Relay]
Url = rel://$nat_server:443
SecretFile = $lab/srv/secret
${5:-}
[Peer]
Name = $3
PublicKey = $(cat "$lab/$3/pub")
AllowedIPs = 10.9.0.$4/32
${peer_extra:-}
CONF
	chmod 600 "$lab/$1/wg0.conf"
}

# path_of HOST: kind of the path that its first peer is reached by now.
path_of() {
	weir_on "$1" status wg0 --json 2>/dev/null | jq -r '.peers[0].path | if .state == "up" then .kind else "none" end'
}

path_is() { # HOST KIND...
	pi_now=$(path_of "$1")
	shift
	for pi_kind in "$@"; do
		[ "$pi_now" != "$pi_kind" ] || return 0
	done
	return 1
}

# since START: milliseconds, for "time to ...".
since() {
	echo $(($(milliseconds) - $1))
}

# answered HOST ADDRESS: one ping, for until_true: without the long wait that hides how soon a tunnel was up.
answered() {
	on "$1" ping -q -n -c 1 -W 0.2 "$2" >/dev/null 2>&1
}
