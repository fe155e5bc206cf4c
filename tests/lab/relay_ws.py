"""A relay client by hand: WebSocket (RFC 6455) and relay protocol v1 with the standard library alone, so that tests can
send what a well-behaved client never would."""
import base64
import hashlib
import hmac
import os
import socket
import ssl
import struct
import time

TRANSPORT, CLOSE, HEALTH, AUTH, AUTH_RESPONSE, SUBSCRIBE, UNSUBSCRIBE, ONLINE, OFFLINE = range(3, 12)
MAGIC = bytes.fromhex("2112a442")


def peer_id(text):
    return b"sha-" + hashlib.sha256(text.encode()).digest()


def token(secret, expiry=None):
    payload = str(int(expiry if expiry is not None else time.time() + 3600)).encode()
    key = hashlib.sha256(secret.encode()).digest()
    return b"\x01" + hmac.new(key, payload, hashlib.sha256).digest() + payload


class Gone(Exception):
    """The server closed the connection."""


class Client:
    def __init__(self, address, path="/relay", tls=False, timeout=10, headers="", source=None, upgrade=True):
        self.sock = socket.create_connection(address, timeout, source_address=source)
        if tls:
            context = ssl._create_unverified_context()
            self.sock = context.wrap_socket(self.sock)
        self.buffer = b""
        self.pongs = 0
        if upgrade:
            self.upgrade(address, path, headers)

    def upgrade(self, address, path, headers):
        key = base64.b64encode(os.urandom(16)).decode()
        self.sock.sendall(
            (f"GET {path} HTTP/1.1\r\nHost: {address[0]}:{address[1]}\r\nUpgrade: websocket\r\n"
             f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n{headers}\r\n").encode())
        while b"\r\n\r\n" not in self.buffer:
            self.more()
        head, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
        self.status = int(head.split()[1])
        if self.status != 101:
            raise Gone(f"HTTP {self.status}")
        wanted = base64.b64encode(hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest())
        assert wanted in head, head

    def more(self):
        try:
            data = self.sock.recv(65536)
        except (ConnectionError, ssl.SSLError) as e:
            raise Gone(str(e)) from e
        if not data:
            raise Gone("end of stream")
        self.buffer += data

    def need(self, n):
        while len(self.buffer) < n:
            self.more()
        out, self.buffer = self.buffer[:n], self.buffer[n:]
        return out

    @staticmethod
    def frame(data, opcode=2, final=True, masked=True):
        mask = os.urandom(4)
        length = len(data)
        head = bytes([(0x80 if final else 0) | opcode])
        bit = 0x80 if masked else 0
        if length < 126:
            head += bytes([bit | length])
        elif length < 65536:
            head += bytes([bit | 126]) + struct.pack(">H", length)
        else:
            head += bytes([bit | 127]) + struct.pack(">Q", length)
        if not masked:
            return head + data
        whole = (mask * (length // 4 + 1))[:length]
        return head + mask + (int.from_bytes(data, "big") ^ int.from_bytes(whole, "big")).to_bytes(length, "big")

    def raw(self, data):
        try:
            self.sock.sendall(data)
        except (ConnectionError, ssl.SSLError) as e:
            raise Gone(str(e)) from e

    def send(self, message, **how):
        self.raw(self.frame(message, **how))

    def message(self, kind, body=b""):
        self.send(bytes([1, kind]) + body)

    def transport(self, to, payload):
        self.message(TRANSPORT, to + payload)

    def receive(self):
        """The next message (type, body); pongs are counted aside, a WebSocket close is the end."""
        while True:
            first, second = self.need(2)
            assert not second & 0x80, "a server's frame is masked"
            length = second & 0x7f
            if length == 126:
                length = struct.unpack(">H", self.need(2))[0]
            elif length == 127:
                length = struct.unpack(">Q", self.need(8))[0]
            data = self.need(length)
            if first & 0xf == 8:
                raise Gone("WebSocket close")
            if first & 0xf == 10:
                self.pongs += 1
                continue
            assert first == 0x82, f"frame {first:#x}"
            assert data[0] == 1, data
            return data[1], data[2:]

    def expect(self, kind, body=None):
        got = self.receive()
        assert got[0] == kind and body in (None, got[1]), f"wanted {kind} {body!r}, got {got!r}"
        return got[1]

    def login(self, name, tok):
        self.id = peer_id(name)
        self.message(AUTH, MAGIC + self.id + tok)
        return self.expect(AUTH_RESPONSE)

    def gone(self, within=5):
        """True when the server ends the connection; what it says before does not matter."""
        self.sock.settimeout(within)
        try:
            while True:
                self.receive()
        except Gone:
            return True
        except (socket.timeout, TimeoutError):
            return False

    def quiet(self, seconds):
        """True when nothing comes for so long."""
        self.sock.settimeout(seconds)
        try:
            self.receive()
            return False
        except (socket.timeout, TimeoutError):
            return True
        finally:
            self.sock.settimeout(10)

    def close(self):
        self.sock.close()
