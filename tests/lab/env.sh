#!/bin/sh
# weir-wg from outside: its environment, what it says when it cannot start, and that it returns when all is there.
. "$(dirname "$0")/lib.sh"
need wg ip python3 setpriv

sock=/run/wireguard
# expect EXIT-CODE PATTERN COMMAND...
expect() {
	ex_code=$1
	ex_pattern=$2
	shift 2
	rc=0
	timeout 20 "$@" >$lab/said 2>&1 </dev/null || rc=$?
	[ $rc = "$ex_code" ] || fail "$*: exit code $rc, not $ex_code: $(cat $lab/said)"
	[ -z "$ex_pattern" ] || grep -q -- "$ex_pattern" $lab/said || fail "$*: says $(cat $lab/said)"
}
gone() { # IFACE: nothing of it is left
	! ip link show "$1" && ! test -e $sock/"$1".sock && ! test -e /run/weir/"$1".sock
}

# 1. daemonising: no waiting for a condition after it has returned, and it holds none of our descriptors
begin=$(milliseconds)
said=$(LOG_LEVEL=verbose "$weir_wg" wg0 2>$lab/stderr) || fail "weir-wg: $(cat $lab/stderr)"
ip link show wg0 >/dev/null && wg show wg0 >/dev/null || fail "returned before all was there"
ms=$(($(milliseconds) - begin))
[ -z "$said" ] || fail "says on its output: $said"
said=$("$weir_wg" wg1 2>&1) || fail "weir-wg: $said"
wg show wg1 >/dev/null || fail "returned before all was there"
[ -z "$said" ] || fail "says without LOG_LEVEL: $said"
pid=$("$weir" status wg1 --json | jq .pid)
[ "$(ps -o ppid= -p "$pid" | tr -d ' ')" = 1 ] || fail "the daemon is still a child of ours"
[ "$(ps -o sid= -p "$pid" | tr -d ' ')" != "$(ps -o sid= -p $$ | tr -d ' ')" ] || fail "the daemon is in our session"
say "returns after $ms ms with everything there, and keeps no output open"
ip link del wg0
ip link del wg1
until_true 20 gone wg0 || fail "wg0 stays"
until_true 20 gone wg1 || fail "wg1 stays"

# 2. in the foreground, by option and by environment
for how in "-f wg2" "--foreground wg2" "wg2"; do
	front=0
	[ "$how" = wg2 ] && front=1
	# shellcheck disable=SC2086 # options, word by word
	env WG_PROCESS_FOREGROUND=$front "$weir_wg" $how >$lab/said 2>&1 &
	pid=$!
	until_true 20 test -S $sock/wg2.sock || fail "$how: no socket: $(cat $lab/said)"
	wg show wg2 >/dev/null
	kill -0 $pid || fail "$how: not in the foreground"
	kill -TERM $pid
	rc=0
	wait $pid || rc=$?
	[ $rc = 0 ] || fail "$how: SIGTERM ends it with $rc"
	gone wg2 >/dev/null 2>&1 || fail "$how: something is left"
done
WG_PROCESS_FOREGROUND=0 "$weir_wg" wg2 || fail "WG_PROCESS_FOREGROUND=0"
ip link del wg2
until_true 20 gone wg2 || fail "wg2 stays"
say "foreground by -f, --foreground and WG_PROCESS_FOREGROUND=1, and 0 when ended by SIGTERM"

# 3. how much it says
lines() { # LOG_LEVEL, or - for none
	: >$lab/said
	if [ "$1" = - ]; then
		env -u LOG_LEVEL "$weir_wg" -f wg3 >$lab/said 2>&1 &
	else
		env LOG_LEVEL="$1" "$weir_wg" -f wg3 >$lab/said 2>&1 &
	fi
	pid=$!
	until_true 20 test -S $sock/wg3.sock || fail "LOG_LEVEL=$1: no socket"
	wg set wg3 private-key $lab/zero/key
	ip link set wg3 up
	until_true 20 sh -c "wg show wg3 listen-port | grep -qv '^0$'" || fail "LOG_LEVEL=$1: not up"
	kill $pid
	wait $pid || true
	wc -l <$lab/said
}
host zero
keys zero
verbose=$(lines verbose)
debug=$(lines debug)
[ "$verbose" -ge 2 ] && [ "$debug" -ge 2 ] || fail "verbose says $verbose lines, debug $debug"
for level in error silent -; do
	n=$(lines $level)
	[ "$n" = 0 ] || fail "LOG_LEVEL=$level says $n lines: $(cat $lab/said)"
done
say "LOG_LEVEL: verbose and debug speak ($verbose lines), error and silent do not when nothing is wrong"

# 4. descriptors that are handed over: one, the other, both; in the foreground too; and such as are none
cat >$lab/fds.py <<'PY'
import fcntl, os, socket, struct, subprocess, sys
what, name, command = sys.argv[1], sys.argv[2], sys.argv[3:]
env = dict(os.environ)
keep = []
if "tun" in what:
    tun = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(tun, 0x400454CA, struct.pack("16sH22x", name.encode(), 0x1001))  # TUNSETIFF: IFF_TUN, IFF_NO_PI
    os.set_inheritable(tun, True)
    env["WG_TUN_FD"] = str(tun)
if "uapi" in what:
    s = socket.socket(socket.AF_UNIX)
    s.bind("/run/wireguard/%s.sock" % name)
    s.listen(5)
    os.set_inheritable(s.fileno(), True)
    env["WG_UAPI_FD"] = str(s.fileno())
if "null" in what:
    null = os.open("/dev/null", os.O_RDWR)
    os.set_inheritable(null, True)
    env["WG_TUN_FD"] = str(null)
sys.exit(subprocess.run(command, env=env, close_fds=False).returncode)
PY
for what in tun uapi tun+uapi; do
	expect 0 "" python3 $lab/fds.py $what wg4 "$weir_wg" wg4
	wg set wg4 private-key $lab/zero/key listen-port 51999 || fail "$what: wg set"
	ip link set wg4 up || fail "$what: no interface"
	until_true 20 sh -c "wg show wg4 listen-port | grep -q 51999" || fail "$what: wg show: $(wg show wg4)"
	until_true 20 sh -c "ss -lun | grep -q ':51999 '" || fail "$what: no port"
	ip link del wg4
	until_true 20 sh -c "! ss -lun | grep -q ':51999 '" || fail "$what: outlives its interface"
	until_true 20 test ! -e /run/weir/wg4.sock || fail "$what: outlives its interface"
	rm -f $sock/wg4.sock
done
expect 2 "WG_TUN_FD" env WG_TUN_FD=abc "$weir_wg" wg5
expect 2 "WG_UAPI_FD" env WG_UAPI_FD=-5 "$weir_wg" wg5
expect 1 "WG_TUN_FD\|descriptor" env WG_TUN_FD=99 "$weir_wg" wg5
expect 1 "WG_UAPI_FD\|descriptor\|socket" env WG_UAPI_FD=99 "$weir_wg" wg5
expect 1 "TUN" python3 $lab/fds.py null wg5 "$weir_wg" wg5
gone wg5 >/dev/null 2>&1 || fail "something is left of what could not start"
say "WG_TUN_FD and WG_UAPI_FD, alone and together; such as are none get a sentence"

# 5. what keeps it from starting: one sentence that says what to do, nothing left behind, in the foreground too
expect 0 "^weir-wg [0-9]" "$weir_wg" --version
expect 0 "usage" "$weir_wg" --help
expect 2 "usage" "$weir_wg"
expect 2 "usage" "$weir_wg" wg5 wg6
expect 2 "unknown option" "$weir_wg" --fore wg5
expect 2 "interface name" "$weir_wg" an-interface-name-too-long
# Root without any right.
bare="setpriv --bounding-set=-all --inh-caps=-all"
for front in "" "-f"; do
	# shellcheck disable=SC2086 # words
	expect 1 "root\|CAP_NET_ADMIN" $bare "$weir_wg" $front wg5
	expect 1 "modprobe tun" unshare --mount sh -c "mount -t tmpfs none /dev/net && exec $weir_wg $front wg5"
	expect 1 "not the TUN device" unshare --mount sh -c "mount --bind /dev/null /dev/net/tun && exec $weir_wg $front wg5"
	expect 1 "taken" "$weir_wg" $front lo
	ip link add wg6 type veth peer name wg6-peer
	expect 1 "wg6 is taken" "$weir_wg" $front wg6
	ip link del wg6
	"$weir_wg" wg6
	expect 1 "already" "$weir_wg" $front wg6
	wg show wg6 >/dev/null || fail "the second one took the first one's socket away"
	ip link del wg6
	until_true 20 gone wg6 || fail "wg6 stays"
	gone wg5 >/dev/null 2>&1 || fail "something is left of what could not start"
done
say "no rights, no TUN driver, a name that is taken, itself: a sentence each, exit code 1"

# 6. a port that is taken is told to wg and does not end the engine; once it is free, it is taken
cat >$lab/port.py <<'PY'
import socket, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("0.0.0.0", 51998))
open("/run/lab/bound", "w")
time.sleep(600)
PY
python3 $lab/port.py &
taken=$!
until_true 20 test -e $lab/bound || fail "the port is not taken"
env LOG_LEVEL=error "$weir_wg" -f wg7 >$lab/said 2>&1 &
pid=$!
until_true 20 test -S $sock/wg7.sock || fail "no socket"
wg set wg7 private-key $lab/zero/key
ip link set wg7 up
until_true 20 sh -c "wg show wg7 listen-port | grep -qv '^0$'" || fail "not up"
wg set wg7 listen-port 51998 2>$lab/err && fail "a port that is taken is set"
grep -qi "in use" $lab/err || fail "wg says: $(cat $lab/err)"
kill $taken
wait $taken || true
wg set wg7 listen-port 51998 || fail "a port that is free again"
[ "$(wg show wg7 listen-port)" = 51998 ] || fail "port $(wg show wg7 listen-port)"
rm $sock/wg7.sock
rc=0
wait $pid || rc=$?
[ $rc = 0 ] || fail "the end of its socket ends it with $rc"
say "a port that is taken is told to wg; the end of its socket is its end"
