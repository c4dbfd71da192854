#!/bin/sh
# Runs a command for each denial and each change of IPE, with curl and jq:
#
#     feed-curl.sh COMMAND [ARG...]
#
# The command gets the event on stdin, as one line of JSON, and is run again until
# it succeeds. Where the feed stands is kept in a file, so that nothing is missed
# while this script, or the daemon, does not run. The first run begins with the
# oldest event that is kept.
set -eu
socket=${IPE_AUDITD_SOCKET:-/run/ipe-auditd/api.sock}
place=${STATE_DIRECTORY:-.}/feed-curl.place

# One request cannot ask for denials or for events that are no access, so all
# come and jq selects. An event that was lost before it could be read has no
# place of its own ("-").
select='select(.verdict == "denied" or .event != "access")
	| if .seq then "\(.spool):\(.seq)" else "-" end + " " + tojson'

while :; do
	after=
	if [ -s "$place" ]; then after="&after=$(cat "$place")"; fi
	curl --silent --show-error --fail --no-buffer --unix-socket "$socket" \
		"http://localhost/events?follow=true$after" |
		jq --unbuffered --raw-output "$select" |
		while read -r at event; do
			until printf '%s\n' "$event" | "$@"; do sleep 5; done
			if [ "$at" != - ]; then printf '%s\n' "$at" >"$place"; fi
		done || true
	sleep 1 # the daemon restarts
done
