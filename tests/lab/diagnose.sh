#!/bin/sh
# What an engineer reads when a tunnel does not work: one engine with a peer for each fault, and the words at both ends.
. "$(dirname "$0")/lib.sh"
need wg ping ip nft

host here psk mute inner
cable here 192.0.2.1/24 psk 192.0.2.2/24
cable here 198.51.100.1/24 mute 198.51.100.2/24
cable here 203.0.113.1/24 inner 203.0.113.2/24
keys here psk mute inner
ours=$(cat $lab/here/pub)

peer() { # NAME PUBLIC-KEY ALLOWED-IP [LINES]
	printf '[Peer]\nName = %s\nPublicKey = %s\nAllowedIPs = %s\nPersistentKeepalive = 25\nMode = plain\n%s\n' "$1" "$2" "$3" "${4:-}"
}
interface() { # HOST ADDRESS
	printf '[Interface]\nPrivateKey = %s\nListenPort = 51820\nAddress = %s\n' "$(cat $lab/$1/key)" "$2"
}
umask 077
{
	interface here 10.9.0.1/24
	peer nobody "$(wg genkey | wg pubkey)" 10.9.0.2/32 "Endpoint = 192.0.2.77:51820"
	peer noroute "$(wg genkey | wg pubkey)" 10.9.0.3/32 "Endpoint = 192.88.99.1:51820"
	peer noname "$(wg genkey | wg pubkey)" 10.9.0.4/32 "Endpoint = nosuch.invalid:51820"
	peer psk "$(cat $lab/psk/pub)" 10.9.0.5/32 "PresharedKey = $(wg genpsk)
Endpoint = 192.0.2.2:51820"
	peer mute "$(cat $lab/mute/pub)" 10.9.0.6/32 "Endpoint = 198.51.100.2:51820"
	peer inner "$(cat $lab/inner/pub)" 10.9.0.77/32 "Endpoint = 203.0.113.2:51820"
} >$lab/here/wg0.conf
{
	interface psk 10.9.0.5/24
	peer here "$ours" 10.9.0.1/32 "PresharedKey = $(wg genpsk)"
} >$lab/psk/wg0.conf
{
	interface mute 10.9.0.6/24
	peer here "$ours" 10.9.0.1/32 "Endpoint = 198.51.100.1:51820"
} >$lab/mute/wg0.conf
{
	interface inner 10.9.0.7/24
	peer here "$ours" 10.9.0.1/32
} >$lab/inner/wg0.conf
# What they send arrives, what is sent to them does not.
echo 'table inet f { chain i { type filter hook input priority 0; udp dport 51820 drop; }; }' | on mute nft -f -

for name in psk mute inner here; do
	weir_start $name $lab/$name/wg0.conf --time-divisor 5
done

# reads HOST PEER WORD PATTERN: the peer's word, and the sentence in the line below.
reads() {
	weir_on "$1" status >$lab/read 2>&1 || return 1
	grep -A1 "^$3 *$2 " $lab/read | grep -q "^        .*$4"
}
expect() {
	until_true 60 reads "$@" || fail "$1 does not say \"$4\" of $2: $(cat $lab/read)"
}
expect here noroute STUCK "kernel refuses to send to it: Network is unreachable"
expect here nobody STUCK "\(never heard\|Nobody has ever answered\)"
expect here noname WAIT "does not resolve"
expect here psk STUCK "preshared keys differ"
expect psk here STUCK "takes none of our answers: the preshared keys differ"
expect here mute STUCK "What it sends arrives, what we send does not"
expect mute here STUCK "\(never heard\|Nobody has ever answered\)"
on inner ping -q -n -c 20 -i 0.02 -W 1 10.9.0.1 >/dev/null 2>&1 || true
expect here inner DIRECT "from 10.9.0.7 is refused here: no AllowedIPs has that address"
say "each fault has its sentence, at both ends where both can know"

rc=0
weir_on here status --check >$lab/read 2>&1 || rc=$?
[ $rc = 4 ] || fail "--check: $rc"
for name in noroute nobody psk mute "noname has no address"; do
	grep -q "$name" $lab/read || fail "--check does not name $name: $(cat $lab/read)"
done
grep -q "inner" $lab/read && fail "--check names a tunnel that stands"
rc=0
ip -n inner link set wg0 down
until_true 20 sh -c "ip netns exec inner $weir status --run-dir $lab/inner | grep -q '^DOWN'" || fail "never DOWN"
weir_on inner status --check >$lab/read || rc=$?
[ $rc = 4 ] && grep -q "ip link set wg0 up" $lab/read || fail "--check of an interface that is down: $rc"
say "--check names them, and an interface that is down"

# The words change when the thing happens, not when somebody looks.
grep -q "noname: cannot resolve nosuch.invalid" $lab/here/log || fail "the log does not tell of the name"
grep -q "noroute: WAIT to STUCK: the kernel cannot send" $lab/here/log || fail "the log does not tell of the route"
say "the log has them, too"
