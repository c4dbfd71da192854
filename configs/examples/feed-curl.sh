#!/bin/sh
# Runs a command for each denial and each change of IPE, with nothing but curl:
#
#     feed-curl.sh COMMAND [ARG...]
#
# The command gets the event on stdin, as one line of JSON, and is run again until
# it succeeds. Where the feed stands is kept in a file, so that nothing is missed
# while this script, or the daemon, does not run. The first run begins with what
# happens from now on.
set -eu
socket=${IPE_AUDITD_SOCKET:-/run/ipe-auditd/api.sock}
place=${STATE_DIRECTORY:-.}/feed-curl.place
match='[{"verdicts":["denied"]},{"not":{"events":["access"]}}]'

while :; do
	if [ -s "$place" ]; then begin="after=$(cat "$place")"; else begin="last=0"; fi
	# With cursor=true each line begins with the place to go on behind it; one of
	# nothing else says that there was nothing to select up to there.
	curl --silent --show-error --fail --no-buffer --unix-socket "$socket" --get \
		--data "follow=true&cursor=true&$begin" --data-urlencode "match=$match" http://localhost/events |
		while read -r at event; do
			if [ -n "$event" ]; then
				until printf '%s\n' "$event" | "$@"; do sleep 5; done
			fi
			printf '%s\n' "$at" >"$place"
		done || true
	sleep 1 # the daemon restarts
done
