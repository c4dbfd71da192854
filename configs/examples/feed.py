#!/usr/bin/env python3
"""Prints an alert for each denial and each change of IPE.

It needs nothing but the standard library. Where the feed stands is kept in a
file, so that nothing is missed while this script, or the daemon, does not run.
The first run begins with what happens from now on.
"""

import http.client
import json
import os
import socket
import sys
import time
import urllib.parse

SOCKET = os.environ.get("IPE_AUDITD_SOCKET", "/run/ipe-auditd/api.sock")
MATCH = [{"verdicts": ["denied"]}, {"not": {"events": ["access"]}}]
PLACE = os.path.join(os.environ.get("STATE_DIRECTORY", "."), "feed-py.place")


class Connection(http.client.HTTPConnection):
    """HTTP on a unix socket."""

    def __init__(self, path):
        super().__init__("localhost")
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.connect(self.path)


def events(after):
    """Yields places, each with its event or None, behind a place or from now on."""
    query = {"follow": "true", "cursor": "true", "match": json.dumps(MATCH)}
    query |= {"after": after} if after else {"last": "0"}
    connection = Connection(SOCKET)
    try:
        connection.request("GET", "/events?" + urllib.parse.urlencode(query))
        response = connection.getresponse()
        if response.status != 200:
            raise OSError(response.read().decode().strip())
        for line in response:
            place, _, event = line.decode().strip().partition(" ")
            yield place, json.loads(event) if event else None
    finally:
        connection.close()


def alert(event):
    """Says what happened. Put a pager, a ticket or a chat here."""
    kind = event["event"]
    if kind == "access":
        # json.dumps, because the name of a file can be anything.
        print("denied:", event["ipe_op"], json.dumps(event.get("path")), flush=True)
    elif kind == "lost":
        print("lost:", event.get("count", "an unknown number"), "at stage", event["stage"], flush=True)
    else:
        print(f"{kind}:", json.dumps(event), flush=True)


def load():
    try:
        with open(PLACE) as file:
            return file.read().strip()
    except FileNotFoundError:
        return ""


def save(place):
    with open(PLACE + ".new", "w") as file:
        file.write(place)
    os.replace(PLACE + ".new", PLACE)


def main():
    place = load()
    while True:
        try:
            for place, event in events(place):
                if event:
                    alert(event)
                save(place)
        except (OSError, http.client.HTTPException) as error:
            print("waiting for the daemon:", error, file=sys.stderr)
        time.sleep(1)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass
