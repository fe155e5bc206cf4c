#!/bin/sh
# What the tap costs: throughput of one TCP stream through a tunnel while nobody listens, with a filter that matches
# nothing, and with everything captured to /dev/null, where the packets that were lost are told, too. Rounds are
# interleaved and the median of the ratios within a round is printed, because machines are shared; where much else runs,
# the CPU time of both engines for a gigabyte says more than the throughput.
#
#   BEFORE=folder   a build of weir without the tap, to compare with
#   ROUNDS=n SECONDS_EACH=s
. "${WEIR_SRCDIR:-$(dirname "$0")/../..}/tests/lab/lib.sh"
need wg iperf3 jq ping awk

rounds=${ROUNDS:-5}
duration=${SECONDS_EACH:-4}
results=$lab/results
mkdir -p "$results"
host left right
cable left 192.0.2.1/24 right 192.0.2.2/24
keys left right

configuration() { # HOST NUMBER OTHER NUMBER
	cat >"$lab/$1/wg0.conf" <<-CONF
		[Interface]
		PrivateKey = $(cat "$lab/$1/key")
		ListenPort = 51820
		Address = 10.9.0.$2/24
		[Peer]
		Name = $3
		PublicKey = $(cat "$lab/$3/pub")
		Endpoint = 192.0.2.$4:51820
		AllowedIPs = 10.9.0.$4/32
	CONF
	chmod 600 "$lab/$1/wg0.conf"
}
configuration left 1 right 2
configuration right 2 left 1

mine=$weir

ticks=$(getconf CLK_TCK)

cpu() { # seconds of both engines, all threads
	awk -v t="$ticks" '{ sub(/.*\) /, ""); s += ($12 + $13) / t } END { print s }' \
		"/proc/$(cat "$lab/left/pid")/stat" "/proc/$(cat "$lab/right/pid")/stat"
}

measure() { # NAME: Gbit/s, and CPU seconds for a GB, into files of this name, one line a round
	until_true 20 pings left 10.9.0.2 1 || fail "no tunnel"
	ip netns exec right iperf3 -s -1 -B 10.9.0.2 >/dev/null 2>&1 &
	server=$!
	until_true 10 sh -c "ip netns exec right ss -Hltn 'sport = :5201' | grep -q ." || fail "iperf3 does not listen"
	before=$(cpu)
	on left iperf3 -J -c 10.9.0.2 -t "$duration" >"$lab/iperf.json" || fail "iperf3: $(cat "$lab/iperf.json")"
	wait $server || true
	echo "$before $(cpu) $(jq .end.sum_received.bytes "$lab/iperf.json")" |
		awk '{ print ($2 - $1) / ($3 / 1e9) }' >>"$results/$1.cpu"
	jq '.end.sum_received.bits_per_second / 1e9' "$lab/iperf.json" >>"$results/$1"
}

capture() { # FILTER: in the background; both ends
	for end in left right; do
		"$mine" capture --run-dir "$lab/$end" -i wg0 -w /dev/null "$@" 2>"$lab/$end/capture" &
		eval "capture_$end=$!"
	done
	sleep 0.5
}

release() {
	for end in left right; do
		eval "pid=\$capture_$end"
		kill -INT "$pid" 2>/dev/null || true
		wait "$pid" || true
	done
}

one_build() { # WEIR
	weir=$1
	weir_start right "$lab/right/wg0.conf" --log-level error
	weir_start left "$lab/left/wg0.conf" --log-level error
}

end_build() {
	weir_end left
	weir_end right
}

for round in $(seq "$rounds"); do
	if [ -n "${BEFORE:-}" ]; then
		one_build "$BEFORE/weir"
		measure before
		end_build
	fi
	one_build "$mine"
	measure off
	capture port 9
	measure filter
	release
	measure again
	capture
	measure all
	release
	sed "s/^/round $round, /" "$lab/left/capture" "$lab/right/capture" | grep -i lost >>"$results/lost" || true
	end_build
	echo "round $round of $rounds: $(tail -qn 1 "$results"/before "$results"/off "$results"/filter "$results"/all 2>/dev/null | tr '\n' ' ')Gbit/s"
done

median() {
	sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'
}

# What others do to the machine only ever takes away: so the best rounds are compared as well.
against() { # NAME BASE WHAT
	[ -f "$results/$2" ] || return 0
	printf '%-46s %5.1f %% in a round, %5.1f %% of the best; CPU per GB %5.1f %% of the best\n' "$3" \
		"$(paste "$results/$1" "$results/$2" | awk '{ print 100 * $1 / $2 }' | median)" \
		"$(echo "$(sort -n "$results/$1" | tail -n 1) $(sort -n "$results/$2" | tail -n 1)" | awk '{ print 100 * $1 / $2 }')" \
		"$(echo "$(sort -n "$results/$1.cpu" | head -n 1) $(sort -n "$results/$2.cpu" | head -n 1)" | awk '{ print 100 * $1 / $2 }')"
}

echo "median of $rounds rounds, one TCP stream, both ends on $(nproc) cores:"
for name in before off filter all; do
	[ ! -f "$results/$name" ] || printf '  %-8s %.2f Gbit/s, %.2f s of CPU for a GB\n' "$name" "$(median <"$results/$name")" \
		"$(median <"$results/$name.cpu")"
done
against off before "tap off, of the build before the tap"
against again off "tap off, of the same a moment later (noise)"
against filter off "filter that matches nothing, of tap off"
against all off "everything tapped into /dev/null, of tap off"
cat "$results/lost" 2>/dev/null || true
