#!/bin/sh
# The lab needs no root where user namespaces are allowed: as root, this runs pair.sh and a case behind NATs as nobody.
# (Anybody else runs all tests that way anyhow.)
: "${LAB_BUILD:=$PWD}"
skip() {
	echo "skipped: $*"
	exit 77
}
[ "${WEIR_LAB:-1}" != 0 ] || skip "WEIR_LAB=0"
[ "$(id -u)" = 0 ] || skip "not root: every test here is such a run"
[ -z "${WEIR_UNPRIVILEGED:-}" ] || skip "inside itself"
command -v setpriv >/dev/null || skip "setpriv is not installed"
lab=$(cd "$(dirname "$0")" && pwd)
nobody="setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps=-all"
# What /dev/net/tun allows is the distribution's choice, most often everybody. Here it is so in any case.
run() {
	unshare --mount -- sh -c '
		mount -t tmpfs -o mode=755 none /dev/net && mknod -m 666 /dev/net/tun c 10 200 || exit 77
		cd / && exec "$@"' sh "$@"
}
# shellcheck disable=SC2086 # words
run $nobody unshare --user --map-root-user --net --mount true 2>/dev/null || skip "no user namespaces for an ordinary user"
# shellcheck disable=SC2086
run $nobody test -x "$LAB_BUILD/weir" -a -r "$lab/lib.sh" || skip "$LAB_BUILD cannot be read by an ordinary user"
# as_nobody SCRIPT [VARIABLE=VALUE]
as_nobody() {
	rc=0
	# shellcheck disable=SC2086
	WEIR_UNPRIVILEGED=1 run $nobody env LAB_BUILD="$LAB_BUILD" ${2:-} sh "$lab/$1" >"${TMPDIR:-/tmp}/weir-unpriv.$$" 2>&1 </dev/null || rc=$?
	cat "${TMPDIR:-/tmp}/weir-unpriv.$$"
	rm -f "${TMPDIR:-/tmp}/weir-unpriv.$$"
	[ $rc = 0 ] || {
		echo "FAILED: $1 as an ordinary user: $rc"
		exit 1
	}
	echo "ok - $1 as an ordinary user"
}
as_nobody pair.sh
# Two engines, a relay, NATs and ICE; none of them may need more than an ordinary user has in a namespace of his own.
as_nobody faults_path.sh "ONLY=F2"
