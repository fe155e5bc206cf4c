#!/bin/sh
# The UAPI as wg(8) and as wireguard-go have it: what wg prints for our errors, and the same requests to both daemons.
. "$(dirname "$0")/lib.sh"
need wg ip perl

host zero
keys zero
uapi_start zero wg1
pub2=$(wg genkey | wg pubkey)
export WG_HIDE_KEYS=never

# What wg sets, wg shows.
(umask 077 && wg genpsk >$lab/psk)
wg set wg1 private-key $lab/zero/key fwmark 0x1234 peer "$pub2" preshared-key $lab/psk \
	endpoint '[2001:db8::1]:7' persistent-keepalive 25 allowed-ips 10.0.0.0/8,fd00::/8
[ "$(wg show wg1 private-key)" = "$(cat $lab/zero/key)" ] || fail "private key"
[ "$(wg show wg1 public-key)" = "$(cat $lab/zero/pub)" ] || fail "public key"
[ "$(wg show wg1 fwmark)" = 0x1234 ] || fail "fwmark $(wg show wg1 fwmark)"
want=$(printf '%s\t%s\t[2001:db8::1]:7\t10.0.0.0/8,fd00::/8\t0\t0\t0\t25' "$pub2" "$(cat $lab/psk)")
[ "$(wg show wg1 dump | tail -n 1)" = "$want" ] || fail "dump: $(wg show wg1 dump)"
wg set wg1 fwmark off peer "$pub2" persistent-keepalive off preshared-key /dev/null endpoint '[fe80::1%lo]:9'
[ "$(wg show wg1 fwmark)" = off ] || fail "fwmark is not off"
[ "$(wg show wg1 endpoints | cut -f 2)" = '[fe80::1%lo]:9' ] || fail "scoped endpoint $(wg show wg1 endpoints)"
[ "$(wg show wg1 preshared-keys | cut -f 2)" = '(none)' ] || fail "preshared key is not gone"
[ "$(wg show interfaces)" = wg1 ] || fail "wg sees: $(wg show interfaces)"
say "what wg sets, wg shows"

# Removing all but one of a peer's networks in one go, as syncconf does; own key as peer.
wg showconf wg1 | sed 's/^AllowedIPs.*/AllowedIPs = fd00::\/8/' >$lab/sync.conf
wg syncconf wg1 $lab/sync.conf || fail "syncconf"
[ "$(wg show wg1 allowed-ips | cut -f 2)" = fd00::/8 ] || fail "syncconf: $(wg show wg1 allowed-ips)"
wg set wg1 peer "$(cat $lab/zero/pub)" allowed-ips 10.9.0.0/16 || fail "own key as peer is an error"
[ "$(wg show wg1 peers)" = "$pub2" ] || fail "own key became a peer"
say "syncconf; our own key is no peer"

# A port that is taken, in wg's words.
ip -n zero link set wg1 up
ip netns exec zero perl -MIO::Socket::INET -e '
	$s = IO::Socket::INET->new(Proto => "udp", LocalAddr => "0.0.0.0", LocalPort => 7777) or exit 1;
	print "taken\n"; $| = 1; close STDOUT; sleep 600' >$lab/taken &
blocker=$!
until_true 20 test -s $lab/taken || fail "cannot take a port"
before=$(wg show wg1 listen-port)
text=$(wg set wg1 listen-port 7777 2>&1) && fail "a port that is taken was given"
case $text in
*"Address already in use"*) ;;
*) fail "wg says: $text" ;;
esac
[ "$(wg show wg1 listen-port)" = "$before" ] || fail "the port moved"
kill $blocker
say "a taken port: wg says Address already in use, and the old port stays"

# Raw requests. perl: send all, close our side, print what comes.
cat >$lab/raw.pl <<'END'
use IO::Socket::UNIX;
my $s = IO::Socket::UNIX->new(Peer => $ARGV[0]) or die "connect: $!";
local $/; my $request = <STDIN>;
print $s $request; $s->flush; shutdown($s, 1);
print while <$s>;
END
raw() { # IFACE, request on stdin
	perl $lab/raw.pl "/run/wireguard/$1.sock"
}

[ "$(printf 'set=1\ndrain=true\n\n' | raw wg1)" = "errno=0" ] || fail "drain of the device"
hex2=$(echo "$pub2" | base64 -d | od -An -v -tx1 | tr -d ' \n')
[ "$(printf 'set=1\npublic_key=%s\nupdate_only=true\ndrain=true\n\n' "$hex2" | raw wg1)" = "errno=0" ] || fail "drain of a peer"
[ "$(printf 'set=1\ndrain=yes\n\n' | raw wg1)" = "errno=-22" ] || fail "drain=yes"
grep -q 'drained by' $lab/zero/log || fail "no drain in the log"
grep -q "$(cat $lab/zero/key)" $lab/zero/log && fail "a private key is in the log"
say "drain=true at both scopes"

# A keepalive that is turned on under a live, quiet session begins, and goes on.
host one
keys one
uapi_start one wg3
wg set wg3 private-key $lab/one/key listen-port 7001 peer "$(cat $lab/zero/pub)"
cable zero 192.0.2.1/24 one 192.0.2.2/24
wg set wg1 listen-port 7002 peer "$pub2" remove peer "$(cat $lab/one/pub)" endpoint 192.0.2.2:7001
ip -n one link set wg3 up
until_true 20 sh -c "wg show wg1 latest-handshakes | awk '{ exit \$2 == 0 }'" || wg show wg1
sleep 1
sent() {
	wg show wg1 transfer | cut -f 3
}
before=$(sent)
wg set wg1 peer "$(cat $lab/one/pub)" persistent-keepalive 1
more_sent() {
	[ "$(sent)" -ge $((before + 4 * 32)) ]
}
until_true 30 more_sent || fail "keepalives stop: $before bytes, then $(sent)"
wg set wg1 peer "$(cat $lab/one/pub)" remove
say "a keepalive turned on under a live session goes on"

# The same requests to wireguard-go: the same replies, and the same device afterwards.
command -v wireguard-go >/dev/null || {
	say "done (wireguard-go is not installed: no comparison)"
	exit 0
}
go_start zero wg2
key() { # number: a hex key
	printf '%064x' $((0x1000 + $1))
}
same=0
compare() { # request with %b escapes
	for c_if in wg1 wg2; do
		printf "$1" | raw $c_if >$lab/reply.$c_if
		# Peers in any order. wireguard-go does not wait for the link to be up: it has a port, and it sends.
		printf 'get=1\n\n' | raw $c_if | grep -v '^listen_port=\|^tx_bytes=\|^errno=0$\|^$' |
			awk '/^public_key=/ { printf "\n" } { printf "%s ", $0 } END { print "" }' | sort >$lab/state.$c_if
	done
	cmp -s $lab/reply.wg1 $lab/reply.wg2 ||
		fail "$1: we say $(cat $lab/reply.wg1), wireguard-go $(cat $lab/reply.wg2)"
	cmp -s $lab/state.wg1 $lab/state.wg2 ||
		fail "$1: we have $(cat $lab/state.wg1), wireguard-go $(cat $lab/state.wg2)"
	same=$((same + 1))
}
ip -n zero link set wg1 down
reset="set=1\nprivate_key=$(key 0)\nlisten_port=0\nfwmark=0\nreplace_peers=true\npublic_key=$(key 1)\n\n"
for request in \
	"set=1\n\n" \
	"set=1\nunknown=1\n\n" \
	"set=1\nno equals sign\n\n" \
	"set=1\nfwmark=5\nfwmark=x\nfwmark=6\n\n" \
	"set=1\nfwmark=0x10\n\n" \
	"set=1\nfwmark=4294967296\n\n" \
	"set=1\nfwmark=+1\n\n" \
	"set=1\nlisten_port=65536\n\n" \
	"set=1\nlisten_port=\n\n" \
	"set=1\nprivate_key=00\n\n" \
	"set=1\nreplace_peers=false\n\n" \
	"set=1\nreplace_peers=true\npublic_key=$(key 2)\npublic_key=$(key 3)\n\n" \
	"set=1\nallowed_ip=10.0.0.0/8\n\n" \
	"set=1\npublic_key=$(key 2)\nallowed_ip=10.2.0.0/16\npublic_key=$(key 3)\nallowed_ip=10.3.0.0/16\nallowed_ip=bad\npublic_key=$(key 4)\n\n" \
	"set=1\npublic_key=$(key 2)\nunknown=1\n\n" \
	"set=1\npublic_key=$(key 2)\nupdate_only=true\nallowed_ip=10.0.0.0/8\nunknown=1\n\n" \
	"set=1\npublic_key=$(key 2)\nallowed_ip=10.0.0.0/8\nupdate_only=true\n\n" \
	"set=1\npublic_key=$(key 1)\nupdate_only=true\nallowed_ip=10.0.0.0/8\n\n" \
	"set=1\npublic_key=$(key 1)\nupdate_only=false\n\n" \
	"set=1\npublic_key=$(key 1)\nremove=true\nallowed_ip=10.0.0.0/8\npersistent_keepalive_interval=5\n\n" \
	"set=1\npublic_key=$(key 1)\nremove=true\nallowed_ip=bad\n\n" \
	"set=1\npublic_key=$(key 1)\nremove=false\n\n" \
	"set=1\npublic_key=$(key 1)\npreshared_key=$(key 7)\npreshared_key=1\n\n" \
	"set=1\npublic_key=$(key 1)\npersistent_keepalive_interval=65535\npersistent_keepalive_interval=65536\n\n" \
	"set=1\npublic_key=$(key 1)\nendpoint=192.0.2.1:1\nendpoint=192.0.2.1\n\n" \
	"set=1\npublic_key=$(key 1)\nendpoint=[2001:db8::1]:65535\n\n" \
	"set=1\npublic_key=$(key 1)\nendpoint=[2001:db8::1]:65536\n\n" \
	"set=1\npublic_key=$(key 1)\nendpoint=2001:db8::1:5\n\n" \
	"set=1\npublic_key=$(key 1)\nendpoint=example.net:5\n\n" \
	"set=1\npublic_key=$(key 1)\nprotocol_version=1\n\n" \
	"set=1\npublic_key=$(key 1)\nprotocol_version=2\n\n" \
	"set=1\npublic_key=$(key 1)\nallowed_ip=10.1.2.3/8\nallowed_ip=fd00::1/16\n\n" \
	"set=1\npublic_key=$(key 1)\nallowed_ip=10.0.0.0/33\n\n" \
	"set=1\npublic_key=$(key 1)\nallowed_ip=10.0.0.0\n\n" \
	"set=1\npublic_key=$(key 1)\nallowed_ip=010.0.0.0/8\n\n" \
	"set=1\npublic_key=$(key 1)\nallowed_ip=fe80::1%%lo/64\n\n" \
	"set=1\npublic_key=$(key 1)\nallowed_ip=10.0.0.0/24\npublic_key=$(key 2)\nallowed_ip=10.0.0.0/24\n\n" \
	"set=1\npublic_key=$(key 1)\nallowed_ip=10.0.0.0/24\nreplace_allowed_ips=true\nallowed_ip=10.0.1.0/24\n\n" \
	"set=1\npublic_key=$(key 1)\nreplace_allowed_ips=no\n\n" \
	"set=1\npublic_key=$(key 1)\nlisten_port=5\n\n" \
	"set=1\nfwmark=5\r\n\r\n" \
	"set=1\nfwmark=5\n" \
	"bogus\n\n" \
	"get=2\n\n" \
	"set=1 \n\n"; do
	compare "$reset"
	compare "$request"
done
say "$same requests: the same replies and the same devices as wireguard-go"
say "done"
