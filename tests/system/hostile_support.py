"""hostile_support - what tests of hostile peers share: a relay's row and memory, somebody well-behaved, bytes on a port."""

import os
import select
import socket
import struct
import time

import msgpack
import zmq

import relay_client as rc
import yamd_support as support

MIB = 1 << 20
FRAME = 20 * MIB
SLACK = 3 if support.IS_SANITIZED else 1  # a sanitizer keeps what is freed for a while, and is slow


def start(*arguments, **options):
    return support.Relay("--reserve", "0", "--segment-size", "4M", *arguments, **options)


def memory(relay, name="VmHWM"):
    with open(f"/proc/{relay.process.pid}/status", encoding="ascii") as file:
        return next(int(line.split()[1]) << 10 for line in file if line.startswith(name + ":"))


def used(relay):
    """Seconds of processors that the relay's threads have used."""
    total = 0
    for task in os.listdir(f"/proc/{relay.process.pid}/task"):
        with open(f"/proc/{relay.process.pid}/task/{task}/schedstat", encoding="ascii") as file:
            total += int(file.read().split()[0])
    return total / 1e9


def ask(relay, link):
    """The relay's own row; None when so many rows are asked for that this one is for later."""
    link.send(rc.control(rc.ADMIN, serial=1, command="stat"))
    while link.poll(support.TIMEOUT * 1000):
        frame = link.recv()
        if frame[5] == rc.REPLY:
            reply = msgpack.unpackb(frame[16:])
            assert "rows" in reply or reply["status"] == rc.LIMIT, reply
            return msgpack.unpackb(reply["rows"])[0] if "rows" in reply else None
    assert relay.process.poll() is None, f"the relay has ended: {relay.read_log()[-500:]}"
    raise AssertionError("no answer to stat")


def stat(relay):
    """The relay's own row."""
    with zmq.Context.instance().socket(zmq.DEALER) as link:
        link.linger = 0
        link.connect(relay.endpoint)
        link.send(rc.control(rc.HELLO, session=1, name="asks", max_frame=FRAME, heartbeat_ms=60000))
        return support.until(lambda: ask(relay, link), "others ask for so much that there is no answer to stat")


def wait_for(relay, is_true, what, timeout=support.TIMEOUT):
    """Asks for the relay's row until is_true(row)."""
    row = {}

    def look():
        row.update(stat(relay))
        return is_true(row)

    support.until(look, lambda: f"{what}: not in time: {row}", timeout)
    return row


def serve(relay, count=20, queue="well-behaved"):
    """Somebody well-behaved produces and consumes; all of it arrives."""
    with rc.Client(relay.endpoint, rc.Journal(queue), relay.process) as client:
        client.open()
        client.ask(count)
        client.flush()
        client.drain()
        assert not client.journal.judge(), client.journal.judge()


#   -- Bytes on the port -----------------------------------------------------------------------------------


GREETING_BYTES = b"\xff" + bytes(8) + b"\x7f\x03\x00NULL" + bytes(48)
READY = b"\x04\x1c\x05READY\x0bSocket-Type\x00\x00\x00\x06DEALER"
HELLO = rc.control(rc.HELLO, session=1, name="hostile", max_frame=FRAME, heartbeat_ms=3600000)


def zmtp(frame, more=False):
    return struct.pack(">BQ", 3 if more else 2, len(frame)) + frame


class Raw:
    """A ZMTP 3.0 peer without a mechanism that sends what it likes, and reads only when told."""

    def __init__(self, relay, receive_buffer=None, greet=True):
        host, port = relay.endpoint.removeprefix("tcp://").rsplit(":", 1)
        self.socket = socket.socket()
        self.is_greeted = greet
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.connect((host, int(port)))
        self.socket.settimeout(support.TIMEOUT)
        if greet:
            self.say(GREETING_BYTES)
            self.say(READY)
            answer = b""
            while b"READY" not in answer:  # messages before it are an error
                more = self.socket.recv(4096)
                assert more, "ended within the handshake"
                answer += more

    def say(self, data):
        self.socket.sendall(data)

    def send(self, frame, more=False):
        self.say(zmtp(frame, more))

    def control(self, code, handle=0, **fields):
        self.send(rc.control(code, handle, **fields))

    def hello(self):
        self.send(HELLO)

    def pong(self):
        """All that a live ZMTP peer without anything to say would answer."""
        try:
            self.say(b"\x04\x05\x04PONG")
        except ConnectionError:
            pass

    def pretend(self):
        """Whoever sends anything need not answer ZMTP's heartbeats."""
        self.control(rc.HEARTBEAT)
        return True

    def is_ended(self, timeout):
        """Whether the far end ends it in time, whatever it says before."""
        deadline = time.monotonic() + timeout
        while select.select([self.socket], [], [], max(0, deadline - time.monotonic()))[0]:
            try:
                if not self.socket.recv(65536):
                    return True
            except ConnectionError:
                return True
        return False

    def close(self):
        self.socket.close()
