#!/usr/bin/env python3
"""Posts each denial and each change of IPE to a URL, as JSON.

    webhook.py https://alerts.example.com/hook

An event is posted again until the answer is 2xx, and only then the next one. Where
the feed stands is kept in a file; the first run begins with what happens from now
on. It needs nothing but the standard library.
"""

import http.client
import json
import os
import socket
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

SOCKET = os.environ.get("IPE_AUDITD_SOCKET", "/run/ipe-auditd/api.sock")
PLACE = os.path.join(os.environ.get("STATE_DIRECTORY", "."), "webhook.place")
MATCH = [{"verdicts": ["denied"]}, {"not": {"events": ["access"]}}]


class Connection(http.client.HTTPConnection):
    """HTTP on a unix socket."""

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.connect(SOCKET)


def post(url, event):
    """Posts until it is accepted. Spool and seq name the event for ever."""
    headers = {"Content-Type": "application/json"}
    while True:
        try:
            with urllib.request.urlopen(urllib.request.Request(url, event, headers), timeout=10):
                return
        except OSError as error:  # also urllib.error.URLError
            print("post:", error, file=sys.stderr)
            time.sleep(1)


def follow(url, place):
    """Posts what comes behind a place, until the daemon goes."""
    query = {"follow": "true", "cursor": "true", "match": json.dumps(MATCH)}
    query |= {"after": place} if place else {"last": "0"}
    connection = Connection("localhost")
    try:
        connection.request("GET", "/events?" + urllib.parse.urlencode(query))
        response = connection.getresponse()
        if response.status != 200:
            raise OSError(response.read().decode().strip())
        for line in response:
            place, _, event = line.strip().partition(b" ")
            if event:
                post(url, event)
            with open(PLACE + ".new", "wb") as file:
                file.write(place)
            os.replace(PLACE + ".new", PLACE)
    finally:
        connection.close()


def main():
    while True:
        try:
            place = ""
            if os.path.exists(PLACE):
                with open(PLACE) as file:
                    place = file.read()
            follow(sys.argv[1], place)
        except (OSError, http.client.HTTPException) as error:
            print("waiting for the daemon:", error, file=sys.stderr)
        time.sleep(1)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass
