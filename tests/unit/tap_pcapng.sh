#!/bin/sh
# Wireshark's tools read every capture file that weir writes: interfaces, directions, comments, losses, and each point as
# what it is. Files that were cut (no statistics at their end) are read as well.
set -eu
for tool in tshark capinfos tcpdump; do
	command -v $tool >/dev/null || {
		echo "skipped: $tool is not installed"
		exit 77
	}
done
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
export HOME=$folder # no settings of anybody's

fail() {
	echo "FAILED: $*" >&2
	exit 1
}

expect() { # WHAT WANTED GOT
	[ "$2" = "$3" ] || fail "$1: \"$3\", not \"$2\""
}

"${LAB_BUILD:-.}"/test_tap_pcapng "$folder"
for file in all cut; do
	for format in pcapng pcap; do
		capinfos "$folder/$file.$format" >"$folder/info" 2>&1 || fail "capinfos: $(cat "$folder/info")"
		tshark -r "$folder/$file.$format" >"$folder/list" 2>"$folder/words" || fail "tshark: $(cat "$folder/words")"
		grep -qi "malformed\|damaged\|cut short" "$folder/list" "$folder/words" && fail "$(cat "$folder/list" "$folder/words")"
		echo "$file.$format $(wc -l <"$folder/list")" >>"$folder/counts"
	done
done
expect "packets" "all.pcapng 16 all.pcap 8 cut.pcapng 16 cut.pcap 8" "$(tr '\n' ' ' <"$folder/counts" | sed 's/ $//')"

fields() { # FILTER FIELD...
	fields_filter=$1
	shift
	for field in "$@"; do
		set -- "$@" -e "$field"
		shift
	done
	tshark -r "$folder/all.pcapng" -Y "$fields_filter" -T fields "$@" | sort | uniq -c | awk '{ $1 = $1; print }' | paste -sd' '
}
expect "interfaces" "4 wg0-inner 4 wg0-relay 4 wg0-signal 4 wg0-wire" "$(fields frame frame.interface_name)"
expect "directions" "8 0x00000001 8 0x00000002" "$(fields frame frame.packet_flags)"
expect "comments" "8 peer=edge-sfo path=direct 8 peer=edge-sfo path=direct drop=old-timestamp: its timestamp is not newer than the last one" \
	"$(fields frame frame.comment)"
expect "WireGuard on the wire and in relay messages" "8 4" "$(fields wg wg.type)"
expect "DNS inside" "4 10.9.0.21 53" "$(fields 'ip.src == 10.9.0.21' ip.src udp.srcport | tr '\t' ' ')"
expect "losses" "1" "$(tshark -r "$folder/all.pcapng" -Y 'frame.drop_count == 12' | wc -l)"
expect "messages as JSON" "4" "$(tshark -r "$folder/all.pcapng" -Y 'json.value.string == "ping"' | wc -l)"
tshark -r "$folder/all.pcapng" -o udp.check_checksum:TRUE -Y 'udp.checksum.status == 0 && frame.interface_name == "wg0-wire"' >"$folder/sums"
[ -s "$folder/sums" ] && fail "checksums: $(cat "$folder/sums")"
capinfos -M "$folder/all.pcapng" >"$folder/info"
grep -q "weir on host, interface wg0, filter: point wire or udp" "$folder/info" || fail "capinfos: $(cat "$folder/info")"
tcpdump -r "$folder/all.pcap" -n -v 2>/dev/null >"$folder/list" || fail "tcpdump does not read pcap"
grep -c "bad.*cksum" "$folder/list" >/dev/null && fail "$(grep "bad.*cksum" "$folder/list")"
echo "ok - tshark, capinfos and tcpdump read what is written"
