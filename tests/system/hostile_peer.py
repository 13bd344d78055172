"""hostile_peer ENDPOINT PLAN IS_ANSWERED - attacks somebody as a plan says, for as long as it is not stopped.

The plan, in JSON: so many `links`, each of which connects, says `opening`, waits until it hears `awaited` (unless nobody
answers), and says `frames`, which are `count` of them, again and again, so that all say `rate` a second. `is_once`: it
says them once, and comes again. `is_deaf`: it reads nothing. Bytes are in hexadecimal digits, a list of frames has one for
each link in turn. What it says is prepared, so that it costs next to nothing; whoever is ended comes again.
"""

import json
import math
import select
import socket
import sys
import time

PACE = 0.005  # seconds between two turns
MOST = 0.1  # seconds of what was not taken in time that are made up for


class Link:
    def __init__(self, plan, index, address, is_answered):
        self.address, self.is_once, self.is_deaf = address, plan["is_once"], plan["is_deaf"]
        self.opening = bytes.fromhex(plan["opening"])
        self.awaited = bytes.fromhex(plan["awaited"]) if is_answered else b""
        self.greeting = bytes.fromhex(plan["greeting"])
        self.frames = bytes.fromhex(plan["frames"][index % len(plan["frames"])])
        self.rate = plan["rate"] / plan["links"]
        self.size = len(self.frames) / plan["count"]  # of one frame
        self.owed = 0  # frames
        self.rest, self.socket = b"", None

    def connect(self):
        self.socket = socket.socket()
        self.socket.settimeout(1)
        #   Else what it has said waits for an acknowledgement, and goes out when it is stopped.
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.is_deaf:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        self.socket.connect(self.address)
        self.socket.sendall(self.opening)
        heard = b""
        while self.awaited not in heard:
            more = self.socket.recv(4096)
            if not more:
                raise ConnectionError
            heard += more
        self.socket.sendall(self.greeting)
        self.socket.setblocking(False)
        self.rest = self.frames

    def read(self):
        try:
            while self.socket.recv(1 << 20):
                pass
            raise ConnectionError
        except BlockingIOError:
            pass

    def say(self):
        try:
            while self.owed > 0 and self.frames:
                self.rest = self.rest or self.frames
                sent = self.socket.send(self.rest[:math.ceil(self.owed * self.size)])
                self.rest = self.rest[sent:]
                self.owed -= sent / self.size
                if self.is_once and not self.rest:
                    raise ConnectionError
        except BlockingIOError:
            pass

    def turn(self, seconds):
        self.owed = min(self.owed + seconds * self.rate, max(1, MOST * self.rate))
        try:
            if self.socket is None and (self.owed > 0 or not self.is_once):
                self.connect()
            if self.socket is not None:
                if not self.is_deaf:
                    self.read()
                self.say()
        except OSError:  # it is ended, and comes again
            self.socket.close()
            self.socket = None


def main():
    host, port = sys.argv[1].removeprefix("tcp://").rsplit(":", 1)
    with open(sys.argv[2], encoding="ascii") as file:
        plan = json.load(file)
    links = [Link(plan, index, (host, int(port)), sys.argv[3] == "1") for index in range(plan["links"])]
    print("ready", flush=True)
    before = time.monotonic()
    while True:
        now = time.monotonic()
        for link in links:
            link.turn(min(now - before, 4 * PACE))
        before = now
        select.select([], [], [], PACE)  # its pace: this is the fault


main()
