#!/bin/sh
# OpenMetrics: weir metrics and the engine's exporter say the same, a strict parser takes it, and the process that speaks
# HTTP has no rights.
. "$(dirname "$0")/lib.sh"
need wg ping ip jq pgrep
# The first one may be somebody's own, without Debian's modules.
python=
for candidate in python3 /usr/bin/python3; do
	[ -n "$python" ] || ! $candidate -c "import prometheus_client.openmetrics" 2>/dev/null || python=$candidate
done
[ -n "$python" ] || {
	echo "skipped: prometheus_client is not installed"
	exit 77
}

host left right
cable left 192.0.2.1/24 right 192.0.2.2/24
keys left right
mkdir -p $lab/odd
keys odd
for side in left right; do
	if [ $side = left ]; then other=right n=1 m=2 place=127.0.0.1:9999; else other=left n=2 m=1 place=unix:metrics; fi
	cat >$lab/$side/wg0.conf <<CONF
[Interface]
PrivateKey = $(cat $lab/$side/key)
ListenPort = 51820
Address = 10.9.0.$n/24
Metrics = $place
[Peer]
Name = $other
Mode = plain
PublicKey = $(cat $lab/$other/pub)
Endpoint = 192.0.2.$m:51820
AllowedIPs = 10.9.0.$m/32, fd09::$m/128
CONF
done
cat >>$lab/left/wg0.conf <<CONF
[Peer]
PublicKey = $(cat $lab/odd/pub)
AllowedIPs = 10.9.0.9/32
CONF
chmod 600 $lab/*/wg0.conf
weir_start right $lab/right/wg0.conf
weir_start left $lab/left/wg0.conf --metrics 127.0.0.1:9586
until_true 20 pings left 10.9.0.2 1 || fail "no tunnel"

cat >$lab/get.py <<'PY'
import socket, sys
def get(where, path="/metrics", method="GET"):
    if where.startswith("unix:"):
        s = socket.socket(socket.AF_UNIX); s.connect(where[5:])
    else:
        host, port = where.rsplit(":", 1); s = socket.create_connection((host, int(port)))
    s.settimeout(20)
    s.sendall(f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    data = b""
    while True:
        more = s.recv(65536)
        if not more: break
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    return int(head.split()[1]), head.decode(), body.decode()
if __name__ == "__main__":
    status, head, body = get(sys.argv[1], *sys.argv[2:])
    sys.stdout.write(body if status == 200 else f"{status}\n")
PY
cat >$lab/check.py <<'PY'
import sys, json
sys.path.insert(0, "/run/lab")
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse
text, status = open(sys.argv[1]).read(), json.load(open(sys.argv[2]))
assert text.endswith("# EOF\n")
families = {f.name: f for f in parse(text)}
def of(family, sample, **labels):
    found = [s for s in families[family].samples if s.name == sample and all(s.labels.get(k) == v for k, v in labels.items())]
    assert len(found) == 1, (family, sample, labels, found)
    return found[0]
def need(ok, what):
    if not ok: sys.exit("not so: " + what)
dev = status["interface"]
need(of("wireguard_device", "wireguard_device_info", device=dev).labels["public_key"] == status["publicKey"], "device")
for p in status["peers"]:
    key = p["publicKey"]
    info = of("wireguard_peer", "wireguard_peer_info", public_key=key)
    need(info.labels == {"device": dev, "public_key": key, "endpoint": p["endpoint"], "name": p["name"]}, f"info {info}")
    allowed = {s.labels["allowed_ips"]: s.labels["family"] for s in families["wireguard_peer_allowed_ips"].samples
               if s.labels["public_key"] == key}
    need(allowed == {a: "IPv6" if ":" in a else "IPv4" for a in p["allowedIps"]}, f"allowed {allowed}")
    need(of("wireguard_peer_last_handshake_seconds", "wireguard_peer_last_handshake_seconds", public_key=key).value
         == int(p["latestHandshake"]), "handshake")
    for name, member in (("receive", "transferRx"), ("transmit", "transferTx")):
        v = of(f"wireguard_peer_{name}_bytes", f"wireguard_peer_{name}_bytes_total", public_key=key).value
        need(v <= p[member] <= v + 10000, f"{name} {v} {p[member]}")
    need(of("weir_peer_word", "weir_peer_word_info", public_key=key).labels["word"] == p["word"], "word")
    need(of("weir_peer_path", "weir_peer_path_info", public_key=key).labels["kind"] == p["path"]["kind"], "path")
right = next(p for p in status["peers"] if p["name"] == "right")
need(of("weir_peer_events", "weir_peer_events_total", public_key=right["publicKey"], event="handshake_done").value >= 1, "events")
need(of("weir_rejects", "weir_rejects_total", reason="mac1").value == 0, "rejects")
need(sum(s.value for s in families["weir_peers"].samples) == len(status["peers"]), "words")
need(of("weir_up", "weir_up").value == 1, "up")
need(families["weir_peer_events"].type == "counter" and families["wireguard_peer"].type == "info", "types")
PY
until_true 10 on left $python $lab/get.py 127.0.0.1:9586 || fail "no exporter"
on left $python $lab/get.py 127.0.0.1:9586 >$lab/http.txt
weir_on left metrics >$lab/metrics.txt || fail "weir metrics"
weir_on left status --json >$lab/status.json
for page in http metrics; do
	$python $lab/check.py $lab/$page.txt $lab/status.json || fail "$page: $(cat $lab/$page.txt)"
done
say "the names of wireguard_exporter and ours, taken by a strict parser, equal to status"

[ "$(on left $python $lab/get.py 127.0.0.1:9586 /)" = 404 ] || fail "another page"
[ "$(on left $python $lab/get.py 127.0.0.1:9586 /metrics POST)" = 405 ] || fail "another method"
$python $lab/get.py unix:$lab/right/metrics | tail -n 1 | grep -q "^# EOF" || fail "a Unix socket"
! on left $python $lab/get.py 127.0.0.1:9999 2>/dev/null || fail "the option does not win over the configuration"
say "by TCP and by a Unix socket; other pages and methods are refused"

weir_on right reload >$lab/out || fail "reload: $(cat $lab/out)"
! grep -q Metrics $lab/out || fail "told of a change that is none: $(cat $lab/out)"
sed -i 's/^Metrics = .*/Metrics = off/' $lab/right/wg0.conf
weir_on right reload >$lab/out || fail "reload: $(cat $lab/out)"
grep -q "Metrics is changed by a new start only" $lab/out || fail "not told that it stays: $(cat $lab/out)"
$python $lab/get.py unix:$lab/right/metrics | grep -q "^weir_up" || fail "a reload takes the exporter away"
sed -i 's/^Metrics = .*/Metrics = 127.0.0.1:1234/' $lab/left/wg0.conf
weir_on left reload >$lab/out || fail "reload: $(cat $lab/out)"
! grep -q Metrics $lab/out || fail "the option wins, but a change of the file is told: $(cat $lab/out)"
say "configured by the file, the option wins; a reload says that it takes a new start"

exporter=$(pgrep -P "$(cat $lab/left/pid)" weir-metrics) || fail "no process of the exporter"
grep -q "^CapPrm:.*0000000000000000" /proc/$exporter/status || fail "it has capabilities"
ls -l /proc/$exporter/fd >$lab/fds
! grep -q "tun\|lock" $lab/fds || fail "it has descriptors of the engine: $(cat $lab/fds)"
kill -KILL $exporter
until_true 10 grep -q "metrics exporter has ended (signal 9)" $lab/left/log || fail "its end is not told"
pings left 10.9.0.2 3 || fail "the tunnel needs the exporter"
ip netns exec left "$weir" metrics --listen 127.0.0.1:9587 --run-dir $lab/left >$lab/left/log.metrics 2>&1 &
standalone=$!
until_true 10 on left $python $lab/get.py 127.0.0.1:9587 || fail "no standalone exporter: $(cat $lab/left/log.metrics)"
weir_end left
rc=0
wait $standalone || rc=$?
[ $rc = 0 ] || fail "the exporter's end: exit code $rc"
say "no rights, no descriptors; the tunnel outlives it, and it ends with the engine"

rc=0
on left "$weir" --headless $lab/left/wg0.conf --run-dir $lab/left --metrics nowhere >$lab/out 2>&1 || rc=$?
[ $rc = 2 ] && grep -q "ADDRESS:PORT or unix:PATH" $lab/out || fail "a place that is none: $rc $(cat $lab/out)"
rc=0
on right "$weir" --headless $lab/right/wg0.conf --run-dir $lab/right --metrics unix:$lab/right/metrics >$lab/out 2>&1 || rc=$?
[ $rc = 1 ] && grep -q "serves there already" $lab/out || fail "a place that is taken: $rc $(cat $lab/out)"
$python $lab/get.py unix:$lab/right/metrics | grep -q "^weir_up" || fail "a second engine took the first one's place"
say "a place that is none, and one that is taken"
