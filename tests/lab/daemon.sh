#!/bin/sh
# Daily life of the daemon: what it sets up from a wg-quick file and takes down again, reload, a second engine, a crash,
# errors in the file, names that do not resolve yet.
. "$(dirname "$0")/lib.sh"
need wg ping ip nft jq

host client server
cable client 192.0.2.1/24 server 192.0.2.2/24
keys client server
ip -n client route add default via 192.0.2.2
on server ip addr add 198.51.100.7/32 dev lo
mkdir -p $lab/bin /run/hooks
# A resolvconf that writes down what it is asked.
cat >$lab/bin/resolvconf <<'SCRIPT'
#!/bin/sh
{ echo "resolvconf $*"; [ "$1" = -a ] && cat; :; } >>/run/hooks/dns
SCRIPT
chmod +x $lab/bin/resolvconf
PATH=$lab/bin:$PATH

cat >$lab/server/wg0.conf <<CONF
[Interface]
PrivateKey = $(cat $lab/server/key)
ListenPort = 51820
Address = 10.9.0.2/24
[Peer]
PublicKey = $(cat $lab/client/pub)
AllowedIPs = 10.9.0.1/32
CONF
client_conf() { # ALLOWED-IPS [further lines of the interface]
	cat >$lab/client/wg0.conf <<CONF
[Interface]
PrivateKey = $(cat $lab/client/key)
Address = 10.9.0.1/24, fd09::1/64
DNS = 10.9.0.2, corp.example
PreUp = echo preup %i >>/run/hooks/log
PostUp = echo postup %i >>/run/hooks/log
PreDown = echo predown %i >>/run/hooks/log
PostDown = echo postdown %i >>/run/hooks/log
${2:-}
[Peer] # the server
Name = server
PublicKey = $(cat $lab/server/pub)
Endpoint = 192.0.2.2:51820
AllowedIPs = $1
PersistentKeepalive = 25
CONF
	chmod 600 $lab/client/wg0.conf
}
chmod 600 $lab/server/wg0.conf
weir_start server $lab/server/wg0.conf

# The server's address is reachable beside the tunnel, too: what counts is that the client has its default route there.
# Status comes first: right after a kill the routes may still be those of the engine that is dying.
through_tunnel() {
	until_true 30 sh -c "$weir status wg0 --run-dir $lab/client | grep -q DIRECT" || fail "$1"
	until_true 30 sh -c "ip -n client route get 198.51.100.7 | grep -q 'dev wg0'" || fail "$1"
	until_true 30 pings client 198.51.100.7 1 || fail "$1"
}

# 1. everything through the tunnel
# Addresses that the kernel makes by itself come in their own time.
network() {
	on client sh -c 'ip addr; ip -4 route show table all; ip -6 route show table all; ip rule; ip -6 rule; nft list ruleset' |
		sed 's/valid_lft.*//'
}
until_true 20 sh -c "! ip -n client -6 addr show tentative | grep -q inet6" || fail "addresses stay tentative"
before=$(network)
as_before() { [ "$(network)" = "$before" ]; }
client_conf "0.0.0.0/0, ::/0"
weir_start client $lab/client/wg0.conf
through_tunnel "default route: no way through the tunnel"
on client ip addr show wg0 | grep -q "10.9.0.1/24" || fail "no IPv4 address"
on client ip addr show wg0 | grep -q "fd09::1/64" || fail "no IPv6 address"
on client ip addr show wg0 | grep -q "mtu 1420" || fail "MTU: $(on client ip link show wg0)"
on client ip rule | grep -q "suppress_prefixlength 0" || fail "no policy rule: $(on client ip rule)"
mark=$(weir_on client status wg0 --json | jq .fwmark)
[ "$mark" != 0 ] || fail "no fwmark"
on client ip -4 route show table "$mark" | grep -q "default dev wg0" || fail "no default route in table $mark"
say "default route through the tunnel: addresses, MTU, mark $mark, rules"
[ "$(cat /run/hooks/log | tr '\n' ' ')" = "preup wg0 postup wg0 " ] || fail "hooks: $(cat /run/hooks/log)"
grep -q "nameserver 10.9.0.2" /run/hooks/dns || fail "DNS: $(cat /run/hooks/dns)"
grep -q "search corp.example" /run/hooks/dns || fail "search domain: $(cat /run/hooks/dns)"
say "hooks and DNS"

weir_start client $lab/client/wg0.conf && second=$(cat $lab/client/pid)
until_true 20 sh -c "! kill -0 $second" || fail "a second engine keeps running"
grep -qi "already" $lab/client/log || fail "the second engine does not say why it left"
pings client 198.51.100.7 3 || fail "the second engine hurt the first"
say "a second engine on the same interface is refused"
first=$(pgrep -o -f "headless $lab/client/wg0.conf")

kill -TERM "$first"
until_true 30 sh -c "! kill -0 $first" || fail "SIGTERM does not end it"
until_true 10 as_before || fail "SIGTERM left something: $(network), before: $before"
[ "$(cat /run/hooks/log | tr '\n' ' ')" = "preup wg0 postup wg0 predown wg0 postdown wg0 " ] || fail "hooks: $(cat /run/hooks/log)"
grep -q "resolvconf -d" /run/hooks/dns || fail "DNS stays"
say "SIGTERM takes everything off again, hooks in order"

# 2. killed: its steward cleans up, and the next start finds nothing in its way
weir_start client $lab/client/wg0.conf
through_tunnel "no tunnel the second time"
kill -KILL "$(cat $lab/client/pid)"
weir_start client $lab/client/wg0.conf
through_tunnel "no tunnel after kill -9"
[ "$(on client ip rule | grep -c suppress_prefixlength)" = 1 ] || fail "rules twice: $(on client ip rule)"
say "kill -9: started again at once, nothing twice"
pkill -KILL -f "headless $lab/client/wg0.conf" || true
pkill -KILL weir-steward || true
until_true 20 sh -c "! ip -n client link show wg0" || fail "wg0 stays"
on client ip rule | grep -q suppress_prefixlength || fail "the test wants leftovers, and there are none"
weir_start client $lab/client/wg0.conf
through_tunnel "no tunnel after a crash of everything"
[ "$(on client ip rule | grep -c suppress_prefixlength)" = 1 ] || fail "leftovers stay: $(on client ip rule)"
say "leftovers of a crash are cleaned at the next start"

# 3. reload
handshakes() {
	weir_on client status wg0 --json | jq '.peers[] | select(.name == "server") | .counters.handshake_done'
}
done_before=$(handshakes)
other=$(wg genkey | wg pubkey)
{
	cat $lab/client/wg0.conf
	printf '[Peer]\nName = other\nPublicKey = %s\nAllowedIPs = 10.77.0.0/16\n' "$other"
} >$lab/new.conf
cat $lab/new.conf >$lab/client/wg0.conf
weir_on client reload -i wg0 >$lab/reload || fail "reload: $(cat $lab/reload)"
[ "$(weir_on client status wg0 --json | jq '.peers | length')" = 2 ] || fail "reload added nothing"
pings client 198.51.100.7 3 || fail "reload broke the tunnel"
[ "$(handshakes)" = "$done_before" ] || fail "reload cost a handshake"
say "reload adds a peer and keeps the session: $(cat $lab/reload)"
sed 's/PersistentKeepalive = 25/PersistentKeepalife = 25/' $lab/new.conf >$lab/client/wg0.conf
weir_on client reload -i wg0 >$lab/reload 2>&1 && fail "a broken file was taken"
grep -q "PersistentKeepalife" $lab/reload && grep -q "PersistentKeepalive" $lab/reload || fail "error: $(cat $lab/reload)"
[ "$(weir_on client status wg0 --json | jq '.peers | length')" = 2 ] || fail "a broken file changed something"
say "a broken file changes nothing, and the error names the line and the nearest keyword"
cat $lab/new.conf >$lab/client/wg0.conf
kill -HUP "$(cat $lab/client/pid)"
pings client 198.51.100.7 3 || fail "SIGHUP broke the tunnel"

# 4. down
weir_on client down wg0 || fail "weir down"
until_true 30 sh -c "! ip -n client link show wg0" || fail "weir down leaves wg0"
until_true 30 sh -c "! pgrep -f '[h]eadless $lab/client/wg0.conf'" || fail "weir down leaves a process"
weir_on client status wg0 >/dev/null 2>&1 && fail "status of an engine that does not run"
rc=0
weir_on client status wg0 >/dev/null 2>&1 || rc=$?
[ $rc = 3 ] || fail "exit code of status without an engine is $rc, not 3"
say "weir down ends it; status then exits with 3"

# 5. bad files and bad luck
bad() { # EXIT-CODE PATTERN LINES...
	printf '%s\n' "[Interface]" "$3" >$lab/bad.conf
	rc=0
	on client "$weir" --headless $lab/bad.conf --run-dir $lab/client >$lab/err 2>&1 || rc=$?
	[ $rc = "$1" ] || fail "$3: exit code $rc, not $1: $(cat $lab/err)"
	grep -q "$2" $lab/err || fail "$3: says $(cat $lab/err)"
	on client ip link show bad >/dev/null 2>&1 && fail "$3: half applied"
	return 0
}
bad 78 "bad.conf:2" "PrivateKey = abc"
bad 78 "ListenPort" "ListenPort = 70000"
bad 78 "Address" "Adress = 10.0.0.1"
bad 78 "SaveConfig" "SaveConfig = true"
say "errors in a file: line, text, exit code 78, nothing applied"
on server sh -c "exec $weir --headless $lab/client/wg0.conf --run-dir $lab/client" >$lab/err 2>&1 && fail "name taken, yet it starts"
say "a name that is taken is refused: $(tail -1 $lab/err)"
