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

# One look at an engine that has faults to show; the rows of those that came.
verdicts_of() { # HOST
	weir_on "$1" explain all --json >$lab/$1/explain.json 2>/dev/null || true
	vo_now=$(milliseconds)
	: >$lab/rest
	while IFS='	' read -r vo_host vo_peer vo_rule vo_at vo_fault; do
		vo_got=
		vo_side=
		if [ "$vo_host" = "$1" ]; then
			vo_got=$(jq -r --arg p "$vo_peer" '.peers[] | select(.name == $p) | .diagnosis.verdicts[0] |
				.rule + "\t" + .confidence + (if .side == "" then "" else ", " + .side end)' $lab/$1/explain.json)
		fi
		case $vo_rule in */*) vo_side=${vo_rule#*/} ;; esac
		if [ "${vo_got%%	*}" = "${vo_rule%/*}" ] && case $vo_got in *"${vo_side:+, }$vo_side") ;; *) false ;; esac; then
			printf '| %s | %s | %s | %d.%d |\n' "$vo_fault" "${vo_rule%/*}" "${vo_got#*	}" \
				$(((vo_now - vo_at) / 1000)) $(((vo_now - vo_at) % 1000 / 100))
		else
			printf '%s\t%s\t%s\t%s\t%s\n' "$vo_host" "$vo_peer" "$vo_rule" "$vo_at" "$vo_fault" >>$lab/rest
		fi
	done <$verdicts_wait
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
