#!/bin/sh
# What somebody sees who logs in at night: the dashboard on a healthy tunnel, on one stuck peer of each main kind, and on
# 2,000 peers, in real terminals of three sizes, and through a storm of resizes. The verdict must be on every one of them,
# no cell may be left over from another screen, and the engines must live.
#
# With SCREENS=FOLDER the screens are written there, one file each (make screens).
. "$(dirname "$0")/lib.sh"
need wg ping ip tmux jq python3

sizes="60x16 80x24 120x40"
host here good psk mute gone oldkey inner many
keys here good psk mute gone oldkey inner many
number=0
for name in good psk mute gone oldkey inner; do
	number=$((number + 1))
	eval "number_$name=$number"
	cable here "172.16.$number.1/24" $name "172.16.$number.2/24"
done
number() {
	eval "echo \$number_$1"
}
interface() { # HOST ADDRESS
	printf '[Interface]\nPrivateKey = %s\nListenPort = 51820\nAddress = %s\n[Ice]\nEnable = no\n' "$(cat $lab/$1/key)" "$2"
}
peer() { # NAME PUBLIC-KEY ALLOWED-IP [LINE...]
	printf '[Peer]\nName = %s\nPublicKey = %s\nAllowedIPs = %s\nPersistentKeepalive = 1\n' "$1" "$2" "$3"
	shift 3
	printf '%s\n' "$@"
}
stranger() {
	wg genkey | wg pubkey
}
of() { # NAME [LINE...]: it, in the file of here
	of_name=$1
	shift
	peer $of_name "$(cat $lab/$of_name/pub)" "10.9.0.$((100 + $(number $of_name)))/32" \
		"Endpoint = 172.16.$(number $of_name).2:51820" "$@"
}
end() { # NAME [LINE...]: the file of the host NAME, whose only peer is here
	end_name=$1
	shift
	{
		interface $end_name "10.9.0.$((100 + $(number $end_name)))/24"
		peer here "$(cat $lab/here/pub)" 10.9.0.1/32 "Endpoint = 172.16.$(number $end_name).1:51820" "$@"
	} >$lab/$end_name/wg0.conf
}
umask 077
{
	interface here 10.9.0.1/24
	of good
	of psk "Mode = plain" "PresharedKey = $(wg genpsk)"
	of mute "Mode = plain"
	of gone "Mode = plain"
	of oldkey "Mode = plain"
	peer inner "$(cat $lab/inner/pub)" 10.9.0.77/32 "Endpoint = 172.16.$(number inner).2:51820" "Mode = plain"
	peer noname "$(stranger)" 10.9.0.203/32 "Endpoint = nosuch.invalid:51820" "Mode = plain"
} >$lab/here/wg0.conf
end good
end psk "Mode = plain" "PresharedKey = $(wg genpsk)"
end mute "Mode = plain"
end oldkey "Mode = plain"
sed -i "s|^PublicKey = .*|PublicKey = $(stranger)|" $lab/oldkey/wg0.conf
end inner "Mode = plain"
# What it sends arrives, what is sent to it does not.
echo 'table inet f { chain i { type filter hook input priority 0; udp dport 51820 drop; }; }' | on mute nft -f -
for name in good psk mute oldkey inner here; do
	weir_start $name $lab/$name/wg0.conf --time-divisor 5
done

# 2,000 peers in their own host, where one has a name that is nobody's.
cable many 192.0.2.1/24 here 192.0.2.2/24
{
	interface many 10.9.0.1/24
	python3 - <<'PY'
import base64, hashlib
for i in range(2000):
    key = bytearray(hashlib.sha256(b"peer %d" % i).digest())
    key[31] &= 0x7f
    print("[Peer]\nName = branch-%04d\nPublicKey = %s\nMode = plain\nAllowedIPs = 10.100.%d.%d/32" % (
        i, base64.b64encode(key).decode(), i >> 8, i & 255))
    if i == 1234:
        print("Endpoint = 192.0.2.2:9\nPersistentKeepalive = 1")
PY
} >$lab/many/wg0.conf
weir_start many $lab/many/wg0.conf

# ---- terminals ----

export TERM=xterm-256color LANG=C.UTF-8 LC_ALL=C.UTF-8
unset TMUX SSH_CONNECTION NO_COLOR
tm() {
	tmux -S $lab/tmux -f /dev/null "$@"
}
screen() { # TERMINAL
	tm capture-pane -p -t "$1"
}
shows() { # TERMINAL PATTERN...: all of them
	sh_terminal=$1
	shift
	screen $sh_terminal >$lab/shown 2>&1 || return 1
	for sh_pattern in "$@"; do
		grep -q -e "$sh_pattern" $lab/shown || return 1
	done
}
wait_shows() { # TERMINAL PATTERN...
	until_true 30 shows "$@" || fail "$1 does not show: $*
$(screen $1)"
}
terminal() { # NAME HOST SIZE
	tm new-session -d -s $1 -x ${3%x*} -y ${3#*x} "ip netns exec $2 $weir attach wg0 --run-dir $lab/$2"
}
keep() { # TERMINAL NAME: for people, and checked for cells that no screen of ours has
	screen $1 >$lab/kept
	if grep -q "$(printf '\357\277\275')\|$(printf '\033')\|\[[0-9;]*m" $lab/kept; then
		fail "broken cells: $(cat $lab/kept)"
	fi
	[ -z "${SCREENS:-}" ] || cp $lab/kept "$SCREENS/$2.txt"
}

# ---- one of each kind ----

kinds="psk:psk-differs mute:outbound-blocked gone:no-answer oldkey:wrong-key-for-us inner:allowed-ip-in noname:name-unresolved"
ip netns exec inner ping -n -q -i 0.2 10.9.0.1 >/dev/null 2>&1 &
ip netns exec here ping -n -q -i 0.2 "10.9.0.$((100 + $(number good)))" >/dev/null 2>&1 &
rule_is() { # PEER RULE
	weir_on here explain $1 --json 2>/dev/null | jq -e --arg r $2 '[.. | .verdicts? // empty | .[0].rule] | first == $r'
}
for kind in $kinds; do
	until_true 30 rule_is ${kind%:*} ${kind#*:} || fail "${kind%:*} is not ${kind#*:}:
$(weir_on here explain ${kind%:*} 2>&1)"
done
until_true 20 pings good 10.9.0.1 1 || fail "no tunnel of good"
for size in $sizes; do
	terminal good-$size good $size
	terminal here-$size here $size
	terminal many-$size many $size
done
wait_shows many-80x24 branch-0003
sleep 1 # the first screen is not counted
tm pipe-pane -t many-80x24 "cat >$lab/bytes"
counted_from=$(milliseconds)

for size in $sizes; do
	wait_shows good-$size "1d\|1 direct" here
	keep good-$size healthy-peers-$size
	tm send-keys -t good-$size Enter
	wait_shows good-$size wireguard 'up'
	keep good-$size healthy-peer-$size
done
say "a healthy tunnel, at $sizes"

# The first words of what weir explain says; they must be on the list and on the Peer screen.
words_of() {
	weir_on here explain $1 --json | jq -r '[.. | .verdicts? // empty | .[0].verdict] | first' | cut -d' ' -f1-3
}
for kind in $kinds; do
	name=${kind%:*}
	words=$(words_of $name)
	for size in $sizes; do
		tm send-keys -t here-$size / $name Enter
	done
	# Up, and of no use all the same.
	mark=.
	[ $name != inner ] || mark=!
	for size in $sizes; do
		wait_shows here-$size "› $mark $name" "\(why\|⇒\).*$words"
		keep here-$size ${kind#*:}-peers-$size
		tm send-keys -t here-$size Enter
	done
	for size in $sizes; do
		wait_shows here-$size "^ $name " "$words" 'wireguard'
		keep here-$size ${kind#*:}-peer-$size
		tm send-keys -t here-$size Escape
	done
	for size in $sizes; do
		wait_shows here-$size PEER
		tm send-keys -t here-$size Escape
	done
done
say "a verdict on list and Peer screen for each of $kinds"

# ---- 2,000 ----

for size in $sizes; do
	wait_shows many-$size 'branch-1234' 'Nobody has ever'
	keep many-$size 2000-peers-$size
done
say "the one in trouble of 2,000 is the first"

until_true 20 sh -c "[ \$((\$(date +%s%N) / 1000000 - $counted_from)) -ge 5000 ]"
tm pipe-pane -t many-80x24
rate=$(($(wc -c <$lab/bytes) * 1000 / ($(milliseconds) - counted_from)))
[ $rate -le 1024 ] || fail "an idle dashboard of 2,000 peers sends $rate bytes a second"
say "an idle dashboard of 2,000 peers sends $rate bytes a second"

# ---- a storm ----

random=1
storm=0
while [ $storm -lt 40 ]; do
	storm=$((storm + 1))
	random=$(((random * 1103515245 + 12345) % 2147483648))
	tm resize-window -t here-80x24 -x $((20 + random / 65536 % 200)) -y $((4 + random / 7 % 60))
	tm resize-window -t many-80x24 -x $((20 + random / 65536 % 200)) -y $((4 + random / 7 % 60))
done
for name in here many; do
	tm resize-window -t $name-80x24 -x 80 -y 24
	wait_shows $name-80x24 'PEER  *STATE' 'q quit'
	tm send-keys -t $name-80x24 z
	wait_shows $name-80x24 FROZEN
	keep $name-80x24 storm-$name-80x24
	cp $lab/kept $lab/before
	tm send-keys -t $name-80x24 C-l
	sleep 0.5
	screen $name-80x24 >$lab/after
	# A screen that stands still is the same after it was drawn anew, or a cell was left over.
	cmp -s $lab/before $lab/after || fail "left over after the storm: $(diff $lab/before $lab/after)"
	weir_on $name status wg0 >/dev/null || fail "the engine of $name is gone"
done
say "40 resizes at once leave no cell behind, and the engines live"
tm kill-server || true
