#!/bin/sh
# weir capture: what goes through the tunnel, as Wireshark's tools read it: decrypted with the keys that the file holds, with
# interfaces, directions and reasons; as many datagrams as tcpdump sees; and no key where none was asked for.
. "$(dirname "$0")/lib.sh"
need wg ping ip tshark tcpdump capinfos python3 script

export HOME=$lab # no settings of anybody's
shark() {
	tshark "$@" 2>/dev/null
}

host left right
cable left 192.0.2.1/24 right 192.0.2.2/24
keys left right
cat >$lab/left/wg0.conf <<CONF
[Interface]
PrivateKey = $(cat $lab/left/key)
ListenPort = 51820
Address = 10.9.0.1/24
[Peer]
Name = right
PublicKey = $(cat $lab/right/pub)
Endpoint = 192.0.2.2:51820
AllowedIPs = 10.9.0.2/32
CONF
cat >$lab/right/wg0.conf <<CONF
[Interface]
PrivateKey = $(cat $lab/right/key)
ListenPort = 51820
Address = 10.9.0.2/24, 10.66.0.2/32
[Peer]
Name = left
PublicKey = $(cat $lab/left/pub)
Endpoint = 192.0.2.1:51820
AllowedIPs = 10.9.0.1/32
CONF
chmod 600 $lab/*/wg0.conf
weir_start right $lab/right/wg0.conf --plain-io
weir_start left $lab/left/wg0.conf --plain-io
until_true 20 pings left 10.9.0.2 1 || fail "no tunnel"

# capture NAME OPTIONS...: in the background on left; capture_end stops it as ^C does, and shows its counts.
capture() {
	capture_name=$1
	shift
	ip netns exec left "$weir" capture --run-dir $lab/left "$@" >$lab/$capture_name.out 2>$lab/$capture_name.err &
	capture_pid=$!
	captures=$((captures + 1))
	until_true 10 listening || fail "the capture does not begin: $(cat $lab/$capture_name.err)"
}
captures=0
listening() {
	weir_on left status wg0 --json >$lab/status.json && grep -Eq "\"sessions\": *$captures\b" $lab/status.json
}
capture_end() { # NAME PID
	kill -INT "$2"
	wait "$2" || fail "capture $1 ends with $?: $(cat $lab/$1.err)"
	captures=$((captures - 1))
	until_true 10 listening || fail "the tap of $1 is still on"
}

# Counts: tcpdump and weir see the same datagrams. Both begin before the first of them, and end when they have the last.
ip netns exec left tcpdump -i to-right -U -w $lab/outside.pcap udp port 51820 2>$lab/tcpdump.err &
tcpdump_pid=$!
until_true 10 grep -q "listening on" $lab/tcpdump.err || fail "tcpdump does not begin"
capture keys -w $lab/keys.pcapng --with-keys
keys_pid=$capture_pid
grep -q "WARNING" $lab/keys.err || fail "no warning of the keys"
capture plain -w $lab/plain.pcapng
plain_pid=$capture_pid
capture udp -w $lab/udp.pcap --format pcap "icmp and host 10.9.0.2 or type init"
udp_pid=$capture_pid
pings left 10.9.0.2 20 || fail "packets lost"

# A packet from an address that is not the peer's, and an initiation that is meant for nobody here.
on right ping -q -n -c 2 -i 0.05 -W 1 -I 10.66.0.2 10.9.0.1 >/dev/null && fail "an inner source of nobody got through"
on right python3 -c 'import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"\1\0\0\0" + b"x" * 144, ("192.0.2.1", 51820))'
forged_seen() {
	grep -q xxxxxxxxxxxxxxxx $lab/outside.pcap && weir_on left status wg0 --json | grep -q '"reject_mac1": *1'
}
until_true 10 forged_seen || fail "the forged initiation does not arrive"
capture_end keys $keys_pid
capture_end plain $plain_pid
capture_end udp $udp_pid
kill -TERM $tcpdump_pid
wait $tcpdump_pid || true
grep -q "0 lost" $lab/keys.err || fail "packets were lost: $(cat $lab/keys.err)"

for file in keys.pcapng plain.pcapng udp.pcap; do
	capinfos $lab/$file >$lab/info 2>&1 || fail "capinfos $file: $(cat $lab/info)"
	shark -r $lab/$file >$lab/list || fail "tshark does not read $file"
	grep -qi "malformed" $lab/list && fail "$file: $(cat $lab/list)"
	[ "$(stat -c %a $lab/$file)" = 600 ] || fail "$file may be read by others"
done
say "Wireshark's tools read the files"

# What tshark makes of them: LIST FILE FILTER FIELD...
fields() {
	fields_file=$1
	fields_filter=$2
	shift 2
	for field in "$@"; do
		set -- "$@" -e "$field"
		shift
	done
	shark -r "$fields_file" -Y "$fields_filter" -T fields "$@"
}
count() { # FILE FILTER
	fields "$1" "$2" frame.number | wc -l
}
expect() { # WHAT WANTED GOT
	[ "$2" = "$3" ] || fail "$1: $3, not $2"
}
wire='frame.interface_name == "wg0-wire"'
[ "$(count $lab/keys.pcapng "$wire && wg.handshake_ok == 1")" -ge 1 ] || fail "no handshake decrypts"
[ "$(count $lab/keys.pcapng "$wire && wg.timestamp.value")" -ge 1 ] || fail "no initiation decrypts"
expect "pings that decrypt" 20 "$(count $lab/keys.pcapng "$wire && wg.type == 4 && icmp.type == 8 && ip.src == 10.9.0.1")"
expect "answers that decrypt" 20 "$(count $lab/keys.pcapng "$wire && wg.type == 4 && icmp.type == 0 && ip.src == 10.9.0.2")"
expect "pings inside" 20 "$(count $lab/keys.pcapng 'frame.interface_name == "wg0-inner" && icmp.type == 8 && ip.src == 10.9.0.1')"
expect "packets that decrypt without keys" 0 "$(count $lab/plain.pcapng "$wire && icmp")"
say "with keys, handshake and data decrypt; without, they do not"

expect "directions of the pings" "0x00000002" \
	"$(fields $lab/keys.pcapng "$wire && icmp.type == 8 && ip.src == 10.9.0.1" frame.packet_flags | sort -u)"
expect "directions of the answers" "0x00000001" \
	"$(fields $lab/keys.pcapng "$wire && icmp.type == 0 && ip.src == 10.9.0.2" frame.packet_flags | sort -u)"
expect "their comments" "peer=right path=direct generation=1" \
	"$(fields $lab/keys.pcapng "$wire && icmp.type == 0 && ip.src == 10.9.0.2" frame.comment | sort -u)"
expect "pings from elsewhere, refused" 2 \
	"$(fields $lab/keys.pcapng 'ip.src == 10.66.0.2 && frame.interface_name == "wg0-inner"' frame.comment | grep -c 'drop=inner-source: ')"
expect "an initiation for nobody, refused" 1 "$(fields $lab/plain.pcapng "$wire && wg.sender == 0x78787878" frame.comment | grep -c 'drop=mac1: ')"
[ "$(count $lab/plain.pcapng 'frame.interface_name == "wg0-signal" && json')" -ge 1 ] || fail "no control frames as JSON"
say "interfaces, directions, and comments with peer, path and reason"

# From the first handshake, which the capture with keys starts, to the forged initiation, both have all of WireGuard.
datagrams() {
	fields "$1" "wg$2" wg.type wg.sender wg.receiver wg.counter |
		awk '$1 == 1 { on = 1 } on { print } /0x78787878/ { exit }'
}
datagrams $lab/outside.pcap "" >$lab/theirs.txt
datagrams $lab/plain.pcapng " && $wire" >$lab/plain.txt
datagrams $lab/keys.pcapng " && $wire" >$lab/ours.txt
[ "$(wc -l <$lab/ours.txt)" -gt 40 ] || fail "only $(wc -l <$lab/ours.txt) datagrams"
sort $lab/theirs.txt >$lab/theirs.sorted
sort $lab/ours.txt | diff $lab/theirs.sorted - >$lab/diff.txt || fail "tcpdump sees others: $(cat $lab/diff.txt)"
expect "pings in the pcap file" 40 "$(count $lab/udp.pcap 'icmp && ip.addr == 10.9.0.1')"
say "$(wc -l <$lab/ours.txt) datagrams, the same that tcpdump sees"

# No key where none was asked for, in no spelling; the search itself finds them where they are.
cat >$lab/search.py <<'PYTHON'
import base64, sys
secret = base64.b64decode(open(sys.argv[1]).read())
spelled = [secret, secret[::-1], secret.hex().encode(), base64.b64encode(secret)]
for name in sys.argv[2:]:
    if any(s in open(name, "rb").read() for s in spelled):
        print(name)
PYTHON
expect "files that hold the private key" "$lab/keys.pcapng" "$(python3 $lab/search.py $lab/left/key $lab/*.pcap*)"
expect "files that hold keys" 0 "$(grep -lE 'LOCAL_|PRESHARED|EPHEMERAL' $lab/plain.pcapng $lab/udp.pcap | wc -l)"
say "keys are in the file that asked for them alone"

# Into a pipe; as lines; until a count. What a filter cannot be is told before anything is done.
weir_on left capture -c 5 -w - --format pcap icmp 2>$lab/pipe.err | tcpdump -n -r - >$lab/pipe.txt 2>/dev/null &
pipe_pid=$!
weir_on left capture -c 4 point inner >$lab/lines.txt 2>&1 &
lines_pid=$!
captures=2
until_true 10 listening || fail "the captures do not begin: $(cat $lab/pipe.err $lab/lines.txt)"
pings left 10.9.0.2 4 || fail "packets lost"
wait $pipe_pid $lines_pid
captures=0
expect "packets through a pipe" 5 "$(grep -c ICMP $lab/pipe.txt)"
grep -q '> inner  right        ICMP          84  10.9.0.1 > 10.9.0.2 echo request' $lab/lines.txt || fail "$(cat $lab/lines.txt)"
grep -q '^wg0: 4 packets, 0 lost' $lab/lines.txt || fail "$(cat $lab/lines.txt)"
weir_on left capture 'tcp or (peer right' >$lab/err 2>&1 && fail "a filter without its end is taken"
grep -q 'column 8' $lab/err || fail "$(cat $lab/err)"
weir_on left capture peer nobody >$lab/err 2>&1 && fail "a peer that is not there is taken"
grep -q nobody $lab/err || fail "$(cat $lab/err)"
script -qec "$weir capture --run-dir $lab/left -w -" /dev/null >$lab/err 2>&1 </dev/null && fail "it fills a terminal with bytes"
grep -q "is a terminal" $lab/err || fail "$(cat $lab/err)"
say "pipes, lines, counts; errors that say where"

# Files in turn, the newest two; and a disc that is full.
capture turn -w $lab/turn.pcapng --rotate-size 1 --files 2 point inner
turn_pid=$capture_pid
on left ping -q -n -f -c 3000 -s 1300 -W 2 10.9.0.2 >/dev/null || fail "packets lost"
capture_end turn $turn_pid
expect "files in turn" "2" "$(find $lab -name 'turn-*' | wc -l)"
[ -f $lab/turn-00001.pcapng ] && fail "the oldest file stays"
for file in $lab/turn-*; do
	[ "$(count $file icmp)" -gt 100 ] || fail "$file: $(ls -l $file)"
	[ "$(stat -c %s $file)" -le 1100000 ] || fail "$file is too long: $(stat -c %s $file)"
done
mkdir $lab/small
mount -t tmpfs -o size=256k tmpfs $lab/small
capture full -w $lab/small/full.pcapng
full_pid=$capture_pid
on left ping -q -n -f -c 500 -s 1300 -W 2 10.9.0.2 >/dev/null || fail "packets lost"
wait $full_pid && fail "a full disc is no error"
captures=0
grep -q "full.pcapng: No space left on device" $lab/full.err || fail "$(cat $lab/full.err)"
tshark -r $lab/small/full.pcapng >$lab/list 2>$lab/err || fail "the file on the full disc: $(cat $lab/err)"
[ "$(wc -l <$lab/list)" -gt 50 ] || fail "a file of $(stat -c %s $lab/small/full.pcapng) bytes has $(wc -l <$lab/list) packets"
say "files in turn, and a full disc with $(wc -l <$lab/list) packets on it"

# The past.
weir_on left capture --last 30 -w $lab/none.pcapng >$lab/err 2>&1 && fail "there is a past that nobody kept"
weir_on left capture --keep 30 peer right >$lab/err || fail "$(cat $lab/err)"
pings left 10.9.0.2 5 || fail "packets lost"
weir_on left capture --last 30 -w $lab/last.pcapng icmp 2>$lab/err || fail "$(cat $lab/err)"
expect "pings of the past" 10 "$(count $lab/last.pcapng 'frame.interface_name == "wg0-inner" && icmp')"
weir_on left capture --keep off >$lab/err || fail "$(cat $lab/err)"
weir_on left capture --last 30 -w $lab/none.pcapng >$lab/err 2>&1 && fail "the past stays"
say "the last seconds, saved when they are over"
