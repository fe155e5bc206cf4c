#!/bin/sh
# What a path costs: TCP through the tunnel of two weir engines on one network, by a configured endpoint (direct), by an
# ICE pair over its fast socket and through libnice, and by a relay, plain and TLS. Rounds are interleaved, medians
# printed: trust the ratios of one run.
#
#   ROUNDS=n SECONDS_EACH=s PATHS="direct ice libnice relay relay-tls"
. "${WEIR_SRCDIR:-$(dirname "$0")/../..}/tests/lab/lib.sh"
. "${WEIR_SRCDIR:-$(dirname "$0")/../..}/tests/lab/nat.sh"
need wg iperf3 jq ping awk ss openssl

rounds=${ROUNDS:-3}
duration=${SECONDS_EACH:-5}
paths=${PATHS:-direct ice libnice relay relay-tls}
ticks=$(getconf CLK_TCK)

public
open_host left 10
open_host right 20
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj "/CN=$nat_server" \
	-addext "subjectAltName=IP:$nat_server" -keyout $lab/srv/key.pem -out $lab/srv/cert.pem 2>/dev/null
relay_start
ip netns exec srv "$weir" relay --listen "$nat_server:444" --secret-file $lab/srv/secret --status off --stun off \
	--cert $lab/srv/cert.pem --key $lab/srv/key.pem >>$lab/srv/log.tls 2>&1 &
until_true 20 on srv sh -c "ss -Hltn 'sport = :444' | grep -q ." || fail "the TLS relay does not listen"

cpu_of() {
	awk -v t="$ticks" '{ sub(/.*\) /, ""); print ($12 + $13) / t }' "/proc/$1/stat"
}

conf() { # HOST LAST PEER PEER-LAST PATH
	peer_extra=
	section=
	case $5 in
	direct) peer_extra="Endpoint = 203.0.113.$(if [ "$3" = left ]; then echo 10; else echo 20; fi):51820
Mode = plain" ;;
	libnice) section="[Ice]
FastSocket = no" ;;
	relay | relay-tls) peer_extra="Mode = relay-only" ;;
	esac
	peer_conf "$1" "$2" "$3" "$4" "$section"
	sed -i "s/^Address/ListenPort = 51820\nAddress/" "$lab/$1/wg0.conf"
	if [ "$5" = relay-tls ]; then
		sed -i "s#^Url = .*#Url = rels://$nat_server:444\nCaFile = $lab/srv/cert.pem#" "$lab/$1/wg0.conf"
	fi
}

run() { # PATH
	case $1 in
	direct) kind=direct ;;
	ice | libnice) kind=ice ;;
	*) kind=relay ;;
	esac
	rm -rf $lab/left/state $lab/right/state # an endpoint that is remembered would be tried first
	mkdir $lab/left/state $lab/right/state
	conf left 1 right 2 "$1"
	conf right 2 left 1 "$1"
	weir_start left $lab/left/wg0.conf --log-level error
	weir_start right $lab/right/wg0.conf --log-level error
	until_true 30 pings left 10.9.0.2 1 || fail "$1: no tunnel"
	until_true 30 path_is left $kind || fail "$1: path $(path_of left)"
	until_true 30 path_is right $kind || fail "$1: path back $(path_of right)"
	c0=$(cpu_of "$(cat $lab/left/pid)") c1=$(cpu_of "$(cat $lab/right/pid)")
	ip netns exec right iperf3 -s -1 -B 10.9.0.2 >/dev/null 2>&1 &
	server=$!
	sleep 0.5
	on left iperf3 -J -c 10.9.0.2 -t "$duration" >$lab/iperf.json || fail "$1: iperf3 failed"
	wait $server || true
	c2=$(cpu_of "$(cat $lab/left/pid)") c3=$(cpu_of "$(cat $lab/right/pid)")
	jq '.end.sum_received.bits_per_second / 1e9' $lab/iperf.json >>"$lab/$1.gbps"
	echo "$c0 $c1 $c2 $c3 $(jq '.end.sum_received.bytes' $lab/iperf.json)" |
		awk '{ print ($3 + $4 - $1 - $2) / ($5 / 1e9) }' >>"$lab/$1.cpu"
	on left ping -n -i 0.002 -c 1000 10.9.0.2 | sed -n 's/.*time=\([0-9.]*\) ms/\1/p' | sort -n |
		awk '{ v[NR] = $1 } END { print v[int(NR / 2)] * 1000 }' >>"$lab/$1.rtt"
	kill "$(cat $lab/left/pid)" "$(cat $lab/right/pid)"
	wait "$(cat $lab/left/pid)" "$(cat $lab/right/pid)" || true
}

median() { # FILE
	sort -n "$1" | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'
}

r=0
while [ $r -lt "$rounds" ]; do
	r=$((r + 1))
	for path in $paths; do
		run "$path"
	done
	echo "round $r of $rounds done" >&2
done
first=$(median "$lab/${paths%% *}.gbps")
printf '\n%-12s %10s %12s %14s %12s\n' path Gbit/s "of ${paths%% *}" "CPU s/GB" "ping us"
for path in $paths; do
	printf '%-12s %10.2f %12s %14.2f %12.0f\n' "$path" "$(median "$lab/$path.gbps")" \
		"$(echo "$(median "$lab/$path.gbps") $first" | awk '{ printf "%.2f", $1 / $2 }')" \
		"$(median "$lab/$path.cpu")" "$(median "$lab/$path.rtt")"
done
