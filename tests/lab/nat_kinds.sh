#!/bin/sh
# What a relay with one address tells of a NAT, by its two STUN ports: to engines, in their head line and their verdict, and
# to netreport. And a relay with two addresses, which tells all.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/nat.sh"
need wg jq nft ss python3 turnserver

public
site symmetric 11 symmetric
site port 12 port
site cone 13 cone
site address 14 address
open_host open 15
sites="symmetric port cone address open"
relay_start

# ---- netreport: nobody but the relay is asked ----

report() { # SITE...: at the same time
	for name in "$@"; do
		ip netns exec $name "$weir" netreport --json --relay "rel://$nat_server:443" >$lab/$name/report.json 2>>$lab/$name/log &
		echo $! >$lab/$name/pid.report
	done
	for name in "$@"; do
		rc=0
		wait "$(cat $lab/$name/pid.report)" || rc=$?
		[ $rc = 0 ] || [ $rc = 4 ] || fail "$name: exit code $rc: $(cat $lab/$name/report.json)"
	done
}

is() { # SITE MAPPING FILTERING
	found=$(jq -r '.ipv4 | .mapping + " " + .filtering' $lab/$1/report.json)
	[ "$found" = "$2 $3" ] || fail "$1: $found, and not $2 $3: $(cat $lab/$1/report.json)"
}

# shellcheck disable=SC2086 # one word each
report $sites
is symmetric address-and-port-dependent address-and-port-dependent
is port port-independent address-and-port-dependent
is cone port-independent port-independent
is address port-independent port-independent
is open none port-independent
jq -e '[.verdicts[].text] | map(test("whether it maps by address needs a second address")) | any' \
	$lab/cone/report.json >/dev/null || fail "cone: $(cat $lab/cone/report.json)"
say "netreport with one address: what ports tell, and no more"

# ---- engines ----

nat_is() { [ "$(weir_on "$1" status --json | jq -r .nat)" = "$2" ]; }
verdict_is() { weir_on "$1" explain "$2" | grep -q "symmetric-nats\|takes another port for each destination"; }

peer_conf symmetric 1 port 2
peer_conf port 2 symmetric 1
peer_conf open 5 cone 3 "[Ice]
Enable = no"
# A server that does not answer keeps nobody from asking the other one further.
peer_conf cone 3 open 5 "[Ice]
Stun = $nat_server:3478, 203.0.113.99:3478"
for name in symmetric port open cone; do
	weir_start $name $lab/$name/wg0.conf
done
until_true 30 answered symmetric 10.9.0.2 || fail "no tunnel"
until_true 30 nat_is symmetric symmetric || fail "symmetric: $(weir_on symmetric status --json)"
until_true 30 nat_is port port-independent || fail "port: $(weir_on port status --json)"
until_true 30 nat_is cone port-independent || fail "cone: $(weir_on cone status --json)"
say "engines behind symmetric and endpoint-independent NATs, with one relay alone"
until_true 40 verdict_is symmetric port || fail "no verdict: $(weir_on symmetric explain port)"
weir_on symmetric explain port >$lab/explain.txt
grep -q "here: another port for each destination (symmetric), as two ports of a STUN server see it" $lab/explain.txt ||
	fail "evidence: $(cat $lab/explain.txt)"
grep -q "lets only known ports in, or takes another for each address" $lab/explain.txt || fail "words: $(cat $lab/explain.txt)"
say "the verdict says what is known, and what is not"
for name in symmetric port open cone; do
	weir_end $name
done

# A second server at another address, of another make.
(
	nat_server=203.0.113.6
	coturn_start
)
peer_conf cone 3 open 5 "[Ice]
Stun = $nat_server:3478, 203.0.113.6:3490"
weir_start cone $lab/cone/wg0.conf
weir_start open $lab/open/wg0.conf
until_true 30 nat_is cone endpoint-independent || fail "coturn besides: $(weir_on cone status --json)"
weir_end cone
weir_end open
kill "$(cat $lab/srv/pid.turn)"
peer_conf cone 3 open 5
say "a second server tells the rest"

# ---- a second address: all of it ----

relay_again() {
	kill "$(cat $lab/srv/pid.relay)"
	wait "$(cat $lab/srv/pid.relay)" || true
	relay_start "$@"
}

relay_again --stun $nat_server:3478 --stun-other-address 203.0.113.6
# shellcheck disable=SC2086 # one word each
report $sites
is symmetric address-and-port-dependent address-and-port-dependent
is port endpoint-independent address-and-port-dependent
is cone endpoint-independent endpoint-independent
is address endpoint-independent address-dependent
is open none endpoint-independent
weir_start cone $lab/cone/wg0.conf
weir_start open $lab/open/wg0.conf
until_true 30 nat_is cone endpoint-independent || fail "cone: $(weir_on cone status --json)"
weir_end cone
weir_end open
say "with two addresses: mapping and filtering as they are"

# ---- the second port is somebody else's ----

relay_again --stun-other-port off
on srv ss -Hlun | grep -q "$nat_server:3478" || fail "no STUN"
on srv ss -Hlun | grep -q ":3479" && fail "a second port, though it is off"
kill "$(cat $lab/srv/pid.relay)"
wait "$(cat $lab/srv/pid.relay)" || true
ip netns exec srv python3 -c '
import socket, time
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
u.bind(("203.0.113.5", 3479))
time.sleep(600)' &
holder=$!
until_true 20 on srv sh -c "ss -Hlun 'sport = :3479' | grep -q ." || fail "nobody holds the port"
relay_start
grep -q "STUN answers on one port only" $lab/srv/log.relay || fail "no warning"
report port
is port unknown unknown
kill "$(cat $lab/srv/pid.relay)"
wait "$(cat $lab/srv/pid.relay)" || true
rc=0
ip netns exec srv timeout 20 "$weir" relay --listen "$nat_server:444" --secret-file $lab/srv/secret --status off \
	--stun $nat_server:3480 --stun-other-port 3479 >$lab/srv/refused 2>&1 || rc=$?
[ $rc = 1 ] && grep -q -e "--stun-other-port 203.0.113.5:3479: another program uses this port" $lab/srv/refused ||
	fail "exit code $rc: $(cat $lab/srv/refused)"
kill $holder
for words in "--stun-other-port $nat_server" "--stun-other-port 70000" "--stun-other-port 3478" "--stun-other-address $nat_server" \
	"--stun-other-address 2001:db8::6" "--stun-other-address 203.0.113.6 --stun-other-port off"; do
	rc=0
	# shellcheck disable=SC2086 # several words
	ip netns exec srv timeout 20 "$weir" relay --listen "$nat_server:444" --secret-file $lab/srv/secret --status off \
		--stun $nat_server:3478 $words >$lab/srv/refused 2>&1 || rc=$?
	[ $rc = 2 ] && grep -q -e "--stun-other" $lab/srv/refused || fail "$words: exit code $rc: $(cat $lab/srv/refused)"
done
say "a port that is taken: a warning, unless it was asked for"
