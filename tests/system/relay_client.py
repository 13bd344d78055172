"""relay_client - a client written from patterns/relay/SPEC.md that keeps a journal, so that a test can judge a relay.

Numbers of messages are the producer's sequences. The journal knows what was asked, confirmed, received and settled; a
session that ends midway leaves "unknown", and the next one goes on where it ended. Not thread-safe.
"""

import hashlib
import os
import random
import struct
import time

import msgpack
import zmq

(HELLO, WELCOME, ATTACH, ATTACHED, DETACH, DETACHED, CONFIRM, REFUSE, CREDIT, DELIVER, ACK, NACK, EXTEND, REJECT,
 RELEASE, ACKED, HEARTBEAT, ADMIN, REPLY, ERROR, GOODBYE) = range(1, 22)
FULL, DISK, CLOSING, STORAGE_FAILED, GAP, FENCED = 1, 3, 6, 7, 8, 9
NO_SESSION, LIMIT = 13, 14
SYNCED = 3
PRODUCER, CONSUMER = 1, 2  # handles
PATIENCE = 60  # seconds; a test of relays that may leave a frame unanswered lowers it


def deadline_of(timeout):
    return time.monotonic() + (PATIENCE if timeout is None else timeout)


class Gone(Exception):
    """The relay's process has ended, or it has ended the session."""


def _table():
    table = list(range(256))
    for _ in range(8):
        table = [entry >> 1 ^ (0x82F63B78 if entry & 1 else 0) for entry in table]
    return table


_CRC = _table()


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ _CRC[crc & 0xFF ^ byte]
    return crc ^ 0xFFFFFFFF


def control(code, handle=0, **fields):
    body = msgpack.packb({key.replace("_", "-"): value for key, value in fields.items()})
    return struct.pack("<IBBHII", 0x4C4D4159, 1, code, 0, handle, len(body)) + body


def batch(producer, epoch, first, bodies):
    """Without a checksum of the payload, which Python would take too long for."""
    payload = b"".join(struct.pack("<IHBBI", len(body), 0, 0, 4, 0) + body for body in bodies)
    head = struct.pack("<IBBHIIII16sQI", 0x424D4159, 1, 1, 0, len(payload), len(bodies), PRODUCER, epoch, producer,
                       first, 0)
    return head + struct.pack("<I", crc32c(head)) + payload


def bodies_of(frame):
    """The bodies of a batch without due and expiry times."""
    at, bodies = 56, []
    for _ in range(struct.unpack_from("<I", frame, 12)[0]):
        size, properties_size = struct.unpack_from("<IH", frame, at)
        at += 12 + properties_size + size
        bodies.append(frame[at - size:at])
    return bodies


class Journal:
    """What one producer and one consumer of a queue know, over all sessions; and what is wrong."""

    def __init__(self, queue="orders", least=2000, most=9000):
        self.queue = queue
        self.producer = hashlib.blake2b(os.urandom(16), digest_size=16).digest()
        self.sizes = least, most
        self.epoch = 0
        self.asked = 0
        self.confirmed = 0  # all up to it
        self.sequences = {}  # of the channel, by number
        self.deliveries = {}
        self.sent_acks = set()
        self.settled = set()  # the ack is durable
        self.durable_nacks = {}
        self.failures = {}  # as the last delivery said
        self.moments = {}  # of the last delivery, monotonic
        self.times = {}  # the relay's own of each message, seconds since 1970
        self.copies = 0  # deliveries beyond the first
        self.wrong = []

    def body(self, number):
        least, most = self.sizes
        chooser = random.Random(number)
        size = chooser.randint(least, most)
        head = b"<%d>" % number
        return (head + chooser.randbytes(64) * (size // 64 + 1))[:size]

    def blame(self, number, what):
        self.wrong.append(f"message {number} {what}")

    def receive(self, body, sequence, failures):
        """Notes a delivery; returns the number, or None for what was never asked."""
        number = int(body[1:body.index(b">")]) if body[:1] == b"<" and b">" in body[:20] else 0
        if not 0 < number <= self.asked:
            self.wrong.append(f"was never asked: {body[:20]!r}")
            return None
        if body != self.body(number):
            self.blame(number, "has another body")
        if self.sequences.setdefault(number, sequence) != sequence:
            self.blame(number, f"is stored twice, at {self.sequences[number]} and {sequence}")
        if number in self.settled:
            self.blame(number, "came after its ack was durable")
        if failures < self.durable_nacks.get(number, 0):
            self.blame(number, f"has {failures} failures, and {self.durable_nacks[number]} were durable")
        self.failures[number] = failures
        self.moments[number] = time.monotonic()
        self.copies += 1 if number in self.deliveries else 0
        self.deliveries[number] = self.deliveries.get(number, 0) + 1
        return number

    def judge(self):
        """After everything has been drained: all that is wrong, as a list of sentences."""
        done = self.settled | self.sent_acks
        stored = set(range(1, self.confirmed + 1)) | set(self.deliveries)
        missing = [f"message {number} was stored and is missing" for number in sorted(stored - done)]
        order = [self.sequences[number] for number in sorted(self.sequences)]
        disorder = [] if order == sorted(order) else ["the channel's order is not the producer's"]
        return self.wrong + missing + disorder


class Client:
    """A session that produces and consumes. process: the relay's, whose end raises Gone. keys: CURVE, of the server,
    one's own public and secret one."""

    def __init__(self, endpoint, journal, process=None, choose=None, lease_ms=0, keys=None):
        self.journal = journal
        self.choose = choose or (lambda number, deliveries: ACK)
        self.socket = zmq.Context.instance().socket(zmq.DEALER)
        self.socket.linger = 0
        if keys:
            self.socket.curve_serverkey, self.socket.curve_publickey, self.socket.curve_secretkey = keys
        self.socket.connect(endpoint)
        self.poller = zmq.Poller()
        self.poller.register(self.socket, zmq.POLLIN)
        self.end = None if process is None else os.pidfd_open(process.pid)
        if self.end is not None:
            self.poller.register(self.end, zmq.POLLIN)
        self.next = 0  # number to send next
        self.paused = False  # refused for now
        self.refusals = []
        self.serial = 0
        self.unsettled = {}  # serial -> (frame type, numbers)
        self.taken = {}  # what settle() needs, by number
        self.fenced = 0  # answers to stale settles
        self.lease_ms = lease_ms
        self.failed = False

    def close(self):
        self.socket.close()
        if self.end is not None:
            os.close(self.end)
            self.end = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    #   -- Receiving -------------------------------------------------------------------------------------

    def step(self, timeout=None):
        """Waits for the next frame and takes it in; returns (type, fields), or None when none comes."""
        ready = dict(self.poller.poll(max(0, PATIENCE if timeout is None else timeout) * 1000))
        if self.socket not in ready:
            if self.end in ready:
                raise Gone("its process has ended")
            return None
        head, *rest = self.socket.recv_multipart()
        code, fields = head[5], msgpack.unpackb(head[16:])
        if code == GOODBYE or (code == DETACHED and fields.get("status")):
            raise Gone(fields)
        if code in (CONFIRM, ATTACHED) and struct.unpack_from("<I", head, 8)[0] == PRODUCER:
            self._confirm(fields)
        elif code == REFUSE:
            self._refuse(fields)
        elif code == DELIVER:
            self._deliver(fields, rest[0])
        elif code == ACKED:
            self._acked(fields["serial"])
        elif code == ERROR:
            self.fenced += 1 if fields["status"] == FENCED else 0
        return code, fields

    def until(self, is_true, what="what was waited for", timeout=None):
        """Takes in frames until is_true(); raises Gone, or AssertionError when it takes too long."""
        deadline = deadline_of(timeout)
        while not is_true():
            assert self.step(deadline - time.monotonic()) or time.monotonic() < deadline, f"{what}: not in time"

    def _wait(self, wanted, timeout=None):
        deadline = deadline_of(timeout)
        while True:
            frame = self.step(deadline - time.monotonic())
            assert frame, f"no frame {wanted} in time"
            if frame[0] == wanted:
                return frame[1]

    def _confirm(self, fields):
        if fields["level"] >= SYNCED and fields.get("epoch", self.journal.epoch) == self.journal.epoch:
            self.journal.confirmed = max(self.journal.confirmed, fields["sequence"])

    def _refuse(self, fields):
        self.refusals.append(fields["status"])
        if fields["status"] == GAP:
            self.next = min(self.next, fields["first"])
        elif fields["status"] in (FULL, DISK, CLOSING):
            self.paused = True
            self.next = min(self.next, fields["first"])
        elif fields["status"] == STORAGE_FAILED:
            self.failed = True
        else:
            self.journal.wrong.append(f"refused: {fields}")

    def _deliver(self, fields, frame):
        chosen = {}
        for sequence, body in enumerate(bodies_of(frame), fields["base"]):
            if fields["first"] <= sequence <= fields["last"]:
                number = self.journal.receive(body, sequence, fields.get("failures", 0))
                if number is not None:
                    self.journal.times[number] = fields["time"] / 1000
                    self.taken[number] = fields["token"], sequence, number
                    choice = self.choose(number, self.journal.deliveries[number])
                    chosen.setdefault(choice, []).append((fields["token"], sequence, number))
        for choice, messages in chosen.items():
            if choice is not None:
                self.settle(choice, messages, **({"delay_ms": 0} if choice == NACK else {}))

    def _acked(self, serial):
        for number in [number for number in self.unsettled if number <= serial]:
            choice, numbers = self.unsettled.pop(number)
            if choice == ACK:
                self.journal.settled.update(numbers)
            elif choice == NACK:
                for message in numbers:
                    nacks = self.journal.durable_nacks
                    nacks[message] = nacks.get(message, 0) + 1

    #   -- Sending ---------------------------------------------------------------------------------------

    def open(self, produce=True, consume=True, credit=1 << 40, heartbeat_ms=3600000, timeout=None):
        journal, session = self.journal, random.randrange(1, 1 << 64)
        self.socket.send(control(HELLO, session=session, name="client", max_frame=20971520,
                                 heartbeat_ms=heartbeat_ms))
        self._wait(WELCOME, timeout)
        if produce:
            self.socket.send(control(ATTACH, PRODUCER, role=1, kind=1, channel=journal.queue, producer=journal.producer,
                                     epoch=journal.epoch, first=journal.confirmed + 1))
            journal.epoch = self._wait(ATTACHED, timeout)["epoch"]
            self.next = journal.confirmed + 1
        if consume:
            self.socket.send(control(ATTACH, CONSUMER, role=2, kind=1, channel=journal.queue, lease_ms=self.lease_ms))
            self._wait(ATTACHED, timeout)
            self.socket.send(control(CREDIT, CONSUMER, messages=credit, bytes=1 << 40))
        return self

    def ask(self, count):
        """Asks for so many more messages; send() sends them."""
        self.journal.asked += count

    def send(self, most=1 << 20):
        """Sends what is asked and not sent yet, in batches of at most three, `most` batches at a time."""
        journal = self.journal
        while self.next <= journal.asked and most > 0 and not self.paused:
            last = min(self.next + 2, journal.asked)
            bodies = [journal.body(number) for number in range(self.next, last + 1)]
            self.socket.send(batch(journal.producer, journal.epoch, self.next, bodies))
            self.next, most = last + 1, most - 1

    def settle_taken(self, choice, numbers, **fields):
        """Settles what choose() left alone."""
        self.settle(choice, [self.taken[number] for number in numbers], **fields)

    def settle(self, choice, messages, **fields):
        """messages: (token, sequence, number) each."""
        self.serial += 1
        ranges = [value for token, sequence, _ in messages for value in (token, sequence, sequence)]
        numbers = [number for _, _, number in messages]
        if choice == ACK:
            self.journal.sent_acks.update(numbers)
        self.unsettled[self.serial] = choice, numbers
        self.socket.send(control(choice, CONSUMER, serial=self.serial, ranges=ranges, **fields))

    #   -- Whole scenes ----------------------------------------------------------------------------------

    def flush(self, timeout=None):
        """Until all that was asked is confirmed."""
        deadline = deadline_of(timeout)
        while self.journal.confirmed < self.journal.asked:
            self.send()
            assert self.step(deadline - time.monotonic()), "not all is confirmed in time"

    def stat(self, timeout=None):
        """What the relay says about the queue's group, such as "messages" that are not settled; without a queue, about
        itself. When all have asked too much within one second, in the next one."""
        deadline = deadline_of(timeout)
        fields = {"status": LIMIT}
        while fields["status"] == LIMIT:
            self.serial += 1
            channel = {"channel": self.journal.queue} if self.journal.queue else {}
            self.socket.send(control(ADMIN, serial=self.serial, command="stat", **channel))
            fields = self._wait(REPLY, deadline - time.monotonic())
            if fields["status"] == LIMIT:
                self.step(0.1)
        assert fields["status"] == 0, fields
        return msgpack.unpackb(fields["rows"])[0]

    def left(self):
        return self.stat()["messages"]

    def drain(self, timeout=None):
        """Takes and acks until the relay has nothing left, and says that it never forgets that."""
        deadline = deadline_of(timeout)
        while self.unsettled or self.stat(deadline - time.monotonic())["messages"] > 0:
            self.step(0.01)
            assert time.monotonic() < deadline, "not drained in time"
