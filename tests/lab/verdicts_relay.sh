#!/bin/sh
# Faults of relays, side by side: each host has one of its own, and a peer that it can reach by the relay alone. Each gets its
# verdict first; the pair whose relay is good gets none, at either end.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/nat.sh"
. "$(dirname "$0")/faults.sh"
. "$(dirname "$0")/verdicts.sh"
need wg ping ip nft openssl python3 ss

public
relay_start
head -c 24 /dev/urandom | base64 >$lab/srv/other-secret
chmod 600 $lab/srv/other-secret
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout $lab/srv/tls.key -out $lab/srv/tls.pem -days 2 \
	-subj /CN=relay.test -addext "subjectAltName = IP:203.0.113.7" 2>/dev/null
ip -n srv addr add 203.0.113.7/24 dev wan
relay_at tls 203.0.113.7 --cert $lab/srv/tls.pem --key $lab/srv/tls.key --url rels://203.0.113.7:443

# A proxy that ends what it carries after 11 seconds, as some do with what seems idle.
ip -n srv addr add 203.0.113.8/24 dev wan
cat >$lab/srv/cut.py <<'PY'
import asyncio, sys

async def pump(reader, writer):
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass

async def serve(reader, writer):
    there, back = await asyncio.open_connection("203.0.113.5", 443)
    pumps = [asyncio.ensure_future(pump(reader, back)), asyncio.ensure_future(pump(there, writer))]
    await asyncio.wait(pumps, timeout=11)
    for p in pumps:
        p.cancel()
    writer.transport.abort()
    back.transport.abort()

async def main():
    server = await asyncio.start_server(serve, "203.0.113.8", 443)
    await server.serve_forever()

asyncio.run(main())
PY
ip netns exec srv python3 $lab/srv/cut.py >>$lab/srv/log.cut 2>&1 &
until_true 20 on srv sh -c "ss -Hltn 'src 203.0.113.8:443' | grep -q ." || fail "the proxy does not listen"

# token EXPIRY KEY: as servers hand them out (relay/wire.h); the key of ours is made of the secret.
token() {
	{
		printf '\001'
		printf %s "$1" | openssl dgst -sha256 -mac HMAC -macopt "hexkey:$2" -binary
		printf %s "$1"
	} | base64 -w 0
}
key=$(head -n 1 $lab/srv/secret | tr -d '\n' | openssl dgst -sha256 -r | cut -d' ' -f1)
other=$(head -n 1 $lab/srv/other-secret | tr -d '\n' | openssl dgst -sha256 -r | cut -d' ' -f1)
now=$(date +%s)

# Name servers are where only the tunnel of one host leads.
echo "nameserver 10.99.0.53" >$lab/resolv
mount --bind $lab/resolv /etc/resolv.conf

good="Url = rel://$nat_server:443
SecretFile = $lab/srv/secret"
secret="SecretFile = $lab/srv/secret"
n=30
# at NAME RULE "FAULT" "RELAY LINES" [PEER LINES]: a host with that relay, and a peer that never comes.
at() {
	n=$((n + 1))
	[ "$1" = stale ] || open_host "$1" $n
	keys nobody
	conf_of "$1" $n "$4" "[Ice]
Enable = no"
	peer_of "$1" nobody 200 "${5:-}"
	injected "$1" nobody "$2" "$3"
	hosts="$hosts $1"
}
hosts=
mkdir -p $lab/nobody
at secret relay-wrong-secret "another secret than the server's" "Url = rel://$nat_server:443
SecretFile = $lab/srv/other-secret"
at expired relay-token-expired "a token that has ended" "Url = rel://$nat_server:443
Token = $(token $((now - 300)) "$key")"
at forged relay-bad-token "a token of another server" "Url = rel://$nat_server:443
Token = $(token $((now + 3600)) "$other")"
at tls relay-tls "a certificate that nobody vouches for" "Url = rels://203.0.113.7:443
$secret"
at name relay-name "a name that does not resolve" "Url = rel://nosuch.invalid:443
$secret"
at nameloop relay-name-loop "the name server is behind the tunnel" "Url = rel://nosuch.invalid:443
$secret" "AllowedIPs = 10.99.0.53/32"
at nowhere relay-unreachable "no relay at that address" "Url = rel://203.0.113.99:443
$secret"
at loop relay-loop "the relay's address is routed into the tunnel" "$good" "AllowedIPs = $nat_server/32"
at absent relay-peer-absent "the peer is at no relay" "$good"
at common no-common-relay "the peer's relay is not reached from here" "$good" "Relay = rel://203.0.113.6:443"
at plain relay-only-plain "relay-only for a plain peer" "$good" "Mode = relay-only
Endpoint = 203.0.113.77:51820"
at twin relay-duplicate "another host logs in with the same key" "$good"
at cut relay-cut "a proxy ends connections after 11 s" "Url = rel://203.0.113.8:443
$secret"
relay_at two 203.0.113.6
on common nft -f - <<'NFT'
table inet f { chain o { type filter hook output priority 0; ip daddr 203.0.113.6 drop; }; }
NFT
open_host twin2 99
cp -r $lab/twin/key $lab/twin/pub $lab/twin/wg0.conf $lab/twin2/

# Two pairs that live by the relay: of one, a connection dies without a word.
site stale 60 port
open_host stale2 61
open_host good1 62
open_host good2 63
only="Mode = relay-only"
pair_of() { # A NUMBER B NUMBER
	conf_of $1 $2 "$good"
	peer_of $1 $3 $4 "$only"
	conf_of $3 $4 "$good"
	peer_of $3 $1 $2 "$only"
	hosts="$hosts $1 $3"
}
pair_of stale 60 stale2 61
pair_of good1 62 good2 63

# Words of hosts are those of their networks: all begin at once.
begin $hosts twin2
for name in $hosts; do
	to=10.9.0.200
	case $name in
	stale) to=10.9.0.61 ;;
	good1) to=10.9.0.63 ;;
	stale2 | good2) continue ;;
	esac
	ip netns exec $name ping -q -n -i 0.2 $to >/dev/null 2>&1 &
done
until_true 20 answered stale 10.9.0.61 || fail "stale is not reached"
injected stale stale2 relay-stale "the relay's connection dies without a word"
tcp_dies stale $nat_server

verdicts_come 75
never_a_verdict good1 good2
never_a_verdict good2 good1
say "each fault has its verdict, and who is well has none"
