#!/bin/sh
# How soon a host is back at its relay: one that was silent, one that was killed; and the way through an HTTP proxy.
. "$(dirname "$0")/lib.sh"
need wg ip nft ss python3

host hub left
cable left 192.0.2.1/24 hub 192.0.2.2/24
keys left hub
ip -n hub addr add 203.0.113.1/32 dev lo
ip -n left route add 203.0.113.1 via 192.0.2.2

# conf [LINE]: what left's file says, beside its relay.
conf() {
	(umask 077 && cat >$lab/left/wg0.conf <<CONF
[Interface]
PrivateKey = $(cat $lab/left/key)
[Relay]
Url = rel://203.0.113.1:8001
SecretFile = $lab/secret
${1:-}
[Peer]
PublicKey = $(cat $lab/hub/pub)
AllowedIPs = 10.9.0.2/32
CONF
	)
}
logins() {
	grep -c "relay: rel://203.0.113.1:8001: logged in" $lab/left/log || true
}
logged_in() { # TIMES
	[ "$(logins)" -ge "$1" ]
}
turns_start
# back_within MILLISECONDS TIMES: logged in so often in all, counted from now.
back_within() {
	since=$(milliseconds)
	until_true 30 logged_in "$2" || fail "left does not come back"
	took=$(($(milliseconds) - since))
	[ $took -le "$1" ] || [ $took -le $(($1 + $(stalled $took))) ] || fail "left came back after $took ms, not within $1"
}

# SYNs into nothing: the kernel alone would wait longer and longer.
relay_on hub 8001 rel://203.0.113.1:8001
on hub nft add table inet t
on hub nft add chain inet t in "{ type filter hook input priority 0; }"
on hub nft add rule inet t in tcp dport 8001 drop
conf
weir_start left $lab/left/wg0.conf
until_true 20 grep -q "no answer within 5 s" $lab/left/log || fail "left does not say that nobody answers"
sleep 2 # into the next dial, where the kernel's own repeats are 2 s apart
on hub nft flush chain inet t in
back_within 2000 1
say "a relay that was silent is found $took ms after it answers"

kill -9 "$(cat $lab/hub/pid.8001)"
until_true 20 grep -q "Connection refused" $lab/left/log || fail "left does not say that nobody listens"
sleep 4 # long enough for the longest pause between tries
relay_on hub 8001 rel://203.0.113.1:8001
back_within 3500 2
say "a relay that was killed is found $took ms after it listens"

# Connected, and then nothing passes: the kernel repeats what was said ever more seldom.
hole() { # SECONDS LOGINS
	on hub nft add rule inet t in tcp dport 8001 tcp flags '& syn == 0' drop
	kill -9 "$(cat $lab/hub/pid.8001)"
	sleep 0.2
	relay_on hub 8001 rel://203.0.113.1:8001
	until_true 20 sh -c "ip netns exec left ss -Htn state established dport = :8001 | grep -q ." || fail "left is not connected"
	sleep "$1"
	on hub nft flush chain inet t in
	back_within 3000 "$2"
	say "a relay is found $took ms after a hole of $1 s in the middle of a login"
}
hole 1 3
hole 4 4
hole 9 5

# No way to the relay but the proxy's.
weir_end left
ip -n left route del 203.0.113.1
cat >$lab/proxy.py <<'PYTHON'
import socket, sys, threading

def pump(a, b):
    try:
        while data := a.recv(65536):
            b.sendall(data)
    except OSError:
        pass
    for s in a, b:
        try:
            s.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

def serve(client):
    head = b""
    while b"\r\n\r\n" not in head:
        head += client.recv(4096)
    print(head.decode().splitlines()[0], flush=True)
    host, port = head.split()[1].decode().rsplit(":", 1)
    server = socket.create_connection((host, int(port)))
    client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
    threading.Thread(target=pump, args=(server, client), daemon=True).start()
    pump(client, server)

listener = socket.create_server(("192.0.2.2", 3128))
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
PYTHON
ip netns exec hub python3 $lab/proxy.py >$lab/hub/proxy 2>&1 &
until_true 20 sh -c "[ -n \"\$(ip netns exec hub ss -Hltn sport = :3128)\" ]" || fail "the proxy does not listen"
conf "Proxy = http://192.0.2.2:3128"
: >$lab/left/log
weir_start left $lab/left/wg0.conf
until_true 20 logged_in 1 || fail "left does not get through the proxy"
grep -q "^CONNECT 203.0.113.1:8001 HTTP/1.1" $lab/hub/proxy || fail "the proxy was asked for something else"
say "the relay is reached through an HTTP proxy"

echo "1..$lab_tests"
