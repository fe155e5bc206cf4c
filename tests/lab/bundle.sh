#!/bin/sh
# What went wrong can be looked at afterwards: trouble that healed is in the engine's record, in the dashboard's past, in
# a bundle and its replay; and a bundle holds no secret, an anonymous one no key, address or name either.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/terminal.sh"
need wg ping ip jq tar

host left right
cable left 203.0.113.1/24 right 203.0.113.2/24
keys left right
psk=$(wg genpsk)
for side in left right; do
	other=right n=1 m=2
	[ $side = right ] && other=left n=2 m=1
	cat >$lab/$side/wg0.conf <<CONF
[Interface]
PrivateKey = $(cat $lab/$side/key)
ListenPort = 51820
Address = 10.9.0.$n/24
PostUp = true
[Relay]
Url = rel://relay.secret-site.example.org:4443
Secret = swordfish-and-chips
[Ice]
Turn = turn.secret-site.example.org:3478
TurnUser = somebody
TurnPassword = open-sesame-42
[Peer]
Name = castle-$other
PublicKey = $(cat $lab/$other/pub)
PresharedKey = $psk
Endpoint = 203.0.113.$m:51820
AllowedIPs = 10.9.0.$m/32
PersistentKeepalive = 1
CONF
	chmod 600 $lab/$side/wg0.conf
	weir_start $side $lab/$side/wg0.conf --time-divisor 10
done

word() { # HOST: of its peer
	weir_on "$1" status --json | jq -r '.peers[0].word'
}
is_word() {
	[ "$(word "$1")" = "$2" ]
}
until_true 20 pings left 10.9.0.2 1 || fail "no tunnel"
until_true 20 is_word left DIRECT || fail "it is $(word left), not DIRECT"
right_key=$(cat $lab/right/pub)

# Trouble, and it heals.
ip -n left link set to-right down
until_true 20 is_word left STUCK || fail "it is $(word left), not STUCK"
# It is recorded once a second, and each step of the recovery makes the word WAIT for a moment.
stuck_at=$(($(date +%s) + 2))
sleep 4
ip -n left link set to-right up
until_true 30 pings left 10.9.0.2 1 || fail "the tunnel does not come back"
until_true 20 is_word left DIRECT || fail "it is $(word left), not DIRECT again"

# back_to PATTERN: through the past, step by step; more slowly where the screen could not follow.
back_to() {
	for back_pause in 0.03 0.2; do
		keys_to End
		sleep 0.3
		back_tries=0
		until shows "$1" || [ $back_tries -ge 150 ]; do
			back_tries=$((back_tries + 1))
			keys_to Left
			sleep $back_pause
		done
		sleep 0.3
		! shows "$1" || return 0
	done
	fail "no moment with $1: the screen is
$(screen)"
}
tm new-session -d -s lab -x 100 -y 30 "ip netns exec left env PS1='shell> ' sh -i"
wait_screen 'shell>' "no shell"

# A dashboard that comes after the trouble.
keys_to "$weir attach wg0 --run-dir $lab/left" Enter
wait_screen 'castle-right *DIRECT' "no dashboard"
keys_to t
wait_screen 'PAST ' "no past"
back_to 'castle-right *\(STUCK\|WAIT\)'
keys_to D
wait_screen 'nothing can be changed in the past' "the past can be changed"
keys_to Enter
wait_screen 'castle-right \(STUCK\|WAIT\) PAST' "no Peer screen of the past"
keys_to Escape
wait_screen 'castle-right.*DIRECT' "no way back to now"
keys_to q
wait_screen 'shell>' "q does not leave"
say "a dashboard shows trouble that was over when it came"

# A bundle, with the file's secrets planted in the log, too.
on left "$weir" bundle $lab/left/wg0.conf --run-dir $lab/left -o $lab/plain.tar.gz >$lab/bundle.out </dev/null ||
	fail "weir bundle: $(cat $lab/bundle.out)"
[ "$(stat -c %a $lab/plain.tar.gz)" = 600 ] || fail "others can read the bundle"
mkdir $lab/plain $lab/veiled
tar -xzf $lab/plain.tar.gz -C $lab/plain --strip-components=1
for file in MANIFEST.json config.conf status.json history.jsonl timelines.json log.json ip-addr.txt ip-route.txt; do
	[ -s $lab/plain/$file ] || fail "no $file in the bundle: $(cat $lab/plain/MANIFEST.json)"
done
jq -e '.kind == "weir-bundle" and .schema == 1' $lab/plain/MANIFEST.json >/dev/null || fail "the manifest is no manifest"
jq -es 'any(.[].peers[]?; .word == "STUCK" or .word == "WAIT")' $lab/plain/history.jsonl >/dev/null ||
	fail "no trouble in the history"
secrets() { # what must be nowhere, in all forms
	for s in "$(cat $lab/left/key)" "$psk" swordfish-and-chips open-sesame-42; do
		printf '%s\n' "$s"
		printf '%s' "$s" | base64 -w0 | sed 's/=*$//'
		echo
		printf '%s' "$s" | od -An -v -tx1 | tr -d ' \n'
		echo
	done
	for s in "$(cat $lab/left/key)" "$psk"; do
		printf '%s' "$s" | base64 -d | od -An -v -tx1 | tr -d ' \n'
		echo
	done
}
secrets >$lab/secrets
if grep -rlaiF -f $lab/secrets $lab/plain; then
	fail "a secret is in the bundle"
fi
say "a bundle holds history, state and host, and no secret"

# Without the file's name: the engine tells what it was started with. Without the file: the rest is there all the same.
on left "$weir" bundle wg0 --run-dir $lab/left -o $lab/named.tar.gz >$lab/bundle.out </dev/null ||
	fail "weir bundle wg0: $(cat $lab/bundle.out)"
tar -tzf $lab/named.tar.gz | grep -q /netreport.json || fail "no report of the network without the file: $(cat $lab/bundle.out)"
mkdir $lab/named $lab/away
tar -xzf $lab/named.tar.gz -C $lab/named --strip-components=1
[ "$(jq -r .configuration $lab/named/status.json)" = $lab/left/wg0.conf ] || fail "the status does not tell the file"
grep -q 'castle-right' $lab/named/config.conf || fail "not the engine's configuration: $(cat $lab/bundle.out)"
if grep -rlaiF -f $lab/secrets $lab/named; then
	fail "a secret is in the bundle of an engine's file"
fi
mv $lab/left/wg0.conf $lab/away/
on left "$weir" bundle wg0 --run-dir $lab/left -o $lab/named.tar.gz >$lab/bundle.out </dev/null ||
	fail "weir bundle without the file: $(cat $lab/bundle.out)"
mv $lab/away/wg0.conf $lab/left/
grep -q "config.conf: $lab/left/wg0.conf: No such file.*: weir bundle FILE" $lab/bundle.out ||
	fail "not told which configuration is missing: $(cat $lab/bundle.out)"

on left "$weir" bundle $lab/left/wg0.conf --run-dir $lab/left --anonymise -o $lab/veiled.tar.gz >$lab/bundle.out </dev/null ||
	fail "weir bundle --anonymise: $(cat $lab/bundle.out)"
tar -xzf $lab/veiled.tar.gz -C $lab/veiled --strip-components=1
printf '%s\n' "$right_key" "$(cat $lab/left/pub)" 203.0.113. 10.9.0. castle secret-site "$(cut -c1-8 $lab/right/pub)" |
	cat - $lab/secrets >$lab/private
named=$(grep -raioF -f $lab/private $lab/veiled | sort | uniq -c | head -20)
[ -z "$named" ] || fail "what should be anonymous is not:
$named"
# The same peer in all files, in its private range still.
key=$(jq -r '.peers[0].publicKey' $lab/veiled/status.json)
grep -qF "$key" $lab/veiled/config.conf || fail "the key has another pseudonym in the configuration"
grep -qF "$key" $lab/veiled/history.jsonl || fail "the key has another pseudonym in the history"
jq -r '.peers[0].allowedIps[0]' $lab/veiled/status.json | grep -q '^10\..*/32$' || fail "a private range is none any more"
say "an anonymous bundle names nobody, and the same thing the same"

# Its replay, without an engine and without rights.
keys_to "$weir replay $lab/veiled.tar.gz --at $stuck_at" Enter
wait_screen 'peer-1 *\(STUCK\|WAIT\)' "no STUCK at $stuck_at"
shows 'PAST ' || fail "a replay does not say that it is the past"
keys_to End
wait_screen 'peer-1 *DIRECT' "the end of the bundle is not how things were"
keys_to Escape
wait_screen 'no now behind a bundle' "a bundle has a now"
keys_to q
wait_screen 'shell>' "q does not leave"
say "weir replay shows what was, at any moment"

head -c 3000 $lab/plain.tar.gz >$lab/cut.tar.gz
echo nothing >$lab/text.tar.gz
tar -czf $lab/other.tar.gz -C $lab/plain status.json
keys_to "for f in cut text other none; do $weir replay $lab/\$f.tar.gz; echo code \$?; done 2>$lab/errors; echo don''e" Enter
wait_screen '^done$' "damaged bundles are not refused"
[ "$(screen | grep -c '^code 2')" = 4 ] || fail "exit codes of damaged bundles: $(screen)"
[ "$(grep -c 'bundle\|cannot open' $lab/errors)" = 4 ] || fail "words about damaged bundles: $(cat $lab/errors)"
say "damaged and foreign archives are refused with words"

# A name that is no text: there is no such engine, and the bundle of this host says so.
on left "$weir" bundle "$(printf '\377')" --run-dir $lab/left -o $lab/odd.tar.gz >$lab/bundle.out 2>&1 </dev/null ||
	fail "weir bundle with a name that is no UTF-8: $(cat $lab/bundle.out)"
tar -xzOf $lab/odd.tar.gz --wildcards '*/MANIFEST.json' | jq -e '.interface == "\\xff"' >/dev/null ||
	fail "the manifest of a name that is no UTF-8: $(tar -tzf $lab/odd.tar.gz)"
