#!/bin/sh
# Compares weir with wireguard-go in one run, on two hosts (namespaces) joined by a cable:
# throughput with one and four streams, CPU seconds of both daemons per GB, small packets, latency, memory and load
# time with 1,000 and 10,000 peers. Rounds are interleaved and medians are printed, because machines are shared: trust
# the ratios of one run.
#
#   WIREGUARD_GO=path   the other daemon (default: Debian backports' if it can be fetched, else the installed one)
#   ROUNDS=n SECONDS_EACH=s
#   PARTS="tcp latency udp peers"     only some of it
. "${WEIR_SRCDIR:-$(dirname "$0")/../..}/tests/lab/lib.sh"
need wg iperf3 jq ping awk

rounds=${ROUNDS:-3}
duration=${SECONDS_EACH:-6}
parts=${PARTS:-tcp latency udp peers}
results=$lab/results
mkdir -p "$results"

ticks=$(getconf CLK_TCK)

# Seconds of CPU, user and system, that a process has used with all its threads.
cpu_of() {
	awk -v t="$ticks" '{ sub(/.*\) /, ""); print ($12 + $13) / t }' "/proc/$1/stat"
}

rss_of() { # KiB
	awk '/VmRSS/ { print $2 }' "/proc/$1/status"
}

daemon() { # KIND HOST IFACE: starts one, its pid in $daemon_pid
	case $1 in
	weir) ip netns exec "$2" env LOG_LEVEL=error "$weir_wg" -f "$3" >>"$lab/$2/log" 2>&1 & ;;
	wireguard-go)
		ip netns exec "$2" env LOG_LEVEL=error WG_I_PREFER_BUGGY_USERSPACE_TO_POLISHED_KMOD=1 "$wireguard_go" -f "$3" \
			>>"$lab/$2/log" 2>&1 &
		;;
	esac
	daemon_pid=$!
	until_true 20 test -S "/run/wireguard/$3.sock" || fail "$1 on $2 did not start"
}

tunnel_up() { # KIND
	daemon "$1" left bl
	pid_left=$daemon_pid
	daemon "$1" right br
	pid_right=$daemon_pid
	wg set bl private-key $lab/left/key listen-port 51820 peer "$(cat $lab/right/pub)" \
		endpoint 192.0.2.2:51820 allowed-ips 10.9.0.2/32
	wg set br private-key $lab/right/key listen-port 51820 peer "$(cat $lab/left/pub)" allowed-ips 10.9.0.1/32
	on left ip addr add 10.9.0.1/24 dev bl
	on right ip addr add 10.9.0.2/24 dev br
	on left ip link set dev bl mtu 1420 up
	on right ip link set dev br mtu 1420 up
	until_true 30 pings left 10.9.0.2 1 || fail "$1: no tunnel"
}

tunnel_down() {
	kill "$pid_left" "$pid_right"
	until_true 20 sh -c "! kill -0 $pid_left && ! kill -0 $pid_right" || true
	rm -f /run/wireguard/*.sock
}

record() { # FILE VALUE
	echo "$2" >>"$results/$1"
}

wanted() {
	case " $parts " in
	*" $1 "*) return 0 ;;
	esac
	return 1
}

median() { # FILE
	[ -f "$results/$1" ] || { echo -; return; }
	sort -n "$results/$1" | awk '{ v[NR] = $1 } END { if (NR) print v[int((NR + 1) / 2)]; else print "-" }'
}

iperf() { # NAME ARGUMENTS...: runs the client, JSON in $lab/iperf.json
	ip netns exec right iperf3 -s -1 -B 10.9.0.2 >/dev/null 2>&1 &
	iperf_server=$!
	sleep 0.5
	on left iperf3 -J -c 10.9.0.2 -t "$duration" "$@" >$lab/iperf.json
	wait $iperf_server || true
}

tcp() { # KIND STREAMS
	c0=$(cpu_of $pid_left) c1=$(cpu_of $pid_right)
	iperf -P "$2"
	c2=$(cpu_of $pid_left) c3=$(cpu_of $pid_right)
	jq '.end.sum_received.bits_per_second / 1e9' $lab/iperf.json >$lab/v
	record "$1.tcp$2.gbps" "$(cat $lab/v)"
	bytes=$(jq '.end.sum_received.bytes' $lab/iperf.json)
	record "$1.tcp$2.cpu" "$(echo "$c0 $c1 $c2 $c3 $bytes" | awk '{ print ($3 + $4 - $1 - $2) / ($5 / 1e9) }')"
}

udp() { # KIND: 64-byte payloads at full offered rate; what arrives counts
	iperf -u -b 0 -l 64
	record "$1.udp.kpps" "$(jq '(.end.sum.packets - .end.sum.lost_packets) / .end.sum.seconds / 1000' $lab/iperf.json)"
}

latency() { # KIND
	on left ping -n -i 0.002 -c 1500 10.9.0.2 | sed -n 's/.*time=\([0-9.]*\) ms/\1/p' | sort -n >$lab/rtt
	record "$1.ping.p50" "$(awk '{ v[NR] = $1 } END { print v[int(NR * 0.50)] * 1000 }' $lab/rtt)"
	record "$1.ping.p99" "$(awk '{ v[NR] = $1 } END { print v[int(NR * 0.99)] * 1000 }' $lab/rtt)"
}

peers() { # KIND COUNT: one request with all of them, as `wg setconf` would send it
	daemon "$1" left bp
	pid=$daemon_pid
	before=$(rss_of $pid)
	{
		echo "[Interface]"
		echo "PrivateKey = $(cat $lab/left/key)"
		cat "$lab/peers.$2"
	} >$lab/peers.conf
	start=$(milliseconds)
	wg setconf bp $lab/peers.conf
	end=$(milliseconds)
	record "$1.peers$2.load" "$(echo "$start $end" | awk '{ print ($2 - $1) / 1000 }')"
	record "$1.peers$2.kib" "$(echo "$before $(rss_of $pid) $2" | awk '{ print ($2 - $1) / $3 }')"
	start=$(milliseconds)
	wg show bp dump >/dev/null
	record "$1.peers$2.dump" "$(echo "$start $(milliseconds)" | awk '{ print ($2 - $1) / 1000 }')"
	on left ip link set dev bp up
	sleep 1
	c0=$(cpu_of $pid)
	sleep 3
	record "$1.peers$2.idle" "$(echo "$c0 $(cpu_of $pid)" | awk '{ print ($2 - $1) / 3 * 100 }')"
	kill $pid
	until_true 20 sh -c "! kill -0 $pid" || true
	rm -f /run/wireguard/bp.sock
}

# Public keys need not have a known secret: random bytes serve. The last of 43 digits carries four bits only.
write_peers() { # COUNT
	head -c $((44 * $1)) /dev/urandom | base64 -w 43 | head -n "$1" | sed 's/.$/A=/' | awk '{
		printf "[Peer]\nPublicKey = %s\nAllowedIPs = 10.%d.%d.%d/32\n", $0, int(NR / 65536) + 100, \
			int(NR / 256) % 256, NR % 256
	}' >"$lab/peers.$1"
}

find_wireguard_go() {
	wireguard_go=${WIREGUARD_GO:-}
	[ -n "$wireguard_go" ] && return
	wireguard_go=$(command -v wireguard-go || true)
	[ -n "$wireguard_go" ] || fail "no wireguard-go: set WIREGUARD_GO"
}

line() { # TEXT KEY UNIT
	w=$(median "weir.$2") g=$(median "wireguard-go.$2")
	[ "$w" != - ] || return 0
	printf '%-34s %12s %14s %8s  %s\n' "$1" "$(printf '%.3g' "$w")" "$(printf '%.3g' "$g")" \
		"$(echo "$w $g" | awk '{ if ($2 > 0) printf "%.2f", $1 / $2; else print "-" }')" "$3"
}

host left right
cable left 192.0.2.1/24 right 192.0.2.2/24
keys left right
find_wireguard_go
echo "wireguard-go: $("$wireguard_go" --version | head -1)"
echo "weir:         $("$weir" --version | head -1), $(nproc) cores"

# A first round for nothing: caches, clocks, lazy pages.
r=0
while [ $r -lt "$rounds" ]; do
	r=$((r + 1))
	for kind in weir wireguard-go; do
		tunnel_up $kind
		if wanted tcp; then
			tcp $kind 1
			tcp $kind 4
		fi
		if wanted latency; then latency $kind; fi
		if wanted udp; then udp $kind; fi
		record "$kind.rss" "$(($(rss_of $pid_left) / 1024))"
		tunnel_down
	done
	echo "round $r of $rounds done" >&2
done
counts="1000 10000"
wanted peers || counts=
for count in $counts; do
	write_peers $count
	for kind in weir wireguard-go; do
		peers $kind $count
	done
done

printf '\n%-34s %12s %14s %8s\n' "median of $rounds rounds" weir wireguard-go ratio
line "TCP, 1 stream" tcp1.gbps Gbit/s
line "  CPU of both daemons" tcp1.cpu s/GB
line "TCP, 4 streams" tcp4.gbps Gbit/s
line "  CPU of both daemons" tcp4.cpu s/GB
line "UDP, 64 bytes, delivered" udp.kpps kpps
line "ping, median" ping.p50 us
line "ping, p99" ping.p99 us
line "memory after that" rss MiB
for count in 1000 10000; do
	line "$count peers: load" peers$count.load s
	line "  memory a peer" peers$count.kib KiB
	line "  wg show dump" peers$count.dump s
	line "  idle CPU" peers$count.idle "% of a core"
done
