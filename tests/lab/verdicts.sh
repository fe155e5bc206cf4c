# Verdicts for lab scripts, to be sourced after lib.sh: faults stand side by side, each on a peer of its own, and each must
# get its verdict first.
#
#   injected HOST PEER RULE[/SIDE] FAULT...
#                                      from now on HOST's engine should give PEER this verdict; FAULT in words
#   verdicts_come SECONDS              waits for all that were injected, and prints a row for each:
#                                      "| fault | verdict | confidence, side | seconds |"
#   never_a_verdict HOST PEER          asserts that the peer was never in trouble since its engine started
#
# `make verdicts` gathers the rows of all scripts.

need jq
verdicts_wait=$lab/verdicts
: >$verdicts_wait

injected() {
	in_host=$1
	in_peer=$2
	in_rule=$3
	shift 3
	printf '%s\t%s\t%s\t%s\t%s\n' "$in_host" "$in_peer" "$in_rule" "$(milliseconds)" "$*" >>$verdicts_wait
}

# One look at an engine that has faults to show; the rows of those that came. Few processes: a verdict may be the first for
# some seconds only, and a busy machine must not miss it.
verdicts_of() { # HOST
	weir_on "$1" explain all --json 2>/dev/null | jq -r '.peers[] | .name as $name | .diagnosis.verdicts[0] // empty |
		$name + "\t" + .rule + "\t" + .confidence + (if .side == "" then "" else ", " + .side end)' >$lab/got || true
	: >$lab/rest
	awk -F '\t' -v host="$1" -v now="$(milliseconds)" -v got=$lab/got -v rest=$lab/rest '
		FILENAME == got { rules[$1] = $2; sides[$1] = $3; next }
		{
			rule = $3
			side = ""
			if (at = index(rule, "/")) {
				side = ", " substr(rule, at + 1)
				rule = substr(rule, 1, at - 1)
			}
			end = substr(sides[$2], length(sides[$2]) - length(side) + 1)
			if ($1 == host && rules[$2] == rule && end == side)
				printf "| %s | %s | %s | %.1f |\n", $5, rule, sides[$2], (now - $4) / 1000
			else
				print >rest
		}' $lab/got $verdicts_wait
	mv $lab/rest $verdicts_wait
}

verdicts_come() {
	vc_end=$(($(date +%s) + $1))
	while [ -s $verdicts_wait ]; do
		for vc_host in $(cut -f1 $verdicts_wait | sort -u); do
			verdicts_of "$vc_host"
		done
		[ -s $verdicts_wait ] || break
		[ "$(date +%s)" -lt "$vc_end" ] || verdicts_failed
		sleep 0.2
	done
}

verdicts_failed() {
	while IFS='	' read -r vf_host vf_peer vf_rule vf_at vf_fault; do
		echo "not seen: $vf_fault: $vf_host should say $vf_rule of $vf_peer, but says:" >&2
		weir_on "$vf_host" explain "$vf_peer" >&2 || true
	done <$verdicts_wait
	fail "verdicts that did not come"
}

never_a_verdict() {
	weir_on "$1" explain "$2" >$lab/read 2>&1 || fail "$1 is not well with $2: $(cat $lab/read)"
	grep -q "$2: [a-z-]* (\(certain\|likely\|possible\)" $lab/$1/log && fail "$1 gave $2 a verdict: $(grep " $2: " $lab/$1/log)"
	return 0
}
