#!/bin/sh
# Faults around where a peer is logged in: several relays, of which each end reaches some, relays that restart, peers that
# come late or again, tokens and secrets that are wrong. The ids are those of the catalogue of faults.
#
#   ONLY="F20 F26" STRICT=1
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/nat.sh"
. "$(dirname "$0")/faults.sh"
need wg jq nft conntrack ss ping awk openssl

one=203.0.113.5
two=203.0.113.6
public
site left 10 blocked
site right 20 blocked
keys left right
login="SecretFile = $lab/srv/secret"

stop() {
	end_engine left
	end_engine right
	heal left
	heal right
	rm -rf $lab/left/state $lab/right/state
	mkdir $lab/left/state $lab/right/state
}
no_way() { # HOST ADDRESS: this host cannot reach that relay
	fault "$1" ip daddr "$2" tcp dport 443 drop
}

if wanted F25; then
	case=F25
	relay_at one $one
	conf_of left 1 "Url = rel://$one:443
$login"
	peer_of left right 2
	conf_of right 2 "Url = rel://$one:443
$login"
	peer_of right left 1
	begin left
	watch_start left 10.9.0.2 60 $lab/pings
	sleep 3
	started=$(date +%s.%N)
	begin right
	until_true 30 flows $lab/pings || fail "F25: no tunnel to a peer that came later"
	flow_stop
	back=$(after $lab/pings "$started")
	say "F25: a peer that comes to the relay 3 s later: answers $back ms after its start, the bound is 1000 ms"
	evidence left "0" "right: .*(online|relay)" 2
	within F25 "$back" 1000
	stop
	relay_kill one
fi

# Killed, and there again at once, in the moment in which the other end leaves the direct path for the relay.
die_and_return() {
	fault_udp left
	sleep 0.3
	end_engine right KILL
	started=$(date +%s.%N)
	begin right
}
if wanted F20; then
	case=F20
	nat_kind left port
	nat_kind right port
	relay_at one $one
	begin left right
	settled ice left right
	flow_start left 10.9.0.2
	begun=$(moment)
	die_and_return
	flow_again 60
	flow_stop
	back=$(after $lab/pings "$started")
	say "F20: the peer was killed and restarted in the middle of a fall-back to the relay: $gap ms without an answer," \
		"back $back ms after its start, the bound is 1000 ms"
	evidence left "$begun"
	within F20 "$back" 1000
	stop
	nat_kind left blocked
	nat_kind right blocked
	relay_kill one
fi

# left reaches two and three, right reaches one and three; the third comes last, when both are at home elsewhere.
if wanted F26; then
	case=F26
	three=203.0.113.7
	ip -n srv addr add $three/24 dev wan
	relay_at one $one
	relay_at two $two
	urls="Url = rel://$one:443, rel://$two:443, rel://$three:443
$login"
	conf_of left 1 "$urls"
	peer_of left right 2
	conf_of right 2 "$urls"
	peer_of right left 1
	no_way left $one
	no_way right $two
	begin left right
	until_true 20 is left '.relays[] | select(.state == "up") | .url' "rel://$two:443" || fail "F26: left is at no relay"
	until_true 20 is right '.relays[] | select(.state == "up") | .url' "rel://$one:443" || fail "F26: right is at no relay"
	watch_start left 10.9.0.2 100 $lab/pings
	sleep 2
	! answers $lab/pings 1 || fail "F26: there should be no way yet"
	say "F26: one relay each and none in common: $(jq_of left '.peers[0].reason')"
	begun=$(moment)
	started=$(date +%s.%N)
	relay_at three $three
	until_true 60 flows $lab/pings || fail "F26: no tunnel by the relay that both reach"
	flow_stop
	back=$(after $lab/pings "$started")
	say "F26: a relay that both reach appears: answers after $back ms, the bound is 3000 ms"
	evidence left "$begun" "notice|logged in"
	within F26 "$back" 3000
	stop
	relay_kill one
	relay_kill two
	relay_kill three
fi

# Each end at home at a relay of its own; left visits right's.
if wanted F27; then
	case=F27
	relay_at one $one
	relay_at two $two
	conf_of left 1 "Url = rel://$one:443
$login"
	peer_of left right 2 "Relay = rel://$two:443"
	conf_of right 2 "Url = rel://$two:443
$login"
	peer_of right left 1
	begin left right
	until_true 30 pings left 10.9.0.2 1 || fail "F27: no tunnel by a foreign relay"
	flow_start left 10.9.0.2
	begun=$(moment)
	relay_kill two
	sleep 3
	relay_at two $two
	listens=$(date +%s.%N)
	flow_again 60
	flow_stop
	back=$(after $lab/pings "$listens")
	say "F27: the foreign relay was away for 3 s: $gap ms without an answer, back $back ms after it listens, the bound is 3000 ms"
	evidence left "$begun"
	within F27 "$back" 3000
	flow_start left 10.9.0.2
	for _ in 1 2 3 4; do
		relay_kill two
		relay_at two $two
		sleep 0.4
	done
	listens=$(date +%s.%N)
	flow_again 60
	flow_stop
	back=$(after $lab/pings "$listens")
	say "F28: the foreign relay restarted four times in a tight loop: $gap ms without an answer, back $back ms after the last, the bound is 3000 ms"
	within F28 "$back" 3000
	stop
	relay_kill one
	relay_kill two
fi

# Logins that fail say why, and nothing else suffers: here a direct path by an endpoint that is known.
login_fails() { # ID TEXT LINES PATTERN
	case=$1
	conf_of left 1 "Url = rel://$one:443
$3"
	peer_of left right 2 "Endpoint = 203.0.113.20:51820"
	conf_of right 2 "Url = rel://$one:443
$login"
	sed -i 's/^Address/ListenPort = 51820\nAddress/' $lab/right/wg0.conf
	peer_of right left 1
	begin left right
	until_true 20 pings left 10.9.0.2 1 || fail "$1: no tunnel by the endpoint"
	until_true 20 sh -c "ip netns exec left '$weir' status wg0 --run-dir $lab/left | grep -q '$4'" ||
		fail "$1: status does not say \"$4\": $(weir_on left status wg0)"
	pings left 10.9.0.2 50 || fail "$1: packets lost while the relay is tried"
	say "$1: $2: the direct path does its work, and status says: $(weir_on left status wg0 | grep -o "$4.*" | head -n 1)"
	stop
}
if wanted F31 || wanted F32; then
	nat_kind left port
	nat_kind right cone
	relay_at one $one
	(umask 077 && echo "another secret" >$lab/wrong)
	login_fails F32 "wrong secret" "SecretFile = $lab/wrong" "wrong secret"
	expiry=$(($(date +%s) - 300))
	key=$(head -n 1 $lab/srv/secret | tr -d '\n' | openssl dgst -sha256 -r | cut -d' ' -f1)
	token=$({
		printf '\001'
		printf %s $expiry | openssl dgst -sha256 -mac HMAC -macopt "hexkey:$key" -binary
		printf %s $expiry
	} | base64 -w 0)
	login_fails F31 "expired token" "Token = $token" "token expired 5 min ago"
	relay_kill one
fi
