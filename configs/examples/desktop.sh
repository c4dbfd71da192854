#!/bin/sh
# Shows each denial from now on as a notification of the desktop, with notify-send
# (libnotify). What repeats within a minute is counted and shown once more. Start it
# with the session, as a user who may read the feed.
set -eu
ipe-auditd tail -n 0 --coalesce 1m --full --no-ids --color never --verdict denied |
	while read -r line; do
		# The text of a notification may have markup, and the name of a file can be
		# anything.
		text=$(printf '%s\n' "$line" | sed 's/&/\&amp;/g; s/</\&lt;/g; s/>/\&gt;/g')
		notify-send --app-name=ipe-auditd --urgency=critical --icon=dialog-error 'IPE denied' "$text" || true
	done
