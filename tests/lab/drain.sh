#!/bin/sh
# Drain: the next packet in either direction starts a handshake at once. By command, signal and UAPI; the time from the
# drain to the next answer is printed. The peers are plain: others tell each other that keys are gone.
. "$(dirname "$0")/lib.sh"
need wg ping ip jq

two_hosts '' "Mode = plain"
for side in left right; do
	weir_start $side $lab/$side/wg0.conf
done
until_true 20 pings left 10.9.0.2 1 || fail "no tunnel"

handshakes() {
	weir_on left status wg0 --json | jq '.peers[0].counters.handshake_done'
}

drained() { # WHAT COMMAND...: after it one ping each way must be answered under a new key
	what=$1
	shift
	before=$(handshakes)
	"$@" || fail "$what failed"
	start=$(milliseconds)
	pings left 10.9.0.2 1 || fail "$what: the next packet is lost"
	ms=$(($(milliseconds) - start))
	[ "$(handshakes)" -gt "$before" ] || fail "$what: no new handshake"
	say "$what: answered $ms ms after it, under a new key"
}

drained "drain of one peer" weir_on left drain right -i wg0
drained "drain of all" weir_on left drain all -i wg0
drained "SIGUSR1" kill -USR1 "$(cat $lab/left/pid)"

# The other direction: they do not know that our keys are gone. Their first packet is lost, but it tells us that they
# use a key that we no longer have, and we call them.
weir_on left drain all -i wg0
start=$(milliseconds)
until_true 10 on right ping -q -n -c 1 -W 0.2 10.9.0.1 || fail "drained side cannot be reached"
ms=$(($(milliseconds) - start))
say "packets of the other side bring the tunnel back as well, after $ms ms"
[ "$(weir_on left status wg0 --json | jq '.peers[0].counters.unknown_index_rehandshake')" -ge 1 ] ||
	fail "not by the rule for unknown indices"

weir_on left drain nobody -i wg0 2>$lab/err && fail "drain of an unknown peer succeeds"
grep -q nobody $lab/err || fail "the error does not name the peer: $(cat $lab/err)"
say "an unknown peer is an error that names it"
