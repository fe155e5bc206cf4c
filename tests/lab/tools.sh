#!/bin/sh
# log, events, top and completion against running engines.
. "$(dirname "$0")/lib.sh"
need wg ping ip jq bash python3

host left right
cable left 192.0.2.1/24 right 192.0.2.2/24
keys left right
mkdir -p $lab/silent
keys silent
cat >$lab/left/wg0.conf <<CONF
[Interface]
PrivateKey = $(cat $lab/left/key)
ListenPort = 51820
Address = 10.9.0.1/24
[Peer]
Name = right
Mode = plain
PublicKey = $(cat $lab/right/pub)
Endpoint = 192.0.2.2:51820
AllowedIPs = 10.9.0.2/32
[Peer]
Mode = plain
PublicKey = $(cat $lab/silent/pub)
Endpoint = 192.0.2.9:51820
AllowedIPs = 10.9.0.3/32
CONF
cat >$lab/right/wg0.conf <<CONF
[Interface]
PrivateKey = $(cat $lab/right/key)
ListenPort = 51820
Address = 10.9.0.2/24
[Peer]
Mode = plain
PublicKey = $(cat $lab/left/pub)
AllowedIPs = 10.9.0.1/32
CONF
chmod 600 $lab/*/wg0.conf
before=$(date +%s)
weir_start right $lab/right/wg0.conf
weir_start left $lab/left/wg0.conf
until_true 20 pings left 10.9.0.2 1 || fail "no tunnel"
silent=$(cut -c 1-8 $lab/silent/pub)

# 1. the log
weir_on left log --level debug --json >$lab/log.json || fail "log"
jq -e -s 'length > 5 and all(.schema == 1) and (map(.room) | unique | length > 1)' $lab/log.json >/dev/null || fail "log: $(cat $lab/log.json)"
weir_on left log --level debug --json --peer right >$lab/log.json
jq -e -s 'length > 0 and all(.peer == "right")' $lab/log.json >/dev/null || fail "log --peer: $(cat $lab/log.json)"
weir_on left log --level debug --json --peer "$silent" >$lab/log.json
jq -e -s --arg k "$silent" 'length > 0 and all(.peer == $k)' $lab/log.json >/dev/null || fail "log --peer KEY: $(cat $lab/log.json)"
weir_on left log --json --room engine --room system >$lab/log.json
jq -e -s 'length > 0 and all(.room == "engine" or .room == "system")' $lab/log.json >/dev/null || fail "log --room: $(cat $lab/log.json)"
[ -z "$(weir_on left log --since @$(($(date +%s) + 100)))" ] || fail "log --since: the future"
[ -n "$(weir_on left log --since @$before)" ] && [ -n "$(weir_on left log --since 1h)" ] || fail "log --since"
rc=0
weir_on left log --since yesterday >$lab/out 2>&1 || rc=$?
[ $rc = 2 ] && grep -q "15m" $lab/out || fail "log --since yesterday: $rc $(cat $lab/out)"
say "log: by level, peer, room and time"

# 2. events: the past in order, and those to come exactly once
weir_on left events --json --level debug >$lab/events.json || fail "events"
jq -e -s 'length > 3 and (map(.seq) | . == sort and . == unique) and any(.kind == "handshake-done" and .name == "right") and
	any(.peer == "")' $lab/events.json >/dev/null || fail "events: $(cat $lab/events.json)"
weir_on left events --peer right --room handshake-done >$lab/out
grep -q "handshake-done: right: " $lab/out && ! grep -qv "handshake-done: right: " $lab/out || fail "events, as text: $(cat $lab/out)"
ip netns exec left "$weir" events -f --json --level debug --run-dir $lab/left >$lab/follow.json 2>&1 &
follower=$!
until_true 10 grep -q handshake-done $lab/follow.json || fail "events -f"
weir_on left drain right >/dev/null
pings left 10.9.0.2 1 || fail "after the drain"
handshakes() { [ "$(grep -c '"handshake-done"' $lab/follow.json)" -ge 2 ]; }
until_true 10 handshakes || fail "events -f: $(cat $lab/follow.json)"
jq -e -s 'map(.seq) | . == sort and . == unique' $lab/follow.json >/dev/null || fail "events -f: order $(cat $lab/follow.json)"
say "events: in order, of one peer, of one kind, and as they happen"

# 3. top
weir_on left top -n 2 -d 1 >$lab/top.txt &
top=$!
on left ping -q -n -i 0.01 -c 60 -s 1000 10.9.0.2 >/dev/null || fail "pings"
wait $top || fail "top"
[ "$(grep -c '^weir wg0 ' $lab/top.txt)" = 2 ] && [ "$(grep -c '^WORD ' $lab/top.txt)" = 2 ] || fail "two tables: $(cat $lab/top.txt)"
# Columns stand where the head says, and the second table has rates.
awk '/^WORD/ { rate = index($0, "      IN/s"); at = index($0, "HANDSHAKE"); n++ }
	/ right / { if (substr($0, at - 3, 12) !~ /[0-9] (s|min)/) bad = 1
		if (n == 2 && substr($0, rate - 1, 11) !~ /[0-9] (B|KiB|MiB)/) bad = 1
		if (n == 1 && substr($0, rate - 1, 12) !~ / - *$/) bad = 1; seen++ }
	END { exit bad || seen != 2 }' $lab/top.txt || fail "columns: $(cat $lab/top.txt)"
printf '\033' | grep -q -f - $lab/top.txt && fail "colour in a file"
say "top: tables with rates, plain when piped"

# 4. completion
PATH=$LAB_BUILD:$PATH
export PATH
"$weir" completion bash >$lab/weir.bash && "$weir" completion zsh >$lab/_weir || fail "completion"
# bash_completes WORD... : what is offered for the last word, in one line
bash_completes() {
	on left bash -c '. /run/lab/weir.bash; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _weir 2>&1; echo "${COMPREPLY[*]}"' bash weir "$@"
}
offers() { # WANTED WORD...
	o_wanted=$1
	shift
	o_got=$(bash_completes "$@")
	case " $o_got " in
	*" $o_wanted "*) ;;
	*) fail "completion of \"$*\" does not offer $o_wanted: $o_got" ;;
	esac
}
offers trace tr
offers netreport ""
offers --json status --j
offers debug log --level ""
offers right drain --run-dir $lab/left ""
offers "$silent" --run-dir $lab/left drain ""
offers right events --run-dir $lab/left --peer ri
offers wg0 status --run-dir $lab/left ""
offers hold ladder right ho
offers relay-only path right ""
offers never top --color ""
offers signal capture --point ""
: >$lab/week.tar.gz
offers /run/lab/week.tar.gz replay /run/lab/we
case " $(bash_completes status --b) " in *" --batch "*) fail "an option of another command is offered" ;; esac
for command in $("$weir" help | sed -n 's/^  \([a-z]*\)  *.*/\1/p'); do
	offers "$command" ""
done
# A name of a file or a peer is never a command. bash expands the words that it completes from.
mkdir -p $lab/odd
cat >$lab/odd.py <<'PYTHON'
import socket, sys
sockets = [socket.socket(socket.AF_UNIX) for _ in range(2)]
for s, name in zip(sockets, ("$(>hit)", "wg7")):
    s.bind("/run/lab/odd/" + name + ".sock")
    s.listen(5)
print("ready", flush=True)
sys.stdin.read()
PYTHON
mkfifo $lab/odd.end
python3 $lab/odd.py <$lab/odd.end >$lab/odd.out &
exec 8>$lab/odd.end
until_true 10 grep -q ready $lab/odd.out || fail "no sockets"
offers wg7 status --run-dir $lab/odd ""
exec 8>&-
[ -e hit ] && { rm -f hit; fail "the name of a socket was run as a command"; }
say "bash: commands, options, values, peers, interfaces"
if command -v zsh >/dev/null; then
	zsh -n $lab/_weir || fail "zsh: not well formed"
	# What it would hand to the completion system.
	cat >$lab/try.zsh <<'ZSH'
compdef() { }
_describe() { print -l -- ${(P)4} }
_arguments() { print -l -- "$@" }
_files() { }
compadd() { print -l -- "$@" }
. /run/lab/_weir
words=(weir "$@") CURRENT=$(($# + 1))
_weir
ZSH
	on left zsh -f $lab/try.zsh "" >$lab/out 2>&1
	grep -q "^trace:" $lab/out || fail "zsh: commands: $(cat $lab/out)"
	on left zsh -f $lab/try.zsh drain --run-dir $lab/left "" >$lab/out 2>&1
	grep -q "^--run-dir=\[.*DIR:_files" $lab/out && grep -q "^1:word:.*_weir_peers" $lab/out || fail "zsh: options: $(cat $lab/out)"
	printf '. /run/lab/_weir\ncompdef() { }\ncompadd() { shift; print -l -- "$@" }\nrun=(--run-dir %s)\n_weir_peers\n' $lab/left |
		sed '1{h;d};2{G}' >$lab/peers.zsh
	on left zsh -f $lab/peers.zsh >$lab/out 2>&1
	grep -qx right $lab/out || fail "zsh: peers: $(cat $lab/out)"
	say "zsh: the same"
fi
