#!/bin/sh
# Mails what was denied or changed since the last mail, and nothing if nothing was:
#
#     MAILTO=admin@example.com mail-digest.sh
#
# It is run by a timer or by cron, such as once an hour. The first run only notes
# where it begins. If the mail cannot be sent, the next run tries it again.
set -eu
place=${STATE_DIRECTORY:-.}/mail-digest.place
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if [ -e "$place" ]; then cp "$place" "$work/place"; fi

ipe-auditd tail --no-follow --full --no-ids --color never --cursor-file "$work/place" \
	--match '[{"verdicts":["denied"]},{"not":{"events":["access"]}}]' >"$work/events"
if [ -s "$work/events" ]; then
	{
		head -n 200 "$work/events"
		more=$(($(wc -l <"$work/events") - 200))
		if [ "$more" -gt 0 ]; then echo "... and $more more: ipe-auditd report --since 1d"; fi
	} | mail -s "IPE on $(uname -n): $(wc -l <"$work/events") events" "${MAILTO:-root}"
fi
mv "$work/place" "$place"
