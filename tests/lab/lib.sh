# The lab: hosts are network namespaces, cables are veth pairs, and all of it (namespaces, processes, /run) lives inside
# private namespaces that end with the test. So two runs never meet, nothing stays behind, and root is not needed where
# user namespaces are allowed. Source this first:
#
#   . "$(dirname "$0")/lib.sh"
#
# After that the script runs inside. Names: host NAME; on NAME COMMAND...; weir_start NAME CONF...; until_true SECONDS COMMAND.
# A test prints "ok - ..." lines and ends with exit 0; fail ends it with the logs of all hosts.

set -eu

: "${LAB_BUILD:=$PWD}" # where weir and weir-wg were built
weir=$LAB_BUILD/weir
weir_wg=$LAB_BUILD/weir-wg

if [ "${LAB_INSIDE:-}" != 1 ]; then
	if [ "${WEIR_LAB:-1}" = 0 ]; then
		echo "skipped: WEIR_LAB=0"
		exit 77
	fi
	private=$(dirname "$0")/../../contrib/private
	if [ ! -w /dev/net/tun ] || ! sh "$private" true 2>/dev/null; then
		echo "skipped: namespaces or /dev/net/tun are not available"
		exit 77
	fi
	export LAB_INSIDE=1 LAB_BUILD
	exec sh "$private" sh "$0" "$@"
fi

lab_tests=0
lab=/run/lab

# The private /run of this test: network namespaces, sockets, logs and configurations. And what daemons remember over a
# restart, in /var/lib/weir, ends with the test, too.
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /var/lib
mkdir -p /run/netns /run/wireguard $lab
ip link set lo up

say() {
	lab_tests=$((lab_tests + 1))
	echo "ok $lab_tests - $*"
}

fail() {
	echo "FAILED: $*" >&2
	for log in $lab/*/log*; do
		[ -s "$log" ] || continue
		echo "--- $log" >&2
		tail -n 40 "$log" >&2
	done
	exit 1
}

# until_true SECONDS COMMAND...: waits for a condition, not for a time. The limit is generous: machines may be slow.
until_true() {
	until_end=$(($(date +%s) + $1))
	shift
	until "$@" >/dev/null 2>&1; do
		[ "$(date +%s)" -lt "$until_end" ] || return 1
		sleep 0.05
	done
}

host() {
	for host_name in "$@"; do
		ip netns add "$host_name"
		ip -n "$host_name" link set lo up
		mkdir -p "$lab/$host_name/state"
	done
}

on() {
	on_host=$1
	shift
	ip netns exec "$on_host" "$@"
}

# cable A ADDRESS B ADDRESS: a wire between two hosts, named after the other end.
cable() {
	ip -n "$1" link add "to-$3" type veth peer name "to-$1" netns "$3"
	ip -n "$1" addr add "$2" dev "to-$3"
	ip -n "$3" addr add "$4" dev "to-$1"
	ip -n "$1" link set "to-$3" up
	ip -n "$3" link set "to-$1" up
}

# two_hosts PREFIX [LINES]: left (192.0.2.1, in the tunnel 10.9.0.1) and right (.2) on a wire, and a file wg0.conf of each, in
# which the other is called PREFIXleft or PREFIXright; LINES end its section.
two_hosts() {
	host left right
	cable left 192.0.2.1/24 right 192.0.2.2/24
	keys left right
	for th_side in left right; do
		th_other=right th_n=1 th_m=2
		[ $th_side = right ] && th_other=left th_n=2 th_m=1
		cat >$lab/$th_side/wg0.conf <<CONF
[Interface]
PrivateKey = $(cat $lab/$th_side/key)
ListenPort = 51820
Address = 10.9.0.$th_n/24
[Peer]
Name = $1$th_other
PublicKey = $(cat $lab/$th_other/pub)
Endpoint = 192.0.2.$th_m:51820
AllowedIPs = 10.9.0.$th_m/32
${2:-}
CONF
		chmod 600 $lab/$th_side/wg0.conf
	done
}

# Makes $lab/HOST/key and $lab/HOST/pub once.
keys() {
	for keys_host in "$@"; do
		[ -f "$lab/$keys_host/key" ] && continue
		(umask 077 && wg genkey >"$lab/$keys_host/key")
		wg pubkey <"$lab/$keys_host/key" >"$lab/$keys_host/pub"
	done
}

# weir_start HOST CONF [options]: a daemon; its pid is in $lab/HOST/pid, its log in $lab/HOST/log.
weir_start() {
	ws_host=$1
	ws_conf=$2
	shift 2
	# Not by `on`: a function in the background is a shell of its own, and $! would be its pid.
	ip netns exec "$ws_host" "$weir" --headless "$ws_conf" --run-dir "$lab/$ws_host" --state-dir "$lab/$ws_host/state" \
		--log-level debug "$@" >>"$lab/$ws_host/log" 2>&1 &
	echo $! >"$lab/$ws_host/pid"
}

# weir_end HOST [SIGNAL]: its engine, and with it wg0.
weir_end() {
	kill "-${2:-TERM}" "$(cat "$lab/$1/pid")"
	until_true 20 sh -c "! ip -n $1 link show wg0" || fail "wg0 of $1 stays after SIG${2:-TERM}"
}

# relay_on HOST PORT URL [options]: a relay server alone, without STUN and status pages; its secret is $lab/secret, its pid
# in $lab/HOST/pid.PORT, its log in $lab/HOST/log.PORT.
relay_on() {
	ro_host=$1
	ro_port=$2
	ro_url=$3
	shift 3
	# Secrets may have a hash; a file of their own keeps it.
	[ -f $lab/secret ] || (umask 077 && echo "a secret # with a hash" >$lab/secret)
	ip netns exec "$ro_host" "$weir" relay --listen "0.0.0.0:$ro_port" --url "$ro_url" --secret-file $lab/secret \
		--stun off --status off "$@" >>"$lab/$ro_host/log.$ro_port" 2>&1 &
	echo $! >"$lab/$ro_host/pid.$ro_port"
	until_true 20 on "$ro_host" sh -c "ss -Hltn 'sport = :$ro_port' | grep -q ." || fail "the relay does not listen"
}

# The command line against a host's engine: weir_on HOST status...
weir_on() {
	wo_host=$1
	shift
	on "$wo_host" "$weir" "$@" --run-dir "$lab/$wo_host"
}

# uapi_start HOST IFACE [environment]: weir-wg in the foreground, sockets in /run/wireguard.
uapi_start() {
	us_host=$1
	us_if=$2
	ip netns exec "$us_host" env LOG_LEVEL=verbose "$weir_wg" -f "$us_if" >>"$lab/$us_host/log" 2>&1 &
	echo $! >"$lab/$us_host/pid.$us_if"
	until_true 20 test -S "/run/wireguard/$us_if.sock" || fail "$us_if on $us_host did not start"
}

# wireguard-go in the foreground, the other implementation.
go_start() {
	gs_host=$1
	gs_if=$2
	ip netns exec "$gs_host" env LOG_LEVEL=verbose WG_I_PREFER_BUGGY_USERSPACE_TO_POLISHED_KMOD=1 \
		wireguard-go -f "$gs_if" >>"$lab/$gs_host/log" 2>&1 &
	echo $! >"$lab/$gs_host/pid.$gs_if"
	until_true 20 test -S "/run/wireguard/$gs_if.sock" || fail "wireguard-go on $gs_host did not start"
}

need() {
	for need_command in "$@"; do
		command -v "$need_command" >/dev/null || {
			echo "skipped: $need_command is not installed"
			exit 77
		}
	done
}

# pings HOST ADDRESS [COUNT]: every one must be answered.
pings() {
	on "$1" ping -q -n -c "${3:-3}" -i 0.05 -W 2 "$2" >/dev/null
}

# kernel_dropped HOST...: packets that there was no room for in sockets and in the queue of wg0, as who should have read them
# got no turn on a busy machine. iperf3 sends what it missed in one burst.
kernel_dropped() {
	kd_sum=0
	for kd_host in "$@"; do
		kd_sum=$((kd_sum + $(on "$kd_host" awk '/^Udp: [0-9]/ { print $6 }' /proc/net/snmp)))
		kd_sum=$((kd_sum + $(ip -n "$kd_host" -s -j link show wg0 | jq '.[0].stats64.tx.dropped')))
	done
	echo $kd_sum
}

# Milliseconds since some start, for outages that are measured.
milliseconds() {
	echo $(($(date +%s%N) / 1000000))
}

# A machine that stands still, as CI's do at times, makes everything late. turns_start begins a ping of the loopback device,
# which nothing that a test does can delay; stalled MS: for how many of the last MS ms it got no turn, in gaps of 60 ms or more.
turns_start() {
	ping -n -D -i 0.02 127.0.0.1 >$lab/turns 2>/dev/null &
	until_true 20 grep -q "bytes from" $lab/turns || fail "no ping of the loopback device"
}
stalled() {
	# It had no turn yet, either, when it is this script that comes back first.
	sleep 0.1
	awk -v now="$(date +%s.%N)" -v window="$1" '
		/bytes from/ {
			t = substr($1, 2) + 0
			if (last && t > now - window / 1000 - 0.1 && t - last > 0.06)
				sum += t - last
			last = t
		}
		END { printf "%d\n", sum * 1000 }' $lab/turns
}
