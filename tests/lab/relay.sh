#!/bin/sh
# The relay server against clients of every kind, most of them bad: what relay.py sends byte by byte, in a network of its
# own. And without libuv, which is how it runs where that package is missing.
. "$(dirname "$0")/lib.sh"
need python3 openssl nft

cd $lab
plugin=$(ls /usr/lib/*/libwebsockets-evlib_uv.so 2>/dev/null | head -1 || true)

python3 "$WEIR_SRCDIR/tests/lab/relay.py" "$weir" $lab all || fail "relay.py"
say "the relay server keeps its word with every kind of client"

if [ -n "$plugin" ]; then
	mount --bind /dev/null "$plugin"
	python3 "$WEIR_SRCDIR/tests/lab/relay.py" "$weir" $lab basic || fail "relay.py without libuv"
	umount "$plugin"
	say "it serves without libuv, too, and says so"
fi
