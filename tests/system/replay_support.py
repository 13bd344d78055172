"""replay_support - relays, without and with CURVE, of which a client's whole session can be recorded."""

import os
import re
import shutil
import socket
import struct

import relay_client as rc
import yamd_support as support
from fault_proxy import FaultProxy


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

    def __init__(self, *arguments):
        server = support.yam("keygen", support.folder("relay"))[0].strip()
        public = support.yam("keygen", support.folder("friend"))[0].strip()
        with open(support.folder("friend_secret"), encoding="ascii") as file:
            secret = re.search(r'secret-key\s*=\s*"(.{40})"', file.read())[1]
        os.mkdir(support.folder("clients"))
        shutil.move(support.folder("friend"), support.folder("clients/friend"))
        self.keys = [key.encode() for key in (server, public, secret)]
        super().__init__("--certificate", support.folder("relay"), "--clients", support.folder("clients"), *arguments)
        self.options = ("--certificate", support.folder("friend_secret"), "-e",
                        f"{self.proxy.endpoint}?grade=sure&heartbeat=200ms&server-key={server}")
