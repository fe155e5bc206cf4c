#!/bin/sh
# Secrets: what an engine has of them is in no answer, log or packet, not in the process that speaks HTTP, and what a capture
# with keys needed is wiped when it has ended. And what clients open and close in turn leaves nothing open.
. "$(dirname "$0")/lib.sh"
need wg ping ip python3 setpriv
[ "$(awk 'NR == 1 { print $3 }' /proc/self/uid_map)" -gt 65534 ] || {
	echo "skipped: nobody is nobody here, and memory cannot be looked at"
	exit 77
}

host left right
cable left 192.0.2.1/24 right 192.0.2.2/24
keys left right
(umask 077 && wg genpsk >$lab/psk)
conf() { # HOST OTHER NUMBER OTHER-NUMBER
	cat >$lab/$1/wg0.conf <<CONF
[Interface]
PrivateKey = $(cat $lab/$1/key)
ListenPort = 51820
Address = 10.9.0.$3/24
[Relay]
Url = rel://192.0.2.$4:4443
Secret = planted-relay-secret
[Ice]
Turn = 192.0.2.$4:3478
TurnUser = somebody
TurnPassword = planted-turn-password
[Peer]
Name = $2
PublicKey = $(cat $lab/$2/pub)
PresharedKey = $(cat $lab/psk)
Endpoint = 192.0.2.$4:51820
AllowedIPs = 10.9.0.$4/32
CONF
	chmod 600 $lab/$1/wg0.conf
}
conf left right 1 2
conf right left 2 1
weir_start right $lab/right/wg0.conf
weir_start left $lab/left/wg0.conf --metrics unix:$lab/left/metrics
until_true 20 pings left 10.9.0.2 1 || fail "no tunnel"

# search.py FILE|PID...: the names of those that hold a secret of left, as bytes, in base64 or in hex, and which. Files with keys
# from a capture are searched for, too.
cat >$lab/search.py <<'PYTHON'
import base64, hashlib, os, re, sys

lab = "/run/lab/"
secrets = {
    "private key": base64.b64decode(open(lab + "left/key").read()),
    "psk": base64.b64decode(open(lab + "psk").read()),
    "relay secret": b"planted-relay-secret",
    "relay key": hashlib.sha256(b"planted-relay-secret").digest(),
    "turn password": b"planted-turn-password",
}
if os.path.exists(lab + "keys.pcapng"):
    found = re.findall(rb"LOCAL_EPHEMERAL_PRIVATE_KEY = (\S+)", open(lab + "keys.pcapng", "rb").read())
    for i, line in enumerate(found):
        secrets["ephemeral %d" % i] = base64.b64decode(line)
wanted = sys.argv[1].split(",")


def spelled(s):
    return [s, base64.b64encode(s).rstrip(b"=")[:-1], s.hex().encode(), s.hex().upper().encode()]


def memory(pid):
    with open("/proc/%s/maps" % pid) as maps, open("/proc/%s/mem" % pid, "rb", 0) as mem:
        for line in maps:
            start, end = (int(x, 16) for x in line.split()[0].split("-"))
            # What a sanitizer maps for itself is larger than any memory.
            if "rw" not in line.split()[1] or "[v" in line or end - start > 1 << 28:
                continue
            try:
                mem.seek(start)
                yield mem.read(end - start)
            except OSError:
                pass


for name in sys.argv[2:]:
    parts = memory(name) if name.isdigit() else [open(name, "rb").read()]
    for part in parts:
        for what, secret in secrets.items():
            forms = spelled(secret)
            if "text" in wanted:
                forms = forms[1:]
            if any(what.startswith(w) for w in wanted) or wanted[0] == "all":
                print("".join("%s: %s\n" % (name, what) for f in forms if f in part), end="")
PYTHON
search() {
	python3 $lab/search.py "$@" || fail "the search fails"
}
[ -n "$(search all $lab/left/wg0.conf)" ] || fail "the search does not find what is there"
[ -n "$(search "private key" "$(cat $lab/left/pid)")" ] || fail "the search does not find the engine's key"

# The process that speaks HTTP.
child=
for pid in $(cat /proc/$(cat $lab/left/pid)/task/*/children); do
	[ "$(cat /proc/$pid/comm)" = weir-metrics ] && child=$pid
done
[ -n "$child" ] || fail "no exporter"
found=$(search all $child)
[ -z "$found" ] || fail "the exporter holds secrets: $found"
grep -q "^Uid:.0" /proc/$child/status && fail "the exporter is root"
grep -q "^CapEff:.0000000000000000" /proc/$child/status || fail "the exporter has rights: $(grep Cap /proc/$child/status)"
grep -q "^Seccomp:.2" /proc/$child/status || grep -q "WEIR_SANITIZED 1" $LAB_BUILD/config.h || fail "no filter of system calls"
for pid in $(cat /proc/$(cat $lab/left/pid)/task/*/children); do
	found="$found$(search all $pid)"
done
[ -z "$found" ] || fail "$(cat /proc/[0-9]*/comm | grep weir- | tr '\n' ' ') hold secrets: $found"
say "the processes beside the engine have no secrets, the exporter no rights"

# With keys, and then nothing of it is left.
with_keys() {
	ip netns exec left "$weir" capture --run-dir $lab/left -w $lab/keys.pcapng --with-keys point wire >$lab/keys.out 2>&1 &
	keys_pid=$!
	until_true 20 grep -aq LOCAL_EPHEMERAL $lab/keys.pcapng || fail "no keys: $(cat $lab/keys.out)"
	pings left 10.9.0.2 2 || fail "packets lost"
	kill -INT $keys_pid
	wait $keys_pid || fail "the capture: $(cat $lab/keys.out)"
}
no_taps() {
	weir_on left status wg0 --json | grep -Eq '"sessions": *0\b'
}
with_keys
until_true 10 no_taps || fail "the tap stays"
forgotten() {
	[ -z "$(search ephemeral "$(cat $lab/left/pid)")" ]
}
until_true 10 forgotten || fail "the engine keeps $(search ephemeral "$(cat $lab/left/pid)")"
found=$(search "text,private key,psk,ephemeral" "$(cat $lab/left/pid)" | grep -v "relay\|turn" || true)
[ -z "$found" ] || fail "the engine keeps lines of a key log: $found"
grep -q "captures packets with the keys" $lab/left/log || fail "it is not in the log"
say "a capture with keys leaves none behind in memory"

# Others may be let in, and may look and act: keys they do not get.
chmod 666 $lab/left/wg0.sock
chmod 755 $lab $lab/left
cp "$weir" $lab/weir
mkdir -m 777 $lab/theirs
theirs() {
	on left setpriv --reuid 65534 --regid 65534 --clear-groups $lab/weir "$@" --run-dir $lab/left
}
theirs status wg0 >/dev/null || fail "others are not let in"
rc=0
theirs capture -w $lab/theirs/keys.pcapng --with-keys >$lab/out 2>&1 || rc=$?
[ $rc -ne 0 ] && grep -q "root and the engine" $lab/out || fail "others get keys: $rc $(cat $lab/out)"
[ ! -e $lab/theirs/keys.pcapng ] || fail "a file, though there was nothing for it"
chmod 600 $lab/left/wg0.sock
say "keys are for root"

# Everything that is told.
ip netns exec left "$weir" capture --run-dir $lab/left -w $lab/plain.pcapng >$lab/out 2>&1 &
plain_pid=$!
until_true 10 test -s $lab/plain.pcapng || fail "no capture: $(cat $lab/out)"
weir_on left handshake right >/dev/null || fail "handshake"
pings left 10.9.0.2 3 || fail "packets lost"
kill -INT $plain_pid
wait $plain_pid || fail "the capture: $(cat $lab/out)"
{
	weir_on left status wg0 --json
	weir_on left metrics wg0
	weir_on left log wg0
	weir_on left events --json
	weir_on left trace 10.9.0.2
	weir_on left explain right --json || true
	weir_on left explain all --json || true
} >$lab/told 2>&1
cat >$lab/history.py <<'PYTHON'
import socket
s = socket.socket(socket.AF_UNIX)
s.connect("/run/lab/left/wg0.sock")
s.sendall(b'{"id":7,"method":"history"}\n{"id":8,"method":"log"}\n')
told = b""
while b'"id":8' not in told:
    told += s.recv(65536)
open("/run/lab/history", "wb").write(told)
PYTHON
python3 $lab/history.py
[ -s $lab/history ] && grep -q right $lab/told || fail "nothing is told"
found=$(search all $lab/told $lab/history $lab/plain.pcapng $lab/left/log $lab/right/log)
[ -z "$found" ] || fail "secrets are told: $found"
say "no secret in answers, history, logs and packets"

# Taps that come and go, and clients that vanish in the middle.
cat >$lab/loop.py <<'PYTHON'
import json, os, socket, sys, time

def ask(what, **params):
    s = socket.socket(socket.AF_UNIX)
    s.connect("/run/lab/left/wg0.sock")
    s.sendall(json.dumps({"id": 1, "method": what, "params": params}).encode() + b"\n")
    return s

def settled(pid):
    return (len(os.listdir("/proc/%s/fd" % pid)), len(os.listdir("/proc/%s/task" % pid)))

pid = open("/run/lab/left/pid").read().strip()
before = settled(pid)
for i in range(60):
    s = [ask("tap"), ask("capture", keys=i % 2 == 0), ask("keep", seconds=5), ask("history"), ask("kept"), ask("explain", peer="all")]
    if i % 3:
        s[1].recv(1)
    for c in s:
        c.close()
off = ask("keep", seconds=0)
off.recv(65536)
off.close()
for i in range(200):
    if settled(pid) == before:
        sys.exit(0)
    time.sleep(0.05)
sys.exit("descriptors and threads: %s, and now %s" % (before, settled(pid)))
PYTHON
python3 $lab/loop.py 2>$lab/out || fail "$(cat $lab/out)"
until_true 10 forgotten || fail "the engine keeps $(search ephemeral "$(cat $lab/left/pid)")"
pings left 10.9.0.2 1 || fail "the tunnel is gone"
say "nothing stays open of clients that come and go"
