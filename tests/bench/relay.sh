#!/bin/sh
# The relay server's figures: thousands of clients (time to log in, memory, idle CPU), and two clients that talk through it,
# plain and over TLS, beside a bare TCP and a bare UDP forwarder on the same machine. Machines are shared: trust the ratios.
#
#   CLIENTS=n SECONDS_EACH=s
. "${WEIR_SRCDIR:-$(dirname "$0")/../..}/tests/lab/lib.sh"
need openssl jq awk

load=$LAB_BUILD/bench_relay_load
clients=${CLIENTS:-10000}
duration=${SECONDS_EACH:-4}
ticks=$(getconf CLK_TCK)
cd $lab
echo supersecret >secret
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key -out cert -days 2 -subj /CN=relay \
	2>/dev/null
chmod 644 key secret

cpu_of() {
	awk -v t="$ticks" '{ sub(/.*\) /, ""); print ($12 + $13) / t }' "/proc/$1/stat"
}

rss_of() { # KiB
	awk '/VmRSS/ { print $2 }' "/proc/$1/status"
}

serve() { # PORT options
	port=$1
	shift
	"$weir" relay --listen "127.0.0.1:$port" --secret-file secret --stun off --log-level error --status off \
		--max-per-address 1000000 "$@" >>log 2>&1 &
	server=$!
	until_true 10 python3 -c "import socket; socket.create_connection(('127.0.0.1', $port))" || fail "no server"
}

field() { # NAME of the words in `out`
	awk -v name="$1" '{ for (i = 1; i < NF; i++) if ($i == name) print $(i + 1) }' out
}

line() { # TEXT PAIR-COMMAND... : throughput of 1400 bytes
	text=$1
	shift
	before=$([ -n "$watched" ] && cpu_of "$watched" || echo 0)
	"$load" "$@" >out
	after=$([ -n "$watched" ] && cpu_of "$watched" || echo 0)
	printf '%-28s %8s Gbit/s %9s kpps %8s\n' "$text" "$(field gbps)" "$(field kpps)" \
		"$(echo "$before $after $(field messages)" | awk '{ if ($3 > 0) printf "%.2f us CPU each", ($2 - $1) / $3 * 1e6 }')"
}

ping_line() { # TEXT LATENCY-COMMAND...
	text=$1
	shift
	"$load" "$@" >out
	printf '%-28s %8s us median %8s us p99\n' "$text" "$(field p50)" "$(field p99)"
}

# ---- many clients ----
serve 8443 --max-clients "$clients"
empty=$(rss_of $server)
"$load" clients 127.0.0.1 8443 supersecret "$clients" 65 >many 2>&1 &
loader=$!
until_true 120 grep -q logins many || fail "not all clients logged in: $(cat many)"
sleep 3
c0=$(cpu_of $server)
sleep 50
c1=$(cpu_of $server)
full=$(rss_of $server)
echo "$clients clients: $(awk '{ print $4 }' many | head -1) s to log in (both ends on this machine)"
echo "$empty $full $clients" | awk '{ printf "memory: %d KiB, %d KiB with all, %.1f KiB a client\n", $1, $2, ($2 - $1) / $3 }'
echo "$c0 $c1" | awk '{ printf "idle CPU, with a health check to each every 25 s: %.1f %% of a core\n", ($2 - $1) / 50 * 100 }'
wait $loader || fail "the clients failed: $(cat many)"
kill $server
wait $server || true

# ---- two clients ----
for size in 1400 120; do
	echo "payload $size bytes:"
	watched=
	"$load" tcp 7001 7002 &
	watched=$!
	sleep 0.3
	line "  bare TCP forwarder" raw-pair tcp 127.0.0.1 7001 7002 $size "$duration"
	kill $watched
	"$load" udp 7003 7004 &
	watched=$!
	sleep 0.3
	line "  bare UDP forwarder" raw-pair udp 127.0.0.1 7003 7004 $size "$duration"
	kill $watched
	serve 8444
	watched=$server
	line "  relay" pair 127.0.0.1 8444 supersecret $size "$duration"
	kill $server
	serve 8445 --cert cert --key key
	watched=$server
	line "  relay, TLS" pair tls:127.0.0.1 8445 supersecret $size "$duration"
	kill $server
done

echo "round trip of 120 bytes between two clients:"
"$load" tcp 7005 7006 &
tcp=$!
sleep 0.3
ping_line "  bare TCP forwarder" raw-latency tcp 127.0.0.1 7005 7006 120 5000
kill $tcp
"$load" udp 7007 7008 &
forwarder=$!
sleep 0.3
ping_line "  bare UDP forwarder" raw-latency udp 127.0.0.1 7007 7008 120 5000
kill $forwarder
serve 8446
ping_line "  relay" latency 127.0.0.1 8446 supersecret 120 5000
kill $server
serve 8447 --cert cert --key key
ping_line "  relay, TLS" latency tls:127.0.0.1 8447 supersecret 120 5000
kill $server
