#!/bin/sh
# The command line against real engines: what goes wrong ends with a sentence and the right exit code; what systemd is
# told; weir-wg with descriptors that it is given.
. "$(dirname "$0")/lib.sh"
need wg ping ip jq python3

two_hosts host-

# expect EXIT-CODE PATTERN COMMAND...: the pattern must be in what it prints, and it must not take long.
expect() {
	ex_code=$1
	ex_pattern=$2
	shift 2
	rc=0
	"$@" >$lab/said 2>&1 </dev/null || rc=$?
	[ $rc = "$ex_code" ] || fail "$*: exit code $rc, not $ex_code: $(cat $lab/said)"
	grep -q -- "$ex_pattern" $lab/said || fail "$*: says $(cat $lab/said)"
}
on_terminal() { # COMMAND: as one string
	script -qec "$1" $lab/typescript </dev/null
}
nobody() {
	setpriv --reuid 65534 --regid 65534 --clear-groups "$@"
}

# 1. wrong usage
expect 2 "usage" "$weir"
expect 2 "did you mean \"status\"" "$weir" statsu
expect 2 "did you mean --json" "$weir" status --jsn
expect 2 "give PEER|all" "$weir" drain
expect 2 "from 1 to 8" "$weir" --headless --workers 9 wg0
expect 0 "weir [0-9]" "$weir" --version
expect 0 "usage: weir drain" "$weir" help drain
expect 3 "no engine runs" "$weir" status
expect 3 "no engine runs on wg9" "$weir" status wg9
expect 78 "nowhere" "$weir" --headless $lab/nowhere.conf
expect 78 "nowhere" "$weir" lint $lab/nowhere.conf
expect 2 "cannot open $lab/nowhere.tar.gz: No such file.*: give the file that weir bundle wrote" "$weir" replay $lab/nowhere.tar.gz
expect 2 "$lab is a folder: give the file" "$weir" replay $lab
echo text >$lab/text.tar.gz
expect 2 "text.tar.gz: this is no bundle, or it is damaged: .*: give the whole file" "$weir" replay $lab/text.tar.gz
tar -czf $lab/other.tar.gz -C $lab text.tar.gz
expect 2 "other.tar.gz: this is no bundle.* it has no MANIFEST.json" "$weir" replay $lab/other.tar.gz
if nobody true 2>/dev/null; then
	mkdir -p /run/closed.d
	touch /run/closed.d/bundle.tar.gz
	chmod 0 /run/closed.d/bundle.tar.gz
	expect 2 "Permission denied: run this as its owner" nobody "$weir" replay /run/closed.d/bundle.tar.gz
fi
say "wrong usage: a sentence and exit code 2; nothing there: 3 and 78"

# 2. terminals
export TERM=xterm
expect 2 "--headless" "$weir" $lab/left/wg0.conf
expect 2 "\"foo\" is unknown" on_terminal "env TERM=foo $weir $lab/left/wg0.conf --run-dir $lab/left"
expect 2 "cannot be drawn on" on_terminal "env TERM=dumb $weir $lab/left/wg0.conf --run-dir $lab/left"
[ ! -e $lab/left/wg0.lock ] || fail "an engine was started for a terminal that cannot show it"
say "no terminal, an unknown one, a dumb one: said before anything is set up"

# 3. no rights, no device, port and name taken
if [ "$(id -u)" = 0 ] && nobody true 2>/dev/null; then
	sed 's/51820/51821/' $lab/left/wg0.conf >/run/open.conf
	chmod 644 /run/open.conf
	expect 77 "become root" nobody "$weir" --headless /run/open.conf --run-dir /run/open.d
	expect 1 "become root" nobody "$weir_wg" wg8
fi
expect 1 "modprobe tun" unshare --mount sh -c "mount -t tmpfs none /dev && exec $weir --headless $lab/left/wg0.conf --run-dir $lab/left"
ip -n left link add wg0 type veth peer name wg0-peer
expect 1 "name wg0 is taken" on left "$weir" --headless $lab/left/wg0.conf --run-dir $lab/left
ip -n left link del wg0
ip netns exec left python3 -c '
import socket, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("0.0.0.0", 51820))
open("/run/lab/bound", "w")
time.sleep(600)' &
taken=$!
until_true 20 test -e /run/lab/bound || fail "the port is not taken"
expect 1 "51820 is in use" on left "$weir" --headless $lab/left/wg0.conf --run-dir $lab/left
on left ip link show wg0 >/dev/null 2>&1 && fail "half applied"
kill $taken
say "no rights, no /dev/net/tun, name taken, port taken"

# 4. a hook that fails undoes all; one that runs long is waited for, and SIGTERM does not break it off
sed '/^Address/a PostUp = echo no good; false' $lab/left/wg0.conf >$lab/left/bad.conf
expect 1 "PostUp failed" on left "$weir" --headless $lab/left/bad.conf --run-dir $lab/left
on left ip link show bad >/dev/null 2>&1 && fail "a hook that fails leaves the interface"
sed '/^Address/a PostUp = touch /run/lab/begun; sleep 2; touch /run/lab/ended' $lab/left/wg0.conf >$lab/left/slow.conf
weir_start left $lab/left/slow.conf
slow=$(cat $lab/left/pid)
until_true 20 test -e /run/lab/begun || fail "no hook"
kill -TERM "$slow"
rc=0
wait "$slow" || rc=$?
[ $rc = 0 ] || fail "SIGTERM while a hook runs: exit code $rc"
[ -e /run/lab/ended ] || fail "SIGTERM broke a hook off"
on left ip link show slow >/dev/null 2>&1 && fail "SIGTERM while a hook runs leaves the interface"
say "hooks: a failure undoes all, SIGTERM waits for one that runs"

# 5. systemd
cat >$lab/notify.py <<'PY'
import os, signal, socket, subprocess, sys, time
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind("/run/lab/notify")
s.settimeout(20)
p = subprocess.Popen(sys.argv[1:], env=dict(os.environ, NOTIFY_SOCKET="/run/lab/notify", WATCHDOG_USEC="400000"))
def until(word):
    while True:
        got = s.recv(4096).decode()
        if word in got:
            return got
until("READY=1")
until("STATUS=wg0 up, 1 peer")
until("WATCHDOG=1")
until("WATCHDOG=1")
p.send_signal(signal.SIGHUP)
assert "MONOTONIC_USEC=" in until("RELOADING=1")
until("READY=1")
p.send_signal(signal.SIGTERM)
until("STOPPING=1")
sys.exit(p.wait())
PY
if "$weir" --version >/dev/null && grep -q "HAVE_SYSTEMD 1" "$LAB_BUILD/config.h" 2>/dev/null; then
	on left timeout 60 python3 $lab/notify.py "$weir" --headless $lab/left/wg0.conf --run-dir $lab/left \
		>$lab/left/log 2>&1 || fail "sd_notify"
	say "systemd hears READY, WATCHDOG, STATUS, RELOADING, STOPPING"
fi

# 6. status, log, check
weir_start right $lab/right/wg0.conf
weir_start left $lab/left/wg0.conf
until_true 20 pings left 10.9.0.2 1 || fail "no tunnel"
expect 0 "DIRECT *host-right *192.0.2.2:51820" weir_on left status
grep -q "$(cat $lab/left/key)" $lab/said && fail "status shows the private key"
expect 0 "handshake done" weir_on left log wg0
expect 0 "0 peers added" weir_on left reload
expect 2 "near: host-right" weir_on left drain host
expect 1 "weir attach wg0" on left "$weir" --headless $lab/left/wg0.conf --run-dir $lab/left
expect 1 "weir attach wg0" on_terminal "ip netns exec left $weir $lab/left/wg0.conf --run-dir $lab/left"
weir_on left status wg0 --check || fail "--check of a healthy tunnel"
grep -q "^Seccomp:.*2" "/proc/$(cat $lab/left/pid)/status" || grep -q WEIR_SANITIZED.1 "$LAB_BUILD/config.h" ||
	fail "no system call filter"
kill -KILL "$(cat $lab/right/pid)"
on left ping -q -n -c 3 -i 5 -W 1 10.9.0.2 >/dev/null 2>&1 || true
until_true 60 sh -c "ip netns exec left $weir status --run-dir $lab/left | grep STUCK" || fail "never STUCK"
expect 4 "host-right is stuck" weir_on left status --check
expect 4 '"word": "STUCK"' weir_on left status --check --json
expect 0 "down" weir_on left down
say "status, log, reload; --check says who is stuck and ends with 4"

# 7. weir-wg
expect 0 "weir-wg [0-9]" "$weir_wg" --version
expect 2 "usage" "$weir_wg"
expect 2 "unknown option" "$weir_wg" -x wg5
expect 2 "not an interface name" "$weir_wg" a/b
expect 1 "lo is taken" "$weir_wg" lo
"$weir_wg" wg5 || fail "weir-wg wg5"
[ -S /run/wireguard/wg5.sock ] && ip link show wg5 >/dev/null || fail "weir-wg returned too early"
expect 1 "already" "$weir_wg" wg5
expect 0 "wg5: DOWN" "$weir" status
expect 0 "down" "$weir" down wg5
ip link show wg5 >/dev/null 2>&1 && fail "weir down leaves wg5"
cat >$lab/fds.py <<'PY'
import fcntl, os, socket, struct, subprocess, sys
tun = os.open("/dev/net/tun", os.O_RDWR)
fcntl.ioctl(tun, 0x400454CA, struct.pack("16sH22x", b"wg6", 0x1001))  # TUNSETIFF: IFF_TUN, IFF_NO_PI
s = socket.socket(socket.AF_UNIX)
s.bind("/run/wireguard/wg6.sock")
s.listen(5)
for fd in tun, s.fileno():
    os.set_inheritable(fd, True)
env = dict(os.environ, WG_TUN_FD=str(tun), WG_UAPI_FD=str(s.fileno()))
sys.exit(subprocess.run([sys.argv[1], "wg6"], env=env, close_fds=False).returncode)
PY
python3 $lab/fds.py "$weir_wg" || fail "weir-wg with descriptors"
wg set wg6 listen-port 51999 || fail "wg set on a socket that was handed over"
ip link set wg6 up
until_true 20 sh -c "wg show wg6 listen-port | grep -q 51999" || fail "wg show: $(wg show wg6)"
ip link del wg6
until_true 20 test ! -e /run/weir/wg6.sock || fail "weir-wg outlives its interface"
say "weir-wg: usage, descriptors, returns when all is there, ends with the interface"
