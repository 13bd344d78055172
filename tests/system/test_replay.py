#!/usr/bin/python3
"""Somebody on the way who has recorded a client of a relay with CURVE, and says it all again: to new connections, and
within one that lives. Nobody is let in for it, and nothing is stored twice.
"""

import os
import re
import shutil
import socket
import struct
import time

import relay_client as rc
import yamd_support as support
from fault_proxy import FaultProxy

GREETING = 10  # seconds; patterns/relay/SPEC.md, section 12
COPIES = 20


class Plain:
    """A relay without CURVE; what its client says through .proxy can be recorded."""

    first = b"\x05READY"
    keys = None

    def __init__(self, *arguments):
        self.relay = support.Relay("--reserve", "0", *arguments)
        self.proxy = FaultProxy(self.relay.endpoint)
        self.proxy.records = True

    def serve(self, endpoint=None, queue="well-behaved"):
        """The client produces and consumes; all of it arrives."""
        with rc.Client(endpoint or self.relay.endpoint, rc.Journal(queue), self.relay.process, keys=self.keys) as client:
            client.open()
            client.ask(20)
            client.flush()
            client.drain()
            assert not client.journal.judge(), client.journal.judge()

    def record(self):
        """What a client says from its greeting to its last ack: the greeting, and frames of ZMTP."""
        self.serve(self.proxy.endpoint, "recorded")
        said, frames = bytes(self.proxy.connections[0].said), []
        at = 64  # behind the greeting
        while at < len(said):
            size, head = (struct.unpack_from(">Q", said, at + 1)[0], 9) if said[at] & 2 else (said[at + 1], 2)
            frames.append(said[at:at + head + size])
            at += head + size
        assert frames[0][2:].startswith(self.first) and len(frames) > 5, frames
        return said[:64], frames

    def connect(self, said):
        host, port = self.relay.endpoint.removeprefix("tcp://").rsplit(":", 1)
        peer = socket.create_connection((host, int(port)), support.TIMEOUT)
        peer.sendall(said)
        return peer

    def look(self, queue=None):
        """The row of a queue, or the relay's own."""
        with rc.Client(self.relay.endpoint, rc.Journal(queue), self.relay.process, keys=self.keys) as client:
            client.open(produce=False, consume=False)
            return client.stat()


class Scene(Plain):
    """The same with CURVE, which lets that client in."""

    first = b"\x05HELLO"

    def __init__(self):
        server = support.yam("keygen", support.folder("relay"))[0].strip()
        public = support.yam("keygen", support.folder("friend"))[0].strip()
        with open(support.folder("friend_secret"), encoding="ascii") as file:
            secret = re.search(r'secret-key\s*=\s*"(.{40})"', file.read())[1]
        os.mkdir(support.folder("clients"))
        shutil.move(support.folder("friend"), support.folder("clients/friend"))
        self.keys = [key.encode() for key in (server, public, secret)]
        super().__init__("--certificate", support.folder("relay"), "--clients", support.folder("clients"))
        self.options = ("--certificate", support.folder("friend_secret"), "-e",
                        f"{self.proxy.endpoint}?grade=sure&server-key={server}")


def read_until(peer, text, timeout=support.TIMEOUT):
    """What the relay says until it says that, or ends the connection; whether it does one of them in time."""
    heard, deadline = b"", time.monotonic() + timeout
    try:
        while text not in heard:
            peer.settimeout(max(0.001, deadline - time.monotonic()))
            more = peer.recv(65536)
            if not more:
                break
            heard += more
    except ConnectionError:
        pass
    except TimeoutError:
        return heard, False
    return heard, True


def replay(scene):
    """Says all of it again; what is wrong, as a list of sentences."""
    greeting, frames = scene.record()
    before = scene.look()
    peers, wrong = [], []
    for copy in range(COPIES):  # at once: all of it, or as far as each of its frames
        peers.append(scene.connect(greeting + b"".join(frames[:copy % len(frames) + 1])))
    for _ in range(COPIES):  # step by step, as if it had the keys
        peers.append(scene.connect(greeting + frames[0]))
        read_until(peers[-1], b"\x07WELCOME" if scene.keys else b"READY")
        peers[-1].sendall(b"".join(frames[1:]))
    deadline = time.monotonic() + GREETING + support.TIMEOUT / 3
    for peer in peers:
        heard, is_ended = read_until(peer, b"READY", deadline - time.monotonic())
        wrong += [] if is_ended else ["it was not ended in time"]
        wrong += ["it was let in"] if b"READY" in heard else []
    for peer in peers:
        peer.close()
    row = scene.look()
    failed = row["handshakes-failed"] - before["handshakes-failed"]
    wrong += [] if failed == 2 * COPIES else [f"{failed} are counted"]
    wrong += [f"{name} is {row[name]}, was {before[name]}" for name in ("sessions", "peers", "errors", "messages-in")
              if row[name] > before[name]]
    scene.serve()
    return wrong


def test_recorded_handshakes_let_nobody_in():
    wrong = replay(Scene())
    assert not wrong, wrong


def test_check_sees_recordings_that_are_let_in():
    wrong = replay(Plain())  # without CURVE that is so
    assert "it was let in" in wrong and any("peers" in what for what in wrong), wrong


def test_frames_of_curve_that_come_twice_end_their_connection_and_store_nothing_twice():
    scene = Scene()
    lines = "".join(f"{number}\n" for number in range(1, 20001))
    chunks = range(8)  # of the greeting, of the handshake, of messages
    for chunk in chunks:
        scene.proxy.repeat, before = chunk, len(scene.proxy.connections)
        output, _ = support.yam("push", "q", *scene.options, stdin=lines)
        assert output == "20000 confirmed (synced)\n", output
        assert scene.proxy.repeat is None and len(scene.proxy.connections) >= before + 2, "nothing was repeated, or taken"
        assert support.yam("pull", "q", *scene.options, "-n", "20000")[0] == lines
        assert scene.look("q")["messages"] == 0
    assert scene.look()["messages-in"] == len(chunks) * 20000, scene.look()
    scene.serve()


if __name__ == "__main__":
    support.main(globals())
