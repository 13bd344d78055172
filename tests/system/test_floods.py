#!/usr/bin/python3
"""Floods, and other attacks that go on: others keep at least half of what they had.

What is measured is what an attack costs the relay and so everybody else, not who gets the processors of this machine: what
is said is prepared, which costs the sender next to nothing, and the same said to somebody who throws it away is what it is
compared with. Two links together send so many frames a second, enough to stop the relay should one of them cost it a tenth
of a millisecond. YAM_RATE=N sends more, to see who wins.
"""

import json
import os
import signal
import statistics
import struct
import subprocess
import sys
import threading
import time
import types

import zmq

import relay_client as rc
import yamd_support as support
from hostile_support import (FRAME, GREETING_BYTES, HELLO, MIB, READY, SLACK, memory, serve, start, stat, used, wait_for,
                             zmtp)
from replay_support import Scene

RATE = int(os.environ.get("YAM_RATE") or 10000)
DEAR = RATE // (200 if support.IS_SANITIZED else 20)  # of frames that take a sanitizer ten milliseconds
SHARE = 30 if support.IS_SANITIZED else 2  # of a client's speed is left beside an attack, at least
TURNS = 5 if support.IS_SANITIZED else 25
CLEAR_TURNS, CLEAR = 13, 1.5  # from so many on, so much more than the least share need not be looked at again
LEAST = 500 if support.IS_SANITIZED else 5000  # frames: so many that what else the machine does is little for each
PEER = os.path.join(os.path.dirname(__file__), "hostile_peer.py")

SINK = """
import select, socket
listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
print("ready", "tcp://127.0.0.1:%d" % listener.getsockname()[1], flush=True)
peers = {listener.fileno(): listener}
poll = select.poll()
poll.register(listener, select.POLLIN)
while True:
    for number, _ in poll.poll():
        peer = peers[number]
        if peer is listener:
            peer = listener.accept()[0]
            peers[peer.fileno()] = peer
            poll.register(peer, select.POLLIN)
            continue
        try:
            is_ended = not peer.recv(1 << 20)
        except ConnectionError:
            is_ended = True
        if is_ended:
            poll.unregister(number)
            peers.pop(number).close()
"""


def plan(frames=(), links=2, rate=RATE, opening=GREETING_BYTES + READY, greeting=zmtp(HELLO), is_once=False, is_deaf=False):
    """Of hostile_peer. frames: as they go over the wire, the same of all links."""
    frames = list(frames)
    frames *= max(1, 10 // max(1, len(frames)))
    return {"opening": opening.hex(), "awaited": (b"READY" if opening.endswith(READY) else b"").hex(),
            "greeting": greeting.hex(), "frames": [b"".join(frames).hex()], "count": max(1, len(frames)), "links": links,
            "rate": rate, "is_once": is_once, "is_deaf": is_deaf}


def flood(*frames, rate=RATE):
    return plan((zmtp(frame) for frame in frames), rate=rate)


def attach(handle, channel="flooded"):
    return rc.control(rc.ATTACH, handle, role=2, kind=1, channel=channel)


def python(*arguments):
    # pylint: disable=protected-access
    process = subprocess.Popen([sys.executable, *arguments], stdout=subprocess.PIPE, bufsize=0)
    support._processes.append(process)
    line = support.read_line(process.stdout).decode().split()
    assert line[:1] == ["ready"], line
    return process, line[-1]


def attack(path, endpoint, is_answered):
    """A process that attacks while it is not stopped; it is stopped at first."""
    process, _ = python(PEER, endpoint, path, str(is_answered))
    process.send_signal(signal.SIGSTOP)
    return process


def per_second(client, count):
    """Messages per second of a client that waits until three are confirmed, delivered, and their acks durable, so often."""
    began = time.monotonic()
    for _ in range(count):
        client.ask(3)
        client.send()
        client.until(lambda: len(client.journal.settled) == client.journal.asked == client.journal.confirmed)
    return 3 * count / (time.monotonic() - began)


def came(results):
    """How much of an attack there was: what came in its turns beyond what comes anyway."""
    return sum(one[2] - other[2] for one, other in zip(results[1], results[0]))


def shares_of(results):
    """Of turns that follow each other, so that what else the machine has to do is in both; half of them may be wrong."""
    return [under[0] / beside[0] for beside, under in zip(*results)]


def is_clear(results):
    return len(results[0]) >= CLEAR_TURNS and statistics.median(shares_of(results)) >= CLEAR / SHARE


def measure(relay, attacks, count, is_enough, keys=None, turns=TURNS, is_whole=False):
    """Of each of the attacks and each turn (messages per second of a client, seconds that the relay used, what came).

    There are so many turns, or fewer if what others keep is clear before (unless is_whole), and as many as it takes until the
    attack has come: is_enough(results so far).
    """
    results = [[] for _ in attacks]
    with rc.Client(relay.endpoint, rc.Journal("rated", 200, 900), relay.process, keys=keys) as client:
        client.open()
        end = float("inf")
        while len(results[0]) < turns and (is_whole or not is_clear(results)) or not is_enough(results):
            assert time.monotonic() < end, f"there was no attack: {results}"
            if len(results[0]) == turns:
                end = time.monotonic() + support.TIMEOUT
            for process, result in zip(attacks, results):
                before, began = count(), used(relay)
                process.send_signal(signal.SIGCONT)
                speed = per_second(client, 25)
                process.send_signal(signal.SIGSTOP)
                result.append((speed, used(relay) - began, count() - before))
    return results


def check(relay, kind, look, count_of, **limits):
    """Attacks as kind's plan says."""
    path = support.write("plan", json.dumps(kind))
    compare(relay, (attack(path, python("-c", SINK)[1], 0), attack(path, relay.endpoint, 1)), look, count_of, **limits)


def compare(relay, attacks, look, count_of, memory_limit=128 * MIB, most_us=100, keys=None, least=LEAST, has_come=bool,
            turns=TURNS, is_whole=False):
    """Of two attacks, of which the second is at the relay, until more than `least` has come and has_come(row). look():
    the relay's row; count_of(row): how much has come so far; where that counts (least > 0), it may cost so much each."""
    before = memory(relay)

    def is_enough(results):
        return (not least or came(results) > least) and has_come(look())

    results = measure(relay, attacks, lambda: count_of(look()), is_enough, keys, turns, is_whole)
    judge(results, memory(relay) - before, memory_limit, most_us, least)


def judge(results, grown, memory_limit, most_us, least):
    """What SECURITY.md promises; of a sanitizer's relay only that it goes on."""
    beside, under = results
    speeds = [statistics.median(speed for speed, _, _ in side) for side in results]
    shares = shares_of(results)
    share = statistics.median(shares)
    cost = sum(one[1] - other[1] for one, other in zip(under, beside))
    count = came(results)
    cost_us = 1e6 * cost / max(1, count)
    costs = f"{count:.0f} came, {cost_us:.1f} us each" if least else f"{cost:.2f} s of processors"
    print(f"# {speeds[0]:.0f}/s beside it, {speeds[1]:.0f}/s under it: {share:.2f} ({min(shares):.2f} to {max(shares):.2f}); "
          f"{costs}, {grown >> 20} MiB", flush=True)
    assert share >= 1 / SHARE, f"shares of each turn: {shares}"
    assert not least or cost_us < most_us or support.IS_SANITIZED, f"{cost_us:.1f} us of processors for each"
    assert grown < SLACK * memory_limit, f"{grown >> 20} MiB"


def check_flood(kind, prepare=None, count_of=None, **limits):
    """The same at a relay of its own, which serves as before in the end. Returns its last row."""
    relay = start()
    serve(relay)
    if prepare:
        prepare(relay)
    frame = len(kind["frames"][0]) / 2 / kind["count"] - 9  # without ZMTP's head
    check(relay, kind, lambda: stat(relay), count_of or (lambda row: row["in-bytes"] / frame), **limits)
    serve(relay)
    return stat(relay)


#   -- What the checks see -----------------------------------------------------------------------------------


class Freezing:
    """An attack that stops the relay most of the time."""

    def __init__(self, relay):
        self.relay, self.thread, self.ends = relay, None, threading.Event()

    def send_signal(self, number):
        if number == signal.SIGCONT:
            self.ends.clear()
            self.thread = threading.Thread(target=self.attack)
            self.thread.start()
        else:
            self.ends.set()
            self.thread.join()

    def attack(self):
        while not self.ends.is_set():
            self.relay.process.send_signal(signal.SIGSTOP)
            support.hold(0.03)  # it is frozen, for longer than a slow disk takes for what it was told to do
            self.relay.process.send_signal(signal.SIGCONT)
            support.hold(0.001)  # and hardly ever is not


def is_seen(function, *arguments, says, **options):
    try:
        function(*arguments, **options)
    except AssertionError as error:
        return says in str(error)
    return False


def test_check_sees_a_relay_that_is_held_up():
    relay = start()
    idle = types.SimpleNamespace(send_signal=lambda number: None)
    options = {"least": 0, "turns": 1}
    assert is_seen(compare, relay, (idle, Freezing(relay)), lambda: stat(relay), lambda row: 0, says="shares", **options)
    serve(relay)


def test_check_sees_costs_and_memory_beyond_their_limits():
    def measured(speed=1000, seconds=0.002, count=200):
        return [(speed, seconds, count)] * 25

    limits = {"memory_limit": 128 * MIB, "most_us": 100, "least": LEAST}
    beside, sound = measured(count=0), measured(900 / SHARE + 100, 0.01)
    judge((beside, sound), 100 * MIB, **limits)
    assert is_seen(judge, (beside, measured(900 / SHARE)), 0, says="shares", **limits)
    assert support.IS_SANITIZED or is_seen(judge, (beside, measured(seconds=0.03)), 0, says="us of processors", **limits)
    assert is_seen(judge, (beside, sound), SLACK * 128 * MIB, says="MiB", **limits)


#   -- Frames ------------------------------------------------------------------------------------------------


def test_flood_of_hello():
    check_flood(flood(HELLO))


def test_flood_of_garbage_ends_its_links():
    check_flood(flood(b"garbage" * 9), has_come=lambda row: row["errors"] > 0 and row["connections-ended"] > 0)


def test_flood_of_attach():
    """One in three is refused."""
    check_flood(flood(attach(7), rc.control(rc.DETACH, 7), attach(8, "no name")),
                has_come=lambda row: row["refusals"] > LEAST / 4)


def many_channels(relay):
    with zmq.Context.instance().socket(zmq.DEALER) as link:
        link.linger, link.sndhwm = 0, 0
        link.connect(relay.endpoint)
        link.send(rc.control(rc.HELLO, session=1, name="namer", max_frame=FRAME, heartbeat_ms=60000))
        for number in range(8000):
            link.send(attach(7, f"a.channel.with.a.name.{number}"))
            link.send(rc.control(rc.DETACH, 7))
        wait_for(relay, lambda row: row["channels"] > 8000, "all are there")


def test_flood_of_admin():
    """Nearly all of it is refused."""
    check_flood(flood(*(rc.control(rc.ADMIN, serial=1, command=command) for command in ("channels", "stat"))), many_channels,
                has_come=lambda row: row["refusals"] > LEAST / 2)


def test_flood_of_acks_for_the_leases_of_others():
    acks = (rc.control(rc.ACK, 2, serial=serial, ranges=[7, 1, 9007199254740991] * 600) for serial in range(19))
    check_flood(flood(attach(2), *acks), has_come=lambda row: row["errors"] > 0 and row["connections-ended"] > 0)


def test_flood_of_credit():
    credit = (rc.control(rc.CREDIT, 2, messages=number, bytes=1 << 40) for number in range(1, 99))
    check_flood(flood(attach(2), *credit, rc.control(rc.DETACH, 2)))


def batches(link, producers, count):
    """Of so many producers of a link: each attaches, sends as many batches, and leaves."""
    for producer in range(producers):
        name = struct.pack("<QQ", link + 1, producer)
        yield rc.control(rc.ATTACH, rc.PRODUCER, role=1, kind=1, channel="flooded", producer=name, epoch=1, first=1)
        for number in range(1, count + 1):
            yield rc.batch(name, 1, number, [b"data" * 50])
        yield rc.control(rc.DETACH, rc.PRODUCER)


def is_sound(row):
    return row["errors"] == row["refusals"] == row["connections-ended"] == 0


CONTROL, RECORDS, LEVELS = 65536, 65536, 8  # limits of patterns/relay/SPEC.md, section 12


def padded(frame, pairs, count):
    """A control frame with more pairs, so many."""
    body = struct.pack(">BI", 0xDF, (frame[16] & 15) + count) + frame[17:] + pairs
    assert CONTROL - 99 < 16 + len(body) <= CONTROL
    return frame[:12] + struct.pack("<I", len(body)) + body


def wide(frame):
    """With as many keys that nobody knows as have room."""
    count = (CONTROL - len(frame) - 4) // 2
    return padded(frame, b"\xa0\xc0" * count, count)


def nested(is_too_deep=False):
    """As full of arrays within arrays as it may be; the last one may be a level too deep."""
    deep = b"\x91" * (LEVELS - 1) + b"\xc0"
    count = (CONTROL - 16 - 5 - 2 - 5 - 1) // len(deep)
    last = b"\x91" * LEVELS + b"\xc0" if is_too_deep else deep
    return padded(rc.control(rc.HEARTBEAT), b"\xa1?" + struct.pack(">BI", 0xDD, count) + deep * (count - 1) + last, 1)


def test_flood_of_frames_as_deep_and_as_wide_as_may_be():
    """Lists within lists, and keys that nobody knows, in 64 KiB each."""
    frames = nested(), *(wide(frame) for frame in (rc.control(rc.HEARTBEAT), attach(7), rc.control(rc.DETACH, 7)))
    row = check_flood(flood(*frames, rate=DEAR), least=LEAST // 20, most_us=1500, memory_limit=256 * MIB)
    assert is_sound(row), row


def test_flood_of_frames_too_deep_ends_its_links():
    check_flood(flood(nested(True), rate=DEAR), least=LEAST // 20, most_us=1500, memory_limit=256 * MIB,
                has_come=lambda row: row["errors"] > 0 and (support.IS_SANITIZED or row["connections-ended"] > 0))


def full_batches(link):
    """With as many records as may be. The first one is stored once; of the second, the last record is none."""
    name = struct.pack("<QQ", link + 1, 0)
    sound = rc.batch(name, 1, 1, [b""] * RECORDS)
    wrong = bytearray(rc.batch(name, 1, 1 + RECORDS, [b""] * RECORDS))
    wrong[-1] = 0xFF
    return (rc.control(rc.ATTACH, rc.PRODUCER, role=1, kind=1, channel="flooded", producer=name, epoch=1, first=1),
            sound, bytes(wrong), rc.control(rc.DETACH, rc.PRODUCER))


def test_flood_of_batches_of_as_many_records_as_may_be():
    kinds = [flood(*full_batches(link), rate=DEAR // 5) for link in range(2)]
    kinds[0]["frames"] += kinds[1]["frames"]
    check_flood(kinds[0], least=LEAST // 100, most_us=2000, memory_limit=256 * MIB,
                has_come=lambda row: row["messages-in"] > 10 * RECORDS)


def test_flood_of_data():
    """All of it is stored, since its senders are ever other ones."""
    kinds = [flood(*batches(link, 600, 18)) for link in range(2)]
    kinds[0]["frames"] += kinds[1]["frames"]
    check_flood(kinds[0], has_come=lambda row: row["messages-in"] > 500)


def test_flood_of_channel_names():
    names = ((attach(7, f"name.{number}"), rc.control(rc.DETACH, 7)) for number in range(50000))
    check_flood(flood(*(frame for pair in names for frame in pair)), many_channels, most_us=300,
                has_come=lambda row: row["channels"] > 8100)


def test_messages_of_parts_without_end():
    check_flood(plan([zmtp(bytes(65536), more=True)], rate=RATE // 10), least=0, memory_limit=256 * MIB, is_whole=True,
                has_come=lambda row: row["connections-ended"] > 0)


def test_big_answers_that_nobody_reads():
    def fill(relay):
        with rc.Client(relay.endpoint, rc.Journal("big", 4000, 4001), relay.process) as client:
            client.open(consume=False)
            client.ask(3000)
            client.flush()

    peek = zmtp(rc.control(rc.ADMIN, serial=1, command="peek", channel="big", messages=3000))
    #   Of both links: what waits for them, and answers to 64 requests under way.
    check_flood(plan([peek], rate=RATE // 50, is_deaf=True), fill, least=20, most_us=5000, memory_limit=450 * MIB,
                is_whole=True)


#   -- Connections -------------------------------------------------------------------------------------------


def test_flood_of_connections():
    check_flood(plan([b"\xff"], links=10, rate=RATE // 10, opening=b"", greeting=b"", is_once=True), least=100, most_us=1000,
                count_of=lambda row: row["connections-accepted"])


def test_connections_that_dribble():
    """Three hundred that are greeted, and say a HELLO byte by byte, each ten a second."""
    check_flood(plan([bytes(1000)], links=300, rate=3, greeting=struct.pack(">BQ", 2, MIB)), least=0,
                has_come=lambda row: row["connections-silent"] + row["connections-ended"] > 250)


def test_links_that_are_half_open():
    """Two hundred whose session begins each second anew, since it was found to be silent after 600 ms."""
    hello = rc.control(rc.HELLO, session=1, name="half", max_frame=FRAME, heartbeat_ms=200)
    check_flood(plan([zmtp(hello), zmtp(attach(2))], links=200, rate=400), least=50, most_us=1000,
                has_come=lambda row: row["sessions-silent"] > 200)


def test_flood_of_handshakes_with_wrong_keys_and_of_recorded_ones():
    scene = Scene()
    greeting, frames = scene.record()
    wrong = frames[0][:-80] + bytes(80)
    kind = plan(links=10, rate=RATE // 20, opening=b"", greeting=b"", is_once=True)
    kind["frames"], kind["count"] = [(greeting + b"".join(frames)).hex(), (greeting + wrong).hex()], 1
    check(scene.relay, kind, scene.look, lambda row: row["handshakes-failed"], most_us=1000, keys=scene.keys, least=50)
    scene.serve()


if support.IS_SANITIZED:
    del test_check_sees_a_relay_that_is_held_up  # its client takes too long, and is left one thirtieth
if __name__ == "__main__":
    support.main(globals())
