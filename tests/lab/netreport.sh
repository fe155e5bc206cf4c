#!/bin/sh
# weir netreport behind each kind of NAT of the lab: what it says is what the box does.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/nat.sh"
need wg ip nft jq turnserver

public
open_host open 10
site cone 11 cone
site address 12 address
site port 13 port
site symmetric 14 symmetric
site blocked 15 blocked
site hole 16 port
sites="open cone address port symmetric blocked hole"
# IPv6 without a NAT, for one host.
ip -n srv addr add 2001:db8::5/64 dev wan nodad
ip -n open addr add 2001:db8::10/64 dev wan nodad
# This way loses long packets, and nobody says so: ICMP of the box is dropped, too.
fault hole meta l4proto udp udp length gt 1380 drop

relay_start
# Two addresses and two ports: RFC 5780.
cat >$lab/srv/stun.conf <<CONF
listening-ip=203.0.113.5
listening-ip=203.0.113.6
listening-port=3490
alt-listening-port=3491
stun-only
no-cli
no-tls
no-dtls
pidfile=$lab/srv/turn.pid
log-file=stdout
simple-log
CONF
ip netns exec srv turnserver -c $lab/srv/stun.conf >>$lab/srv/log.turn 2>&1 &
until_true 20 on srv sh -c "ss -Hlun 'sport = :3491' | grep -q ." || fail "coturn does not listen"

# All sites at the same time.
for name in $sites; do
	six=
	[ $name = open ] && six="--stun [2001:db8::5]:3478"
	ip netns exec $name "$weir" netreport --json --stun 203.0.113.5:3478 --stun 203.0.113.5:3490 $six \
		--relay rel://203.0.113.5:443 >$lab/$name/report.json 2>$lab/$name/log &
	echo $! >$lab/$name/pid
done
# Strangers' answers are read by one who may mark packets, and gains nothing by running programs.
powerless() {
	awk '/^CapEff:/ { caps = $2 } /^NoNewPrivs:/ { none = $2 }
		END { exit !(caps == "0000000000001000" && none == 1) }' "/proc/$(cat $lab/blocked/pid)/status"
}
until_true 10 powerless || fail "netreport runs with rights: $(cat "/proc/$(cat $lab/blocked/pid)/status")"
for name in $sites; do
	rc=0
	wait "$(cat $lab/$name/pid)" || rc=$?
	[ $rc = 0 ] || [ $rc = 4 ] || fail "$name: exit code $rc: $(cat $lab/$name/report.json)"
done

# says SITE JQ
says() {
	jq -e "$2" $lab/$1/report.json >/dev/null || fail "$1: not $2: $(cat $lab/$1/report.json)"
}
verdict() {
	says "$1" "[.verdicts[] | select(.level == \"$2\") | .text] | map(test(\"$3\")) | any"
}

for name in $sites; do
	says $name '.schema == 1 and .ipv4.asked and .took < 12'
	says $name '.relays[0].connect > 0 and .relays[0].upgrade > 0 and .relays[0].error == ""'
done
says open '.ipv4.nat == false and .ipv4.mapping == "none" and .ipv4.filtering == "endpoint-independent"'
says open '.ipv4.sourceAddress == "203.0.113.10" and .ipv4.pathMtu == 1500'
verdict open good "no NAT over IPv4"
says cone '.ipv4.nat and .ipv4.mapping == "endpoint-independent" and .ipv4.filtering == "endpoint-independent"'
says address '.ipv4.mapping == "endpoint-independent" and .ipv4.filtering == "address-dependent"'
says port '.ipv4.mapping == "endpoint-independent" and .ipv4.filtering == "address-and-port-dependent" and .ipv4.portKept'
says symmetric '.ipv4.mapping == "address-and-port-dependent" and .ipv4.filtering == "address-and-port-dependent"'
says symmetric '.ipv4.portKept == false'
verdict symmetric bad "symmetric"
verdict cone good "endpoint-independent.: direct paths"
say "mapping and filtering: none, cone, address, port, symmetric"

says blocked '.ipv4.udp == false'
verdict blocked bad "UDP over IPv4 is blocked"
says open '.ipv6.udp and .ipv6.mapping == "none" or .ipv6.mapping == "unknown"'
verdict port note "no server has an IPv6 address"
says hole '.ipv4.blackHole and .ipv4.pathMtu == 1400'
verdict hole bad "over 1400 bytes vanish.*1340 or less"
say "UDP blocked, IPv6, an MTU black hole found to the byte"

# Text, a relay that is none, a portal, and the servers that the running engine uses.
cat >$lab/portal.py <<'PY'
import http.server
class H(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(204 if self.path == "/free" else 302)
        if self.path != "/free":
            self.send_header("Location", "http://login.example/")
        self.end_headers()
http.server.HTTPServer(("203.0.113.6", 80), H).serve_forever()
PY
ip netns exec srv python3 $lab/portal.py >/dev/null 2>&1 &
until_true 20 on srv sh -c "ss -Hltn 'sport = :80' | grep -q ." || fail "no portal"
rc=0
on port "$weir" netreport --stun 203.0.113.5 --relay rel://203.0.113.6:80 --portal-url http://203.0.113.6/ >$lab/report.txt || rc=$?
[ $rc = 4 ] || fail "exit code $rc: $(cat $lab/report.txt)"
grep -q "BAD .*captive portal.*login.example" $lab/report.txt || fail "portal: $(cat $lab/report.txt)"
grep -q "BAD .*relay rel://203.0.113.6:80: answers with HTTP status 302" $lab/report.txt || fail "$(cat $lab/report.txt)"
grep -q "note the NAT keeps one mapping for two ports of a server" $lab/report.txt || fail "one server: $(cat $lab/report.txt)"
on port "$weir" netreport --portal-url http://203.0.113.6/free >$lab/report.txt || fail "no portal: $(cat $lab/report.txt)"
peer_conf port 1 cone 2
sed "s|^SecretFile.*|SecretFile = $lab/srv/secret|" -i $lab/port/wg0.conf
weir_start port $lab/port/wg0.conf
relay_up() { [ "$(weir_on port status --json | jq -r '.relays[0].state')" = up ]; }
until_true 20 relay_up || fail "the relay: $(weir_on port status)"
weir_on port netreport --json >$lab/port/report.json || fail "of an engine: $(cat $lab/port/report.json)"
says port '.ipv4.servers[0].server == "203.0.113.5:3478" and .relays[0].engine.state == "up"'
rc=0
on cone "$weir" netreport >$lab/report.txt 2>&1 || rc=$?
[ $rc = 3 ] || fail "nobody to ask: exit code $rc: $(cat $lab/report.txt)"
say "text, portal, no relay, and whom the engine asks"
