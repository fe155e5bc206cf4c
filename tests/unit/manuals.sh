#!/bin/sh
# Every manual page is clean under mandoc's lint, and has the sections that it must have.
command -v mandoc >/dev/null || exit 77
cd "${WEIR_SRCDIR:-.}/man" || exit 1
failed=0
for page in *.[1-9]; do
	# Whether other packages' manuals are installed here is no fault of a page.
	found=$(mandoc -Tlint -Wstyle "$page" 2>/dev/null | grep -v 'referenced manual not found\|lacks .* entry')
	if [ -n "$found" ]; then
		echo "$found"
		failed=1
	fi
	for title in NAME DESCRIPTION "SEE ALSO"; do
		grep -q "^.Sh $title" "$page" || {
			echo "$page: no $title"
			failed=1
		}
	done
done
exit $failed
