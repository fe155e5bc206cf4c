#!/bin/sh
# Whom a host trusts to be its relay: certificates that CaFile signs, or the one key of Pin, and nobody else.
. "$(dirname "$0")/lib.sh"
need wg ip openssl ss

host hub left
cable left 192.0.2.1/24 hub 192.0.2.2/24
keys left hub
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=relay \
	-addext "subjectAltName = IP:192.0.2.2" -keyout $lab/hub/tls.key -out $lab/hub/tls.pem 2>/dev/null ||
	fail "no certificate could be made"
chmod 644 $lab/hub/tls.key
pin=$(openssl x509 -in $lab/hub/tls.pem -pubkey -noout | openssl pkey -pubin -outform DER | openssl dgst -sha256 -binary |
	base64)
relay_on hub 8443 rels://192.0.2.2:8443 --cert $lab/hub/tls.pem --key $lab/hub/tls.key

# trust LINE: what left trusts from now on, in its file.
trust() {
	(umask 077 && cat >$lab/left/wg0.conf <<CONF
[Interface]
PrivateKey = $(cat $lab/left/key)
[Relay]
Url = rels://192.0.2.2:8443
SecretFile = $lab/secret
$1
[Peer]
PublicKey = $(cat $lab/hub/pub)
AllowedIPs = 10.9.0.2/32
CONF
	)
}

# logins: how often left was let in.
logins() {
	grep -c "logged in" $lab/hub/log.8443 || true
}
more_logins() {
	[ "$(logins)" -gt "$1" ]
}

# begin LINE, end: a run of left with that trust.
begin() {
	trust "$1"
	: >$lab/left/log
	before=$(logins)
	weir_start left $lab/left/wg0.conf
}
end() { weir_end left; }
refused() {
	until_true 20 grep -q "relay: rels://192.0.2.2:8443: .*certificate\|relay: rels://192.0.2.2:8443: .*key" $lab/left/log ||
		fail "left does not say that the certificate is wrong"
	! more_logins "$before" || fail "left logged in at a relay that it cannot know"
}

begin ""
refused
end
say "a certificate that nobody vouches for is refused"

begin "CaFile = $lab/hub/tls.pem"
until_true 20 more_logins "$before" || fail "CaFile does not help"
end
say "CaFile vouches for it"

begin "Pin = $pin"
until_true 20 more_logins "$before" || fail "Pin does not help"
end
say "so does its Pin"

begin "Pin = $(cat $lab/left/pub)"
refused
# The file is put right, and read again: the next try gets in.
trust "Pin = $pin"
weir_on left reload wg0 >/dev/null || fail "reload"
until_true 90 more_logins "$before" || fail "a Pin put right by a reload is not used"
end
say "another Pin refuses it, until a reload puts that right"

echo "1..$lab_tests"
