#!/bin/sh
# The house's arrows (src/README): which room may include which; and that the protocol cores do no I/O and ask no
# clock, by what their objects import. A room or an import that is new here is a decision: it belongs into these lists.
set -eu
src=${WEIR_SRCDIR:-$(dirname "$0")/../..}/src
build=${LAB_BUILD:-.}
failed=0

complain() {
	echo "FAILED: $*" >&2
	failed=1
}

# room: the rooms whose headers it may include, besides its own
rooms="
base:
crypto: base
wg: base crypto
net: base
diagnose: base wg peer signal
signal: base crypto
peer: base signal
relay: base crypto
ice: base net
tap: base wg signal relay
report: base net relay
engine: base crypto wg net diagnose signal peer relay ice tap
config: base crypto wg engine peer relay
system: base net config
control: base wg engine peer signal relay ice diagnose tap
tui: base tap
cmd: base net engine config system control tui peer relay crypto tap diagnose report
"

for folder in "$src"/*/; do
	room=$(basename "$folder")
	line=$(echo "$rooms" | grep "^$room:") || {
		complain "src/$room/ is in no list"
		continue
	}
	may="$room ${line#*:}"
	for used in $(cat "$folder"*.[ch] | sed -n 's/^#include "\([a-z]*\)\/.*/\1/p' | sort -u); do
		case " $may " in
		*" $used "*) ;;
		*) complain "src/$room/ includes $used/: $(grep -l "^#include \"$used/" "$folder"*.[ch] | tr '\n' ' ')" ;;
		esac
	done
done

# Libraries behind doors: GLib's loop is base/loop.h, curses is tui/term.h (and asked once, before anything is set up,
# whether it knows the terminal).
door() { # HEADER FILES...
	header=$1
	shift
	for file in $(grep -l "^#include <.*$header" "$src"/*/*.[ch] || true); do
		case " $* " in
		*" ${file#"$src"/} "*) ;;
		*) complain "${file#"$src"/} includes <$header>, which is for $* alone" ;;
		esac
	done
}
door pcap tap/filter.c
door glib.h base/loop.c ice/agent.c ice/lines.c ice/send.c
door nice/ ice/agent.c ice/lines.c ice/send.c
door libwebsockets.h relay/transport.c relay/server.c relay/server_http.c relay/server_client.c
door curses.h tui/term_curses.c cmd/view.c
door seccomp.h cmd/sandbox.c
door microhttpd.h cmd/exporter.c
door intel-ipsec-mb.h crypto/aead.c

# What the cores import: memory, strings, arithmetic, randomness from crypto/, and base/'s own structures.
pure="__popcountdi2|__stack_chk_fail|_GLOBAL_OFFSET_TABLE_|_DYNAMIC|__(mem|s|vs|str)[a-z]*_chk|mem(cmp|cpy|set|move|chr)|\
str(len|cmp|ncmp|ncat|chr|str|spn|cspn)|v?snprintf|malloc|calloc|realloc|free|aligned_alloc|qsort|bsearch|abort|__assert_fail|sched_yield|\
(address|endpoint|epoch|heap|key|list|map|path|strbuf|log_level|signal|peer|wg)_[a-z0-9_]+|xcalloc|xmalloc|xrealloc|xstrdup|\
(aead|xaead|blake2s|crypto|dh|secret)_[a-z0-9_]+|dh|kdf"

imports() { # ARCHIVE: symbols that it does not define itself
	nm -A "$1" | awk '$(NF - 1) == "U" { need[$NF] } $(NF - 1) ~ /^[TDBRVW]$/ { have[$NF] }
		END { for (s in need) if (!(s in have)) print s }'
}

if command -v nm >/dev/null && ! grep -q "WEIR_SANITIZED 1" "$build/config.h" 2>/dev/null; then
	for room in wg diagnose signal peer; do
		archive=$build/src/$room/lib$room.a
		[ -f "$archive" ] || {
			complain "$archive was not built"
			continue
		}
		for symbol in $(imports "$archive" | grep -Evx "$pure|__gcov.*|__san.*" || true); do
			complain "src/$room/ imports $symbol: a protocol core does no I/O and is told the time"
		done
	done
fi

[ $failed = 0 ] && echo "ok - every room keeps to its arrows"
exit $failed
