"""Tests of `weir relay`: relay.py WEIR FOLDER all|basic. Runs in a network namespace of its own: ports are fixed."""
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request

sys.path.insert(0, os.path.dirname(__file__))
from relay_ws import *  # noqa: E402,F403

WEIR, FOLDER, WHAT = sys.argv[1:4]
AT = ("127.0.0.1", 8443)
STATUS = "http://127.0.0.1:9090"
SECRET = os.path.join(FOLDER, "relay-secret")
TOKEN = token("supersecret")
with open(os.path.join(os.path.dirname(WEIR), "config.h")) as config:
    SANITIZED = "WEIR_SANITIZED 1" in config.read()  # which keeps what was freed for a while


class Server:
    """A server that runs as long as the with block."""

    def __init__(self, *options):
        self.options = options

    def __enter__(self):
        with open(SECRET, "w") as f:
            f.write("supersecret\n")
        os.chmod(SECRET, 0o644)
        self.log = os.path.join(FOLDER, "relay.log")
        out = open(self.log, "w")
        self.process = subprocess.Popen(
            [WEIR, "relay", "--listen", "%s:%d" % AT, "--secret-file", SECRET, *self.options], stdout=out, stderr=out)
        self.wait("serving ")
        return self

    def text(self):
        with open(self.log) as f:
            return f.read()

    def wait(self, words, seconds=10):
        wait(lambda: words in self.text() or self.process.poll() is not None, seconds, words)
        assert words in self.text(), f"no {words!r} in:\n{self.text()}"

    def status(self):
        with urllib.request.urlopen(STATUS + "/status.json", timeout=5) as f:
            return json.load(f)

    def ended(self, reason):
        return self.status()["ended"][reason]

    def rss(self):
        with open(f"/proc/{self.process.pid}/status") as f:
            return int(re.search(r"VmRSS:\s+(\d+)", f.read())[1])

    def signal(self, number):
        self.process.send_signal(number)

    def __exit__(self, kind, value, trace):
        if self.process.poll() is None:
            self.process.terminate()
        try:
            code = self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        if kind or code:
            sys.stderr.write(self.text()[-4000:])
        assert kind or code == 0, f"exit {code}"


def wait(condition, seconds=10, what="a condition"):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"{what} did not come true"
        time.sleep(0.02)


def client(name, **how):
    c = Client(AT, **how)
    c.login(name, TOKEN)
    return c


def http(path, base=STATUS):
    try:
        with urllib.request.urlopen(base + path, timeout=5) as f:
            return f.status, f.read().decode()
    except urllib.error.HTTPError as e:
        return e.code, e.read().decode()


def test_vectors(s):
    """The published id and token, byte by byte."""
    c = Client(AT)
    auth = ("0106" "2112a442" "7368612d492a9e8a6c5cbf8aca35e8e419a21671e2e07d41eb77dd3424926793cc65899b"
            "01e11380ca629cadc0d94b126887878a2c42c6acabd74ef0443fc14efa172a1214" "31383933343536303030")
    c.send(bytes.fromhex(auth))
    assert c.expect(AUTH_RESPONSE) == b"rel://127.0.0.1:8443"
    assert s.status()["clients"][0]["id"] == "sha-SSqeimxcv4rKNejkGaIWceLgfUHrd900JJJnk8xliZs="
    c.send(b"are you there", opcode=9)
    c.message(SUBSCRIBE, c.id if hasattr(c, "id") else bytes.fromhex(auth)[6:42])
    c.expect(ONLINE)
    assert c.pongs == 1
    c.message(CLOSE)
    assert c.gone()
    wait(lambda: s.ended("by_client") == 1)


def test_transport(s):
    a, b = client("a"), client("b")
    for size in (0, 1, 79, 80, 87, 88, 1420, 8782):
        a.transport(b.id, bytes([size & 255]) * size)
        assert b.expect(TRANSPORT) == a.id + bytes([size & 255]) * size
    b.transport(a.id, b"back")
    assert a.expect(TRANSPORT) == b.id + b"back"
    # A whole train in one TCP segment, and one message in many.
    a.raw(b"".join(a.frame(bytes([1, TRANSPORT]) + b.id + b"%d" % i) for i in range(500)))
    for i in range(500):
        assert b.expect(TRANSPORT) == a.id + b"%d" % i
    for byte in a.frame(bytes([1, TRANSPORT]) + b.id + b"slowly" * 30):
        a.raw(bytes([byte]))
    assert b.expect(TRANSPORT) == a.id + b"slowly" * 30
    before = s.status()["dropped"]["absent"]
    a.transport(peer_id("nobody"), b"x")
    wait(lambda: s.status()["dropped"]["absent"] == before + 1)


def refused(s, reason, act, logged_in=False):
    before = s.ended(reason)
    c = client("bad") if logged_in else Client(AT)
    try:
        act(c)
    except Gone:
        pass
    assert c.gone(), f"{reason}: not closed"
    wait(lambda: s.ended(reason) == before + 1, what=f"a count of {reason}")


def test_refusals(s):
    auth = bytes([1, AUTH]) + MAGIC + peer_id("x")
    refused(s, "token_wrong", lambda c: c.send(auth + token("other")))
    refused(s, "token_expired", lambda c: c.send(auth + token("supersecret", time.time() - 2)))
    refused(s, "token_malformed", lambda c: c.send(auth + b"\x02" + TOKEN[1:]))
    refused(s, "bad_magic", lambda c: c.send(bytes([1, AUTH, 0, 0, 0, 0]) + peer_id("x") + TOKEN))
    refused(s, "not_logged_in", lambda c: c.transport(peer_id("y"), b"early"))
    refused(s, "not_logged_in", lambda c: c.message(HEALTH))
    refused(s, "too_long", lambda c: c.send(auth + b"\x01" + b"9" * 200))
    for logged_in in (False, True):
        refused(s, "empty", lambda c: c.send(b""), logged_in)
        refused(s, "bad_version", lambda c: c.send(bytes([2, HEALTH])), logged_in)
        refused(s, "bad_type", lambda c: c.send(bytes([1, 1])), logged_in)
        refused(s, "bad_type", lambda c: c.send(bytes([1, 12])), logged_in)
        refused(s, "text", lambda c: c.send(bytes([1, HEALTH]), opcode=1), logged_in)
        refused(s, "fragmented", lambda c: c.send(bytes([1, HEALTH]), final=False), logged_in)
    refused(s, "bad_type", lambda c: c.message(ONLINE, c.id), True)
    refused(s, "bad_length", lambda c: c.message(SUBSCRIBE, c.id + b"x"), True)
    refused(s, "bad_length", lambda c: c.message(TRANSPORT, b"short"), True)
    refused(s, "too_long", lambda c: c.transport(c.id, b"x" * 8783), True)
    # The declared length is enough; nobody has to wait for a terabyte.
    refused(s, "too_long", lambda c: c.raw(b"\x82\xff" + struct.pack(">Q", 1 << 40) + b"mask" + b"x"), True)


def test_http(s):
    base = "http://%s:%d" % AT
    assert http("/", base)[0] == 404
    assert http("/relay", base)[0] == 426
    for path in ("/", "/relay/", "/relayx", "/Relay"):
        try:
            Client(AT, path=path)
            raise AssertionError(f"{path} was upgraded")
        except Gone as e:
            assert "404" in str(e), e
    assert http("/health") == (200, "ok\n")
    assert http("/nothing")[0] == 404
    metrics = http("/metrics")[1]
    assert metrics.endswith("# EOF\n") and "weir_relay_logins_total " in metrics
    assert "supersecret" not in metrics + json.dumps(s.status())
    wait(lambda: s.status()["sessions"] == 0)


def test_presence(s):
    a, b = client("a"), client("b")
    a.message(SUBSCRIBE, peer_id("c") + b.id)
    a.expect(ONLINE, b.id)  # who is there already, at once
    c = client("c")
    a.expect(ONLINE, c.id)
    c.close()
    a.expect(OFFLINE, c.id)
    c = client("c")  # online interest fired: not told again
    c.transport(a.id, b"here")
    a.expect(TRANSPORT, c.id + b"here")
    c.close()
    a.expect(OFFLINE, c.id)  # offline every time
    a.message(SUBSCRIBE, peer_id("c"))
    c = client("c")
    a.expect(ONLINE, c.id)
    a.message(UNSUBSCRIBE, c.id)
    a.transport(a.id, b"mark")
    a.expect(TRANSPORT)
    c.close()
    wait(lambda: s.status()["sessions"] == 2)
    assert a.quiet(0.3)
    # Gone and back, again and again: never in the wrong order, each fact a change.
    a.message(SUBSCRIBE, peer_id("d"))
    for _ in range(30):
        d = client("d")
        a.expect(ONLINE, d.id)
        a.message(SUBSCRIBE, d.id)
        a.expect(ONLINE, d.id)
        d.close()
        a.expect(OFFLINE, d.id)
        a.message(SUBSCRIBE, d.id)
        a.transport(a.id, b"mark")
        a.expect(TRANSPORT)


def test_same_key(s):
    watcher = client("watcher")
    older = client("twin")
    watcher.message(SUBSCRIBE, older.id)
    watcher.expect(ONLINE, older.id)
    newer = client("twin")
    older.expect(CLOSE)
    assert older.gone()
    watcher.transport(newer.id, b"to whom")
    newer.expect(TRANSPORT, watcher.id + b"to whom")
    watcher.transport(watcher.id, b"mark")
    kinds = []
    while TRANSPORT not in kinds:
        kinds.append(watcher.receive()[0])
    assert OFFLINE not in kinds, kinds
    for _ in range(3):
        newer = client("twin")
    s.wait("two hosts use the key of")
    assert s.status()["duels"] >= 1
    assert any(c.get("rival") for c in s.status()["clients"])


def test_slow_receiver(s):
    a, slow, quick = client("a"), client("slow"), client("quick")
    payload = b"x" * 1400
    for i in range(3000):  # 4 MB into somebody who does not read
        a.transport(slow.id, payload)
        if i % 100 == 0:
            a.transport(quick.id, b"%d" % i)
            assert quick.expect(TRANSPORT) == a.id + b"%d" % i
    wait(lambda: s.status()["dropped"]["queue"] > 0 or s.status()["queued_bytes"] == 0)
    start = time.monotonic()
    for _ in range(20):
        a.transport(quick.id, b"ping")
        quick.expect(TRANSPORT)
    assert time.monotonic() - start < 2, "a slow receiver stalls others"
    # What was not dropped comes, in order, and then new messages do.
    got = 0
    slow.sock.settimeout(10)
    a.transport(slow.id, b"last")
    while True:
        body = slow.expect(TRANSPORT)[36:]
        if body != payload:
            break
        got += 1
    assert got >= 300, got


def test_limits():
    with Server("--max-per-address", "3", "--login-time", "1", "--stun", "off"):
        held = [client(str(i)) for i in range(3)]
        try:
            assert Client(AT).gone(), "one too many"
        except (Gone, OSError):
            pass
        held.pop().close()
        end = time.monotonic() + 5
        while True:
            try:
                c = client("again")
                break
            except (Gone, OSError):
                assert time.monotonic() < end, "the address stays full"
                time.sleep(0.05)
        c.close()
        for c in held:
            c.close()
    with Server("--login-time", "1", "--stun", "off") as s:
        silent = [Client(AT, upgrade=False), Client(AT, upgrade=False), Client(AT)]
        silent[1].raw(b"GET /relay HTTP/1.1\r\nHost: x\r\n")
        start = time.monotonic()
        for c in silent:
            assert c.gone(4), "nobody cut a silent client"
        assert 0.5 < time.monotonic() - start < 4
        assert s.ended("no_login") >= 3
        big = Client(AT, upgrade=False)
        try:
            big.raw(b"GET /relay HTTP/1.1\r\n" + b"X-Long: " + b"y" * 70000)
        except Gone:
            pass
        assert big.gone(), "endless headers"
    with Server("--rate", "100000", "--stun", "off") as s:
        a, b = client("a"), client("b")
        start = time.monotonic()
        sender = threading.Thread(target=lambda: [a.transport(b.id, b"%04d" % i + b"x" * 996) for i in range(250)])
        sender.start()
        for i in range(250):
            assert b.expect(TRANSPORT)[36:40] == b"%04d" % i, "paused, not dropped"
        sender.join()
        passed = time.monotonic() - start
        assert passed > 1.5, f"250 kB at 100 kB/s in {passed:.2f} s"
        assert s.status()["rate_pauses"] > 0


def test_health():
    with Server("--time-divisor", "50", "--stun", "off") as s:  # checks every 0.5 s, an answer within 0.4 s
        good, dead = client("good"), client("dead")
        start = time.monotonic()
        good.message(SUBSCRIBE, dead.id)
        good.expect(ONLINE)
        seen = 0
        while seen < 4:
            kind, _ = good.receive()
            if kind == HEALTH:
                good.message(HEALTH)
                seen += 1
            else:
                assert kind == OFFLINE
                assert 0.8 < time.monotonic() - start < 3, "cut too early, or too late"
                dead = None
        assert dead is None, "a client that never answers is still there"
        assert s.ended("silent") == 1 and s.status()["sessions"] == 1


def test_reload():
    keys = [base64.b64encode(bytes([n]) * 32).decode() for n in (1, 2)]
    allow = os.path.join(FOLDER, "relay-allow")

    def write(*lines):
        with open(allow, "w") as f:
            f.write("# who may\n" + "\n".join(lines) + "\n")
        os.chmod(allow, 0o644)

    write(keys[0] + "  # the first")
    with Server("--allow", allow, "--stun", "off") as s:
        first = client(keys[0])
        try:
            client(keys[1])
            raise AssertionError("not in the list, and let in")
        except Gone:
            assert s.ended("not_allowed") == 1
        write(*keys)
        with open(SECRET, "w") as f:
            f.write("another")
        s.signal(signal.SIGHUP)
        s.wait("read again")
        c = Client(AT)
        c.login(keys[1], token("another"))
        first.transport(c.id, b"still here")  # who is logged in stays
        c.expect(TRANSPORT)
        try:
            client(keys[0])
            raise AssertionError("the old secret still works")
        except Gone:
            pass
        write("nonsense")
        s.signal(signal.SIGHUP)
        s.wait("what was read before stays in use")
        c = Client(AT)
        c.login(keys[1], token("another"))


def certificate(name):
    cert, key = os.path.join(FOLDER, "relay.crt"), os.path.join(FOLDER, "relay.key")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
                    key, "-out", cert, "-days", "2", "-subj", "/CN=" + name], check=True, stderr=subprocess.DEVNULL)
    os.chmod(key, 0o644)
    return cert, key


def test_tls():
    cert, key = certificate("one.example")
    with Server("--cert", cert, "--key", key, "--stun", "off") as s:
        a, b = client("a", tls=True), client("b", tls=True)
        for size in (0, 1400, 8782):
            a.transport(b.id, b"t" * size)
            b.expect(TRANSPORT, a.id + b"t" * size)
        assert s.status()["instance"] == "rels://127.0.0.1:8443"
        try:
            client("plain").close()
            raise AssertionError("no TLS, and let in")
        except (Gone, OSError):
            pass
        one = a.sock.getpeercert(True)
        certificate("two.example")
        s.signal(signal.SIGHUP)
        s.wait("read again")
        assert client("c", tls=True).sock.getpeercert(True) != one, "the old certificate is still shown"
        a.transport(b.id, b"still here")
        b.expect(TRANSPORT)


def test_drain():
    with Server("--stun", "off") as s:
        a = client("a")
        nobody = Client(AT)
        s.signal(signal.SIGTERM)
        a.expect(CLOSE)
        assert a.gone() and nobody.gone()
        assert s.process.wait(5) == 0
    with Server("--stun", "off") as s:
        deaf = client("deaf")
        deaf.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        s.signal(signal.SIGTERM)
        assert s.process.wait(10) == 0


def test_proxy():
    with Server("--trust-proxy", "--max-per-address", "2", "--stun", "off", "--url", "rels://relay.example") as s:
        held = [client(str(i), headers="X-Real-Ip: 198.51.100.%d\r\n" % (i % 3)) for i in range(6)]
        try:
            client("seventh", headers="X-Real-Ip: 198.51.100.1\r\n")
            raise AssertionError("one too many of an address behind the proxy")
        except Gone:
            pass
        assert s.status()["clients"][0]["address"].startswith("198.51.100.0")
        assert s.status()["instance"] == "rels://relay.example"
        del held


def test_stun():
    with Server("--stun", "127.0.0.1:3478") as s:
        u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        u.settimeout(5)
        u.connect(("127.0.0.1", 3478))
        port = u.getsockname()[1]
        transaction = os.urandom(12)
        u.send(bytes.fromhex("000100002112a442") + transaction)
        answer = u.recv(200)
        assert answer[:2] == b"\x01\x01" and answer[8:20] == transaction
        assert answer[20:28] == bytes.fromhex("00200008" "0001") + struct.pack(">H", port ^ 0x2112)
        assert answer[28:32] == bytes(x ^ y for x, y in zip(bytes([127, 0, 0, 1]), bytes.fromhex("2112a442")))
        assert answer[32:] == bytes.fromhex("000100080001") + struct.pack(">H", port) + bytes([127, 0, 0, 1])
        old = os.urandom(16)
        u.send(bytes.fromhex("00010000") + old)
        assert u.recv(200) == bytes.fromhex("0101000c") + old + answer[32:]
        for other in (answer, b"", b"x" * 100, bytes.fromhex("011100002112a442") + transaction,
                      bytes.fromhex("001100002112a442") + transaction):
            u.send(other)
        u.settimeout(0.3)
        try:
            raise AssertionError(f"an answer to what is no request: {u.recv(200)}")
        except (socket.timeout, TimeoutError):
            pass
        for _ in range(300):
            u.send(bytes.fromhex("000100002112a442") + transaction)
        wait(lambda: s.status()["stun"]["limited"] > 200)


def test_both_families():
    with Server("--listen", "[::]:8443", "--stun", "[::]:3478", "--url", "relay.example:8443") as s:
        a = client("a")
        b = Client(("::1", 8443))
        b.login("b", TOKEN)
        a.transport(b.id, b"across")
        b.expect(TRANSPORT, a.id + b"across")
        status = s.status()
        assert status["instance"] == "rel://relay.example:8443"
        shown = sorted(c["address"].rsplit(":", 1)[0] for c in status["clients"])
        assert shown == ["127.0.0.1", "[::1]"], shown
        for family, at, kind in ((socket.AF_INET, "127.0.0.1", 1), (socket.AF_INET6, "::1", 2)):
            u = socket.socket(family, socket.SOCK_DGRAM)
            u.settimeout(5)
            u.connect((at, 3478))
            u.send(bytes.fromhex("000100002112a442") + os.urandom(12))
            assert u.recv(200)[25] == kind
            other_port(family, at)


def attributes(answer):
    found, i = {}, 20
    while i < len(answer):
        kind, length = struct.unpack_from(">HH", answer, i)
        found[kind] = answer[i + 4:i + 4 + length]
        i += 4 + (length + 3) // 4 * 4
    return found


def other_port(family, at):
    """RFC 5780 on a socket for all addresses: the second port, as the address that was asked has it."""
    u = socket.socket(family, socket.SOCK_DGRAM)
    u.settimeout(5)
    u.bind((at, 0))
    plain = b"\0" + bytes([1 if family == socket.AF_INET else 2])
    place = lambda port: plain + struct.pack(">H", port) + socket.inet_pton(family, at)
    for flags, source in ((0, 3478), (2, 3479)):
        head = bytes.fromhex("000100082112a442") + os.urandom(12)
        u.sendto(head + bytes.fromhex("00030004") + struct.pack(">I", flags), (at, 3478))
        answer, sender = u.recvfrom(200)
        found = attributes(answer)
        assert answer[:2] == b"\x01\x01" and answer[8:20] == head[8:] and sender[:2] == (at, source), sender
        assert found[0x802c] == place(3479) and found[0x802b] == place(source), found
    u.sendto(bytes.fromhex("000100082112a442") + os.urandom(12) + bytes.fromhex("0003000400000002"), (at, 3479))
    assert u.recvfrom(200)[1][:2] == (at, 3478)
    u.sendto(bytes.fromhex("000100082112a442") + os.urandom(12) + bytes.fromhex("0003000400000004"), (at, 3478))
    assert u.recv(200)[:2] == b"\x01\x11", "there is no other address"


def test_full():
    with Server("--max-clients", "2", "--stun", "off") as s:
        held = [client("a"), client("b")]
        try:
            client("c")
            raise AssertionError("one too many")
        except Gone:
            assert s.ended("full") == 1
        again = client("a")  # takes a place that is its own
        held[0].expect(CLOSE)
        again.transport(held[1].id, b"x")
        held[1].expect(TRANSPORT)


def ghost_begins(s):
    """A client whose packets vanish; with data on its way to it the kernel gives it up after 20 s."""
    ghost = client("ghost", source=("127.0.0.2", 0))
    subprocess.run(["nft", "add table ip ghost; add chain ip ghost out { type filter hook output priority 0; };"
                    "add rule ip ghost out ip daddr 127.0.0.2 drop; add rule ip ghost out ip saddr 127.0.0.2 drop"],
                   check=True)
    a = client("a")
    a.message(SUBSCRIBE, ghost.id)
    a.expect(ONLINE)
    a.transport(ghost.id, b"into the void")
    return a, ghost, time.monotonic()


def ghost_ends(a, start):
    a.sock.settimeout(30)
    while a.receive()[0] != OFFLINE:
        pass
    passed = time.monotonic() - start
    assert passed < 27, f"a ghost lived for {passed:.1f} s"
    subprocess.run(["nft", "delete table ip ghost"], check=True)


def test_flood():
    """Ten thousand bad connections leave nothing behind."""
    junk = (b"", b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00\x01", b"GET /relay HTTP/1.1\r\nHost: x\r\n",
            b"x" * 3000, None)

    def bad(count):
        for i in range(count):
            j = junk[i % len(junk)]
            try:
                c = Client(AT, upgrade=j is None)
                if j is None:
                    c.send(bytes([1, AUTH]) + MAGIC + peer_id(str(i)) + token("wrong"))
                    c.gone()
                else:
                    c.raw(j)
                c.close()
            except (Gone, OSError):
                pass

    def settle(s):
        wait(lambda: s.status()["sessions"] == 0, 20, "the end of all sessions")
        return s.rss()

    with Server("--stun", "off", "--login-time", "2") as s:
        bad(2000)
        before = settle(s)
        bad(10000)
        after = settle(s)
        print(f"# memory before and after 10,000 bad connections: {before} KiB, {after} KiB")
        assert SANITIZED or after - before < 3000, f"{before} KiB grew to {after} KiB"
        client("fine").close()


def main():
    basic = [test_vectors, test_transport, test_refusals, test_http, test_presence, test_same_key, test_slow_receiver]
    own = [test_limits, test_health, test_reload, test_tls, test_drain, test_proxy, test_stun,
           test_both_families, test_full, test_flood]

    for test in basic:
        with Server("--stun", "off") as s:
            test(s)
            if WHAT == "basic":
                assert "no libuv" in s.text() and s.status()["event_loop"] == "poll"
            else:
                assert s.status()["event_loop"] == "uv"
        print("#", test.__name__, flush=True)
    if WHAT == "basic":
        return
    with Server("--stun", "off") as s:
        a, ghost, start = ghost_begins(s)
        ghost_ends(a, start)
        print("# ghost", flush=True)
    for test in own:
        test()
        print("#", test.__name__, flush=True)


main()
