#!/bin/sh
# Faults of clocks, of single packets on the way and of this host that verdicts_wg.sh has not, all at once, each on a peer of
# its own: it gets its verdict first. The pair beside them is healthy and gets none.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/verdicts.sh"
need wg ping ip nft
flood=$LAB_BUILD/tests/lab/flood
clocks=$LAB_BUILD/tests/lab/clocks.so
[ -x "$flood" ] && [ -f "$clocks" ] || {
	echo "skipped: tests/lab/flood or clocks.so is not built (make check builds them)"
	exit 77
}

# Each host on a wire of its own to here: 172.16.NUMBER.1 there, .2 here; 10.9.0.1NUMBER in the tunnel.
host here
keys here
numbers=10
for name in good silent oneway corrupt copies loop slept back nokey answers; do
	numbers=$((numbers + 1))
	eval "number_$name=$numbers"
	host $name
	cable here 172.16.$numbers.1/24 $name 172.16.$numbers.2/24
	keys $name
done
number() {
	eval "echo \$number_$1"
}
inner() {
	echo "10.9.0.1$(number $1)"
}
interface() { # HOST ADDRESS [LINES]
	printf '[Interface]\nPrivateKey = %s\nAddress = %s/24\n%s\n[Ice]\nEnable = no\n' "$(cat $lab/$1/key)" "$2" \
		"${3:-ListenPort = 51820}"
}
peer() { # HOST ALLOWED-IPS LINES...
	printf '[Peer]\nName = %s\nPublicKey = %s\nAllowedIPs = %s\n' "$1" "$(cat $lab/$1/pub)" "$2"
	shift 2
	printf '%s\n' "$@"
}
plain='Mode = plain'
often='PersistentKeepalive = 2'
umask 077
{
	interface here 10.9.0.1
	for name in good silent oneway corrupt copies loop slept back nokey answers; do
		mode=$plain
		case $name in
		back | answers) mode='Mode = auto' ;;
		esac
		peer $name $(inner $name)/32 "$mode"
	done
} >$lab/here/wg0.conf
for name in good silent oneway corrupt copies slept back nokey answers; do
	mode=$plain
	case $name in
	back | answers) mode='Mode = auto' ;;
	esac
	{
		interface $name $(inner $name)
		peer here 10.9.0.1/32 "$mode" "$often" "Endpoint = 172.16.$(number $name).1:51820"
	} >$lab/$name/wg0.conf
done
sed -i 's/^PrivateKey = .*/PostUp = true/' $lab/nokey/wg0.conf

# Both words of seconds: asleep so far, and how wrong the wall clock is.
clocks() { # HOST ASLEEP WRONG
	printf '%+08d%+08d' "$2" "$3" | dd of=$lab/$1/clocks bs=16 conv=notrunc 2>/dev/null
}
moved() { # HOST: started with clocks that can be moved
	mv_conf=$lab/$1/wg0.conf
	(
		export LAB_CLOCKS=$lab/$1/clocks LD_PRELOAD=$clocks
		weir_start $1 $mv_conf
	)
}
clocks slept 0 0
clocks back 0 0
for name in here good silent corrupt copies nokey answers; do
	weir_start $name $lab/$name/wg0.conf
done
weir_start oneway $lab/oneway/wg0.conf --time-divisor 5
moved slept
moved back
injected nokey here no-private-key "no private key"
for name in good silent oneway corrupt copies slept back answers; do
	until_true 20 pings $name 10.9.0.1 1 || fail "no tunnel of $name"
done
# The clock of back is two hours ahead for a while, and what it says then has such stamps.
clocks back 0 7200
for name in back answers; do
	before=$(grep -c 'handshake done.* we began' $lab/$name/log) || true
	weir_on $name handshake here >/dev/null
	until_true 20 sh -c "[ \$(grep -c 'handshake done.* we began' $lab/$name/log) -gt $before ]" || fail "no handshake that $name began"
done
for name in good silent oneway corrupt copies slept answers; do
	ip netns exec $name ping -n -q -i 0.1 10.9.0.1 >/dev/null 2>&1 &
done

# Now it is right again, and nothing is kept of what it said.
weir_end back KILL
rm -rf $lab/back/state
clocks back 0 0
# Another weir would call it at once, and all were well: here cannot.
echo 'table inet f { chain i { type filter hook input priority 0; udp dport 51820 @th,64,32 0x01000000 drop; }; }' |
	on back nft -f -
moved back
injected back here our-clock-back "our clock went back"
# Nothing that is sent there comes in, or out.
echo 'table inet f { chain i { type filter hook input priority 0; udp dport 51820 drop; }; }' | on silent nft -f -
injected silent here data-unanswered "the peer falls silent"
# Handshakes pass, data does not come in.
echo 'table inet f { chain i { type filter hook input priority 0; udp dport 51820 @th,64,8 4 drop; }; }' | on oneway nft -f -
injected oneway here data-unanswered "handshakes pass, and data does not"
# A byte of every other data packet is changed.
echo 'table inet f { chain i { type filter hook input priority 0; iifname "to-corrupt" udp length > 60 @th,64,8 4 numgen random mod 2 == 0 @th,256,8 set 0x55; }; }' |
	on here nft -f -
injected here corrupt corrupted "data is changed on the way"
# Each packet comes twice.
echo "table ip f { chain o { type filter hook output priority 0; udp dport 51820 dup to 172.16.$(number copies).1; }; }" |
	on copies nft -f -
injected here copies replayed "packets come twice"
ip netns exec loop "$flood" 172.16.$(number loop).1 51820 "$(cat $lab/here/pub)" 100 30 --calls "$(cat $lab/loop/key)" >$lab/flood.txt 2>&1 &
flood_pid=$!
injected here loop flood "a peer calls in a loop"
# It sleeps five minutes, and its NAT forgets it meanwhile.
echo 'table inet f { chain i { type filter hook input priority 0; udp dport 51820 drop; }; }' | on slept nft -f -
clocks slept 300 0
injected slept here suspended "this host slept"
# Its answers to handshakes do not come in; all else does, its reports, too.
echo 'table inet f { chain i { type filter hook input priority 0; udp dport 51820 @th,64,32 { 0x01000000, 0x02000000 } drop; }; }' |
	on answers nft -f -
weir_on answers handshake here >/dev/null
injected answers here return-path-blocked "responses alone are dropped"
verdicts_come 45
kill $flood_pid 2>/dev/null || true

never_a_verdict here good
never_a_verdict good here
say "each fault has its verdict, and the healthy pair none"
