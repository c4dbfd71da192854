#!/bin/sh
# Runs a command for each denial from now on, with nothing but ipe-auditd:
#
#     feed-tail.sh COMMAND [ARG...]
#
# The command gets the event on stdin, as one line of JSON. tail waits for the
# daemon when that restarts, and goes on where it was; what happens while this
# script does not run is not looked at.
set -eu
ipe-auditd tail --json -n 0 --verdict denied ${IPE_AUDITD_SOCKET:+--socket "$IPE_AUDITD_SOCKET"} |
	while read -r event; do
		printf '%s\n' "$event" | "$@" || echo "$1 failed for: $event" >&2
	done
