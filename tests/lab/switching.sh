#!/bin/sh
# Changes of path under a flow at a fixed rate lose nothing; a plain WireGuard peer beside one that is weir; two hosts in a
# LAN that speaks IPv6 alone.
#
#   ONLY="switch plain ipv6"
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/nat.sh"
. "$(dirname "$0")/faults.sh"
need wg jq nft conntrack ss ping awk iperf3 wireguard-go

public
site left 10 port
site right 20 port
relay_start
login="Url = rel://$nat_server:443
SecretFile = $lab/srv/secret"

preference() {
	weir_on left path right "$1" >/dev/null
	weir_on right path left "$1" >/dev/null
}

no_room() { # packets that neither sockets, nor the queues of wg0, nor those to the relay had room for
	n=$(kernel_dropped left right)
	for side in left right; do
		n=$((n + $(jq_of $side '[.relays[].dropped] | add')))
	done
	echo $n
}

# From relay to ice and back, as a person would ask for it, each change on both ends.
if wanted switch; then
	case=switch
	peer_conf left 1 right 2
	peer_conf right 2 left 1
	weir_start left $lab/left/wg0.conf
	weir_start right $lab/right/wg0.conf
	settled ice left right
	# What a busy host loses in full queues is no path's fault; under a sanitizer there is less to lose.
	rate=20
	! grep -q "WEIR_SANITIZED 1" "$LAB_BUILD/config.h" 2>/dev/null || rate=2
	switch_to_and_fro() { # the flow, and how much of it is $lost in so many $changes; for $full of that there was no room
		rm -f $lab/right/iperf.pid
		on right iperf3 -s -1 -D -I $lab/right/iperf.pid >/dev/null
		until_true 10 on right sh -c "ss -Hltn 'sport = :5201' | grep -q ." || fail "iperf3 does not listen"
		before=$(no_room)
		started=$(milliseconds)
		on left iperf3 -c 10.9.0.2 -u -b ${rate}M -l 1200 -t 18 --get-server-output --json >$lab/iperf 2>&1 &
		client=$!
		sleep 1
		changes=0
		while [ $changes -lt 12 ]; do
			preference relay-only
			until_true 20 path_is left relay || fail "switch: left does not take the relay"
			until_true 20 path_is right relay || fail "switch: right does not take the relay"
			preference auto
			until_true 20 path_is left ice || fail "switch: left does not go back to ice"
			until_true 20 path_is right ice || fail "switch: right does not go back to ice"
			changes=$((changes + 2))
			kill -0 $client 2>/dev/null || break
		done
		wait $client || fail "switch: the flow broke: $(tail -n 5 $lab/iperf)"
		sent=$(jq '.end.sum.packets' $lab/iperf)
		lost=$(jq '.end.sum.lost_packets' $lab/iperf)
		full=$(($(no_room) - before))
		stood=$(stalled $(since "$started"))
	}
	for try in 1 2 3; do
		switch_to_and_fro
		echo "# $changes changes of path, $lost of $sent packets lost, room for all but $full, the machine stood still for $stood ms"
		[ "$lost" -gt $((changes * slack + full)) ] && [ "$stood" -gt 300 ] || break
		# Its batches and keys were overtaken by the next change; that tells nothing of changes as such.
		settled ice left right
	done
	say "$changes changes of path under $rate Mbit/s: $lost of $sent packets lost, for $full there was no room"
	[ "$changes" -ge 4 ] || fail "switch: $changes changes only"
	[ "$lost" -le $((changes * slack + full)) ] || fail "switch: $lost packets lost in $changes changes"
	end_engine left
	end_engine right
fi

# wireguard-go on a host with a public address, as a peer of left beside right.
if wanted plain; then
	case=plain
	open_host plain 40
	keys plain
	conf_of left 1 "$login"
	peer_of left right 2
	peer_of left plain 3 "Endpoint = 203.0.113.40:51820"
	conf_of right 2 "$login"
	peer_of right left 1
	go_start plain wg0
	on plain wg set wg0 private-key $lab/plain/key listen-port 51820 peer "$(cat $lab/left/pub)" allowed-ips 10.9.0.1/32
	ip -n plain addr add 10.9.0.3/24 dev wg0
	ip -n plain link set wg0 up
	weir_start left $lab/left/wg0.conf
	weir_start right $lab/right/wg0.conf
	until_true 30 answered left 10.9.0.3 || fail "plain: no tunnel to wireguard-go"
	settled ice left right
	pings left 10.9.0.3 100 || fail "plain: packets lost"
	pings left 10.9.0.2 100 || fail "plain: packets lost on the other tunnel"
	is left '.peers[] | select(.name == "plain") | .network.remoteIsWeir' true && fail "plain: taken for weir"
	word=$(jq_of left '.peers[] | select(.name == "plain") | .word')
	[ "$word" = DIRECT ] || fail "plain: $word: $(jq_of left '.peers[] | select(.name == "plain") | .reason')"
	nat_forget left
	until_true 20 answered left 10.9.0.3 || fail "plain: no tunnel after the NAT forgot it"
	frames=$(jq_of left '.peers[] | select(.name == "plain") | .network.frames.sent')
	[ "$frames" -le 10 ] || fail "plain: $frames frames went to a peer that cannot read them"
	say "a plain WireGuard peer beside one that is weir: both lose nothing, $frames frames were tried on the plain one"
	end_engine left
	end_engine right
	kill "$(cat $lab/plain/pid.wg0)"
fi

if wanted ipv6; then
	case=ipv6
	host hub six seven
	for end in six seven; do
		ip -n $end link add lan type veth peer name $end netns hub
	done
	ip -n hub link add lan type bridge
	ip -n hub addr add fd00:6::1/64 dev lan nodad
	ip -n hub link set lan up
	n=5
	for end in six seven; do
		n=$((n + 1))
		ip -n hub link set $end master lan up
		ip -n $end addr add fd00:6::$n/64 dev lan nodad
		ip -n $end link set lan up
	done
	ip netns exec hub "$weir" relay --listen "[fd00:6::1]:443" --secret-file $lab/srv/secret --status off \
		>>$lab/hub/log.relay 2>&1 &
	until_true 20 on hub sh -c "ss -Hltn 'sport = :443' | grep -q ." || fail "ipv6: the relay does not listen"
	login6="Url = rel://[fd00:6::1]:443
SecretFile = $lab/srv/secret"
	conf_of six 1 "$login6"
	peer_of six seven 2
	conf_of seven 2 "$login6"
	peer_of seven six 1
	start=$(milliseconds)
	weir_start six $lab/six/wg0.conf
	weir_start seven $lab/seven/wg0.conf
	until_true 30 answered six 10.9.0.2 || fail "ipv6: no tunnel"
	settled ice six seven
	ms=$(since "$start")
	jq_of six '.peers[0].network.paths[] | select(.chosen) | .remote' | grep -q "^\[f[de]" ||
		fail "ipv6: not by the IPv6 address: $(jq_of six '.peers[0].network.paths')"
	pings six 10.9.0.2 50 || fail "ipv6: packets lost"
	within ipv6 "$ms" 3000
	say "a LAN of IPv6 alone: ice by $(jq_of six '.peers[0].network.paths[] | select(.chosen) | .remote') after $ms ms"
	no_udp() {
		on six nft -f - <<'NFT'
table inet faults {
	chain out {
		type filter hook output priority 0; policy accept;
		meta l4proto udp drop
	}
	chain in {
		type filter hook input priority 0; policy accept;
		meta l4proto udp drop
	}
}
NFT
	}
	outage_case ipv6 "UDP blocked in that LAN" 1000 no_udp six 10.9.0.2
fi
