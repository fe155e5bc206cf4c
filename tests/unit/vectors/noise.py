#!/usr/bin/env python3
"""Writes noise_vectors.h: WireGuard handshakes and cookies with fixed keys, computed from the paper.

Nothing here is shared with the program: BLAKE2s is hashlib's, and X25519 (RFC 7748), ChaCha20-Poly1305 (RFC 8439)
and HChaCha20 are written out below. Each is checked against the example of its own document first.

usage: noise.py > noise_vectors.h
"""

import hashlib
import struct

# ---- X25519, RFC 7748 section 5

P = 2**255 - 19


def clamp(secret):
    b = bytearray(secret)
    b[0] &= 248
    b[31] = b[31] & 127 | 64
    return bytes(b)


def x25519(secret, point):
    k = int.from_bytes(clamp(secret), "little")
    x1 = int.from_bytes(point, "little") & (2**255 - 1)
    x2, z2, x3, z3, swap = 1, 0, x1, 1, 0
    for t in reversed(range(255)):
        bit = k >> t & 1
        if swap ^ bit:
            x2, x3, z2, z3 = x3, x2, z3, z2
        swap = bit
        a, b, c, d = x2 + z2, x2 - z2, x3 + z3, x3 - z3
        aa, bb, da, cb = a * a % P, b * b % P, d * a % P, c * b % P
        e = aa - bb
        x3, z3 = (da + cb) ** 2 % P, x1 * (da - cb) ** 2 % P
        x2, z2 = aa * bb % P, e * (aa + 121665 * e) % P
    if swap:
        x2, z2 = x3, z3
    return (x2 * pow(z2, P - 2, P) % P).to_bytes(32, "little")


def public(secret):
    return x25519(secret, (9).to_bytes(32, "little"))


# ---- ChaCha20-Poly1305, RFC 8439 section 2; XChaCha20 as in draft-irtf-cfrg-xchacha-03


def rounds(state):
    x = list(state)

    def quarter(a, b, c, d):
        for a, b, d, n in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
            x[a] = x[a] + x[b] & 0xFFFFFFFF
            v = x[d] ^ x[a]
            x[d] = (v << n | v >> 32 - n) & 0xFFFFFFFF

    for _ in range(10):
        for i in range(4):
            quarter(i, 4 + i, 8 + i, 12 + i)
        for i in range(4):
            quarter(i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4)
    return x


SIGMA = struct.unpack("<4I", b"expand 32-byte k")


def block(key, counter, nonce):
    state = SIGMA + struct.unpack("<8I", key) + (counter,) + struct.unpack("<3I", nonce)
    return struct.pack("<16I", *((a + b) & 0xFFFFFFFF for a, b in zip(state, rounds(state))))


def poly1305(key, message):
    r = int.from_bytes(key[:16], "little") & 0x0FFFFFFC0FFFFFFC0FFFFFFC0FFFFFFF
    total = 0
    for i in range(0, len(message), 16):
        total = (total + int.from_bytes(message[i : i + 16] + b"\1", "little")) * r % (2**130 - 5)
    return ((total + int.from_bytes(key[16:], "little")) % 2**128).to_bytes(16, "little")


def seal(key, nonce, plain, ad):
    stream = b"".join(block(key, 1 + i, nonce) for i in range(len(plain) // 64 + 1))
    sealed = bytes(a ^ b for a, b in zip(plain, stream))
    pad = lambda b: b + bytes(-len(b) % 16)
    text = pad(ad) + pad(sealed) + struct.pack("<QQ", len(ad), len(sealed))
    return sealed + poly1305(block(key, 0, nonce)[:32], text)


def hchacha20(key, nonce):
    x = rounds(SIGMA + struct.unpack("<8I", key) + struct.unpack("<4I", nonce))
    return struct.pack("<8I", *x[:4], *x[12:])


def xseal(key, nonce, plain, ad):
    return seal(hchacha20(key, nonce[:16]), bytes(4) + nonce[16:], plain, ad)


# ---- BLAKE2s, HMAC, KDF: paper section 5.4


def hash_(*parts):
    return hashlib.blake2s(b"".join(parts)).digest()


def mac(key, data):
    return hashlib.blake2s(data, key=key, digest_size=16).digest()


def hmac(key, data):
    key = key + bytes(64 - len(key))
    inner = hash_(bytes(k ^ 0x36 for k in key), data)
    return hash_(bytes(k ^ 0x5C for k in key), inner)


def kdf(n, chaining, data):
    secret, out = hmac(chaining, data), []
    for i in range(1, n + 1):
        out.append(hmac(secret, (out[-1] if out else b"") + bytes([i])))
    return out


def aead(key, plain, ad):
    return seal(key, bytes(12), plain, ad)


def check_primitives():
    h = bytes.fromhex
    assert x25519(
        h("a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4"),
        h("e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c"),
    ) == h("c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552")
    text = (
        b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, "
        b"sunscreen would be it."
    )
    key = bytes(range(0x80, 0xA0))
    ad = h("50515253c0c1c2c3c4c5c6c7")
    sealed = seal(key, h("070000004041424344454647"), text, ad)
    assert sealed[:16] == h("d31a8d34648e60db7b86afbc53ef7ec2") and sealed[-16:] == h("1ae10b594f09e26a7e902ecbd0600691")
    assert hchacha20(bytes(range(32)), h("000000090000004a0000000031415927")) == h(
        "82413b4227b27bfed30e42508a877d73a0f9e4d58a74a853c12ec41326d3ecdc"
    )
    assert xseal(key, bytes(range(0x40, 0x58)), text, ad)[-16:] == h("c0875924c1c7987947deafd8780acf49")


# ---- the handshake, paper sections 5.4.2 to 5.4.5

CONSTRUCTION = b"Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s"
IDENTIFIER = b"WireGuard v1 zx2c4 Jason@zx2c4.com"


def mac1(receiver_public, message):
    return mac(hash_(b"mac1----", receiver_public), message)


def initiation(v):
    s_pub, r_pub, e_pub = public(v["initiator"]), public(v["responder"]), public(v["initiator_ephemeral"])
    c = hash_(CONSTRUCTION)
    h = hash_(hash_(c, IDENTIFIER), r_pub)
    h = hash_(h, e_pub)
    (c,) = kdf(1, c, e_pub)
    c, k = kdf(2, c, x25519(v["initiator_ephemeral"], r_pub))
    static = aead(k, s_pub, h)
    h = hash_(h, static)
    c, k = kdf(2, c, x25519(v["initiator"], r_pub))
    stamp = aead(k, v["timestamp"], h)
    h = hash_(h, stamp)
    message = struct.pack("<II", 1, v["initiator_index"]) + e_pub + static + stamp
    return c, h, message + mac1(r_pub, message) + bytes(16)


def response(v, c, h):
    s_pub, i_pub, e_pub = public(v["initiator"]), public(v["initiator_ephemeral"]), public(v["responder_ephemeral"])
    (c,) = kdf(1, c, e_pub)
    h = hash_(h, e_pub)
    c, _ = kdf(2, c, x25519(v["responder_ephemeral"], i_pub))
    c, _ = kdf(2, c, x25519(v["responder_ephemeral"], s_pub))
    c, tau, k = kdf(3, c, v["psk"])
    h = hash_(h, tau)
    empty = aead(k, b"", h)
    h = hash_(h, empty)
    message = struct.pack("<III", 2, v["responder_index"], v["initiator_index"]) + e_pub + empty
    return c, h, message + mac1(s_pub, message) + bytes(16)


def cookie_reply(v, message):
    """What the responder would say to the initiation, under load, for a cookie and a nonce that are given."""
    key = hash_(b"cookie--", public(v["responder"]))
    sealed = xseal(key, v["cookie_nonce"], v["cookie"], message[-32:-16])
    return struct.pack("<II", 3, v["initiator_index"]) + v["cookie_nonce"] + sealed


def material(label, n=32):
    return hashlib.sha256(b"weir test vector: " + label.encode()).digest()[:n]


def make(name, psk):
    names = ("initiator", "responder", "initiator_ephemeral", "responder_ephemeral")
    v = {n: clamp(material(name + " " + n)) for n in names}
    v["psk"] = psk
    v["initiator_index"] = struct.unpack("<I", material(name + " initiator_index", 4))[0]
    v["responder_index"] = struct.unpack("<I", material(name + " responder_index", 4))[0]
    v["wall_ns"] = 1700000000123456789
    seconds, ns = divmod(v["wall_ns"], 10**9)
    v["timestamp"] = struct.pack(">QI", 2**62 + 10 + seconds, ns)
    v["cookie"] = material(name + " cookie", 16)
    v["cookie_nonce"] = material(name + " cookie_nonce", 24)

    c, h, v["initiation"] = initiation(v)
    v["cookie_reply"] = cookie_reply(v, v["initiation"])
    v["mac2"] = mac(v["cookie"], v["initiation"][:-16])
    c, h, v["response"] = response(v, c, h)
    v["key_to_responder"], v["key_to_initiator"] = kdf(2, c, b"")
    return v


FIELDS = (
    ("initiator", 32), ("responder", 32), ("initiator_ephemeral", 32), ("responder_ephemeral", 32), ("psk", 32),
    ("timestamp", 12), ("initiation", 148), ("response", 92), ("key_to_responder", 32), ("key_to_initiator", 32),
    ("cookie", 16), ("mac2", 16), ("cookie_reply", 64),
)


def rows(data):
    lines = [", ".join(f"0x{b:02x}" for b in data[i : i + 16]) for i in range(0, len(data), 16)]
    return "{\n\t\t\t" + ",\n\t\t\t".join(lines) + ",\n\t\t}"


def main():
    check_primitives()
    print("/* Made by noise.py from the paper alone: change that, not this. */")
    print("#ifndef WEIR_TESTS_NOISE_VECTORS_H\n#define WEIR_TESTS_NOISE_VECTORS_H\n\n#include <stdint.h>\n")
    print("static const struct noise_vector {")
    print("\tconst char *name;\n\tuint32_t initiator_index, responder_index;\n\tuint64_t wall_ns;")
    for field, size in FIELDS:
        print(f"\tuint8_t {field}[{size}];")
    print("} noise_vectors[] = {")
    for name, psk in (("without psk", bytes(32)), ("with psk", material("psk"))):
        v = make(name, psk)
        print(f'\t{{\n\t\t.name = "{name}",')
        print(f"\t\t.initiator_index = 0x{v['initiator_index']:08x},")
        print(f"\t\t.responder_index = 0x{v['responder_index']:08x},")
        print(f"\t\t.wall_ns = {v['wall_ns']}ull,")
        for field, size in FIELDS:
            assert len(v[field]) == size, field
            print(f"\t\t.{field} = {rows(v[field])},")
        print("\t},")
    print("};\n\n#endif")


if __name__ == "__main__":
    main()
