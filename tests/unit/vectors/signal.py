#!/usr/bin/env python3
"""Writes signal_vectors.h: sealed control frames with fixed keys, computed from weir-protocol(7).

Nothing here is shared with the program: the primitives are those of noise.py.

usage: signal.py > signal_vectors.h
"""

import struct

import noise

CONTEXT = b"weir sealed control frames v1"

LOW_SECRET = bytes(range(1, 33))
HIGH_SECRET = bytes(range(33, 65))
NONCE = bytes(range(0x40, 0x58))


def pair_keys(shared, one, other):
    low, high = sorted((one, other))
    chain = noise.kdf(1, noise.hash_(CONTEXT), low + high)[0]
    up, down, name = noise.kdf(3, chain, shared)
    return up, down, name[:8]


def field(tag, value):
    return struct.pack(">BH", tag, len(value)) + value


def body(kind, flags, sequence, session, generation, fields):
    head = struct.pack(
        ">BBHQQQ8sI", kind, flags, len(fields), 0x1122334455667788, 1767225600 * 10**9, sequence, session, generation
    )
    return head + b"".join(fields)


def frame(key, name, plain):
    head = b"weir\1\0\0\0" + name + NONCE
    return head + noise.xseal(key, NONCE, plain, head)


def define(name, value):
    text = value.hex()
    lines = [text[i : i + 96] for i in range(0, len(text), 96)]
    print(f"#define {name} " + "\\\n" + " \\\n".join(f'\t"{line}"' for line in lines))


def main():
    noise.check_primitives()
    a, b = sorted((LOW_SECRET, HIGH_SECRET), key=noise.public)
    shared = noise.x25519(a, noise.public(b))
    up, down, name = pair_keys(shared, noise.public(a), noise.public(b))
    ping = body(9, 0, 1, bytes(8), 7, [field(5, bytes(range(16))), field(8, struct.pack(">QQ", 300, 299))])
    text = [b"1 1 UDP 2130706431 192.0.2.1 50000 typ host", b"2 1 UDP 1694498815 198.51.100.7 40000 typ srflx"]
    offer = body(
        2,
        0,
        2,
        bytes(range(0xA0, 0xA8)),
        3,
        [
            field(1, b"\7"),
            field(2, b"\4Ab+/" + b"\x16" + b"0123456789abcdefghijkl"),
            field(3, b"rels://relay.example:443"),
            field(6, b"\4" + struct.pack(">H", 51820) + bytes([203, 0, 113, 9])),
            field(13, b"".join(bytes([len(t)]) + t for t in text)),
        ],
    )
    print("/* Written by signal.py; not to be edited. */")
    for label, value in (
        ("LOW_PUBLIC", noise.public(a)),
        ("HIGH_PUBLIC", noise.public(b)),
        ("SHARED", shared),
        ("UP_KEY", up),
        ("DOWN_KEY", down),
        ("PAIR_ID", name),
        ("NONCE", NONCE),
        ("PING_BODY", ping),
        ("PING_FRAME", frame(up, name, ping)),
        ("OFFER_BODY", offer),
        ("OFFER_FRAME", frame(up, name, offer)),
    ):
        define("VECTOR_" + label, value)


if __name__ == "__main__":
    main()
