# Cases of the fault catalogue, to be sourced after nat.sh. Each says what it broke, for how long a ping every 20 ms found no
# answer, and which lines of the timeline told why.
#
#   outage_case ID TEXT BOUND-MS FAULT [HOST ADDRESS]
#
# As a test each bound is three times as wide, for machines that are busy, and what the machine itself stood still meanwhile
# counts on top of it; STRICT=1 holds the bounds themselves.

slack=3
[ "${STRICT:-}" != 1 ] || slack=1
turns_start

# wanted ID: whether this case runs. ONLY="F2 F41" picks some.
wanted() {
	[ -z "${ONLY:-}" ] && return 0
	case " $ONLY " in *" $1 "*) return 0 ;; esac
	return 1
}

# late MS BOUND: whether it took longer than the bound allows. It was measured just now.
late() {
	[ "$1" -gt $(($2 * slack)) ] || return 1
	[ $slack != 1 ] || return 0
	late_stalled=$(stalled $(($1 + 5000)))
	echo "# $1 ms is more than $slack times $2 ms; the machine stood still for $late_stalled ms"
	[ "$1" -gt $((($2 + late_stalled) * slack)) ]
}

# within ID MS BOUND: fails when it took longer than the bound allows.
within() {
	! late "$2" "$3" || fail "$1: $2 ms, the bound is $3 ms"
}

# moment: now, as the log writes it.
moment() {
	date '+%Y-%m-%d %H:%M:%S.%3N'
}

# told HOST MOMENT [PATTERN]: lines of the timeline since then.
told() {
	weir_on "$1" log -i wg0 2>/dev/null | awk -v since="$2" '$1 " " $2 >= since' | grep -E "${3:-.}" || true
}

# evidence HOST MOMENT [PATTERN]: by what it was found, as a remark; the pattern says which lines are about it.
evidence() {
	told "$1" "$2" "${3:-notice|warn}" | head -n "${4:-3}" | sed "s/^[^ ]* \([^ ]*\) [a-z]* */#   $1 \1 /"
}

answers() { # FILE NUMBER: so many answers have come
	[ "$(grep -c 'bytes from' "$1")" -ge "$2" ]
}

# flows FILE [COUNT]: beyond the first COUNT answers there are more, and the last 20 follow each other.
flows() {
	awk -v count="${2:-0}" '/bytes from/ && ++seen > count { t = substr($1, 2) + 0; n = t - last < 0.2 ? n + 1 : 0; last = t }
		END { exit !(n >= 20) }' "$1"
}

# flow_start HOST ADDRESS, flow_again SECONDS, flow_stop: the longest gap of it is in $gap afterwards.
flow_start() {
	rm -f $lab/pings $lab/pings.pid
	watch_start "$1" "$2" 300 $lab/pings
	until_true 20 answers $lab/pings 25 || fail "$case: no answers before the fault"
}
flow_again() {
	sleep 0.3 # what was under way arrives
	flow_before=$(grep -c 'bytes from' $lab/pings)
	until_true "$1" flows $lab/pings "$flow_before" || fail "$case: the tunnel did not come back"
}
flow_stop() {
	watch_stop $lab/pings
	gap=$(outage_of $lab/pings)
}

outage_case() {
	case=$1
	flow_start "${5:-left}" "${6:-10.9.0.2}"
	begun=$(moment)
	$4
	flow_again 60
	flow_stop
	say "$1: $2: $gap ms without an answer, the bound is $3 ms"
	evidence "${5:-left}" "$begun"
	within "$1" "$gap" "$3"
}

# jq_of HOST FILTER [options of jq]: something of its status.
jq_of() {
	jo_host=$1
	shift
	weir_on "$jo_host" status wg0 --json 2>/dev/null | jq -r "$@"
}

# is HOST FILTER VALUE, for until_true.
is() {
	[ "$(jq_of "$1" "$2")" = "$3" ]
}

# standby HOST: its first peer's relay path is proven.
standby() {
	jq_of "$1" -e '.peers[0].network.paths[] | select(.kind == "relay" and .state == "up")' >/dev/null
}

# settled KIND LEFT RIGHT: both ends use this kind of path, and the relay stands by.
settled() {
	for end in "$2" "$3"; do
		until_true 60 path_is "$end" "$1" || fail "$case: $end is on $(path_of "$end"), not on $1"
		until_true 30 standby "$end" || fail "$case: $end has no relay that is proven"
	done
}

# begin HOST...: engines with the files that are there, each with its routes; a ping would otherwise end at once.
begin() {
	for end in "$@"; do
		weir_start "$end" "$lab/$end/wg0.conf"
	done
	for end in "$@"; do
		until_true 20 sh -c "ip -n $end route show dev wg0 | grep -q ." || fail "$end: wg0 does not come up"
	done
}

end_engine() { # HOST [SIGNAL]
	kill "-${2:-TERM}" "$(cat "$lab/$1/pid")"
	wait "$(cat "$lab/$1/pid")" 2>/dev/null || true
	ip -n "$1" link del wg0 2>/dev/null || true
}

# conf_of HOST LAST RELAY-LINES [more lines] and peer_of HOST PEER PEER-LAST [lines]: a file with any number of peers.
conf_of() {
	keys "$1"
	(umask 077 && cat >"$lab/$1/wg0.conf" <<CONF
[Interface]
PrivateKey = $(cat "$lab/$1/key")
Address = 10.9.0.$2/24
[Relay]
$3
${4:-}
CONF
	)
}
peer_of() {
	keys "$2"
	cat >>"$lab/$1/wg0.conf" <<CONF
[Peer]
Name = $2
PublicKey = $(cat "$lab/$2/pub")
AllowedIPs = 10.9.0.$3/32
${4:-}
CONF
}

# relay_at NAME ADDRESS [options]: one of several relays on srv; its pid is in $lab/srv/pid.NAME.
relay_at() {
	ra_name=$1
	ra_address=$2
	shift 2
	[ -f $lab/srv/secret ] || (umask 077 && head -c 24 /dev/urandom | base64 >$lab/srv/secret)
	ip netns exec srv "$weir" relay --listen "$ra_address:443" --secret-file $lab/srv/secret --status off "$@" \
		>>"$lab/srv/log.$ra_name" 2>&1 &
	echo $! >"$lab/srv/pid.$ra_name"
	until_true 20 on srv sh -c "ss -Hltn 'src $ra_address:443' | grep -q ." || fail "relay $ra_name does not listen"
}

relay_kill() { # NAME [SIGNAL]
	kill "-${2:-KILL}" "$(cat "$lab/srv/pid.$1")"
	wait "$(cat "$lab/srv/pid.$1")" 2>/dev/null || true
}

# relay_ports HOST ADDRESS: the local ports of its connections to that relay.
relay_ports() {
	on "$1" ss -Htn state established "dst $2:443" | awk '{ sub(/.*:/, "", $3); print $3 }'
}

# tcp_dies HOST ADDRESS: the connections that it has to that relay lose everything from now on; new ones do not.
tcp_dies() {
	for td_port in $(relay_ports "$1" "$2"); do
		fault "$1" tcp sport "$td_port" drop
		fault "$1" tcp dport "$td_port" drop
	done
}

# after FILE MOMENT: ms from a moment (seconds with a fraction) to the first answer behind it.
after() {
	awk -v since="$2" '/bytes from/ { t = substr($1, 2) + 0; if (t > since) { printf "%d\n", (t - since) * 1000; exit } }' "$1"
}
