#!/usr/bin/python3
"""F12: hostile peers at a live yamd: what they can make it hold, and how long it bears them.

Each case ends with a client that is served as usual, and with what the relay says it did (stat). What others feel of it is
in test_floods.py.
"""

import os
import resource
import shutil
import statistics
import struct
import subprocess
import sys
import time
import types

import msgpack
import zmq

import relay_client as rc
import yamd_support as support
from hostile_support import FRAME, MIB, SLACK, Raw, memory, serve, start, stat, used, wait_for

UNTAKEN = 40 * MIB  # limits of patterns/relay/SPEC.md, section 12
GREETING = 10
REPLY = 4 * MIB


def descriptors(relay):
    return len(os.listdir(f"/proc/{relay.process.pid}/fd"))


def test_connections_that_never_greet_are_ended():
    relay = start()
    serve(relay)
    before = memory(relay)
    silent = []
    for index in range(300):
        silent.append(Raw(relay, greet=index % 3 != 0))
        if index % 3 == 0:
            silent[index].say((b"\xff" + bytes(8))[:index % 9])  # a greeting that never ends
    serve(relay)

    def are_ended():
        for raw in silent:
            if raw.is_greeted:
                raw.pong()
        silent[:] = [raw for raw in silent if not raw.is_ended(0.001)]
        return not silent

    support.until(are_ended, lambda: f"{len(silent)} are still there", GREETING + support.TIMEOUT)
    row = wait_for(relay, lambda row: row["connections"] < 10, "connections are forgotten")
    assert row["connections-ended"] >= 200, row  # ZeroMQ itself ends those without a handshake
    assert memory(relay) < before + SLACK * 64 * MIB
    serve(relay)


def test_bytes_that_dribble_in_do_not_count_as_a_greeting():
    relay = start()
    raw = Raw(relay)
    hello = rc.control(rc.HELLO, session=1, name="slow", max_frame=FRAME, heartbeat_ms=60000)
    raw.say(struct.pack(">BQ", 2, len(hello)))
    ended = False
    for byte in hello[:40]:  # one every half second would take 20 s
        try:
            raw.say(bytes([byte]))
        except ConnectionError:
            ended = True
        if ended or raw.is_ended(0.5):
            ended = True
            break
    assert ended, "a HELLO may take for ever"
    raw.close()
    serve(relay)


def test_message_of_parts_without_end_is_cut():
    relay = start()
    serve(relay)
    before = memory(relay)
    for is_known in (False, True):
        raw = Raw(relay)
        if is_known:
            raw.hello()
        raw.socket.settimeout(5)
        part, sent, began = bytes(MIB), 0, time.monotonic()
        try:
            while sent < 200 * UNTAKEN:
                raw.send(part, more=True)
                sent += len(part)
        except (ConnectionError, TimeoutError):  # ended, or its window stays shut: that it was ended is asked below
            pass
        # Looked at four times a second: what loopback can carry meanwhile is beyond the limit.
        rate = sent / (time.monotonic() - began)
        assert sent < SLACK * (UNTAKEN + rate + 32 * MIB), f"took {sent >> 20} MiB at {int(rate) >> 20} MiB/s"
        raw.close()
        serve(relay)
    assert memory(relay) < before + UNTAKEN + rate + SLACK * 64 * MIB
    wait_for(relay, lambda row: row["connections-ended"] >= 2, "they are counted")


def test_message_of_many_tiny_parts_ends_its_connection():
    relay = start()
    for is_known in (False, True):
        raw = Raw(relay)
        if is_known:
            raw.hello()
        raw.say(b"\x01\x00" * 100000 + b"\x00\x00")
        assert raw.is_ended(support.TIMEOUT), "it goes on"
        raw.close()
        serve(relay)
    few = Raw(relay)
    few.hello()
    few.say(b"\x01\x00" * 8 + b"\x00\x00")
    row = wait_for(relay, lambda row: row["errors"] >= 3, "it is told")
    assert row["connections-ended"] == 2, row
    few.close()
    serve(relay)


def fill(relay, queue, mebibytes):
    """That much in a queue, in messages of half a MiB."""
    with rc.Client(relay.endpoint, rc.Journal(queue, MIB // 2, MIB // 2 + 1), relay.process) as client:
        client.open(consume=False)
        for _ in range(mebibytes // 8):
            client.ask(16)
            client.flush()


def settle(relay, raw):
    """Until what waits to be sent was the same in so many answers of the relay, each of which took it some turns."""
    last, count = None, 0

    def is_settled():
        nonlocal last, count
        raw.pretend()
        before, last = last, stat(relay)["unsent-bytes"]
        count = count + 1 if last == before else 0
        return count == 30

    support.until(is_settled, lambda: f"{last} bytes, and it still changes")


def test_consumer_that_never_reads_holds_little_memory():
    relay = start("--cache-size", "1M")
    fill(relay, "big", 320)
    serve(relay)
    before = memory(relay)
    raw = Raw(relay, receive_buffer=8192)
    raw.hello()
    for handle in range(1, 9):  # each would get 64 MiB
        raw.control(rc.ATTACH, handle, role=2, kind=1, channel="big", lease_ms=3600000)
        raw.control(rc.CREDIT, handle, messages=1 << 40, bytes=1 << 40)
    row = wait_for(relay, lambda row: raw.pretend() and row["pressed"] == 1, "it is pressed")
    assert row["unsent-bytes"] >= 8 * MIB, row
    settle(relay, raw)
    for handle in range(9, 40):  # and again, as another handle, after giving everything back
        raw.control(rc.ATTACH, handle, role=2, kind=1, channel="big", lease_ms=3600000)
        raw.control(rc.CREDIT, handle, messages=1 << 40, bytes=1 << 40)
        raw.control(rc.DETACH, handle)
        raw.control(rc.DETACH, handle - 8)
    for _ in range(5):  # new sessions on the same connection
        raw.control(rc.GOODBYE)
        raw.hello()
        raw.control(rc.ATTACH, 1, role=2, kind=1, channel="big", lease_ms=3600000)
        raw.control(rc.CREDIT, 1, messages=1 << 40, bytes=1 << 40)
    settle(relay, raw)
    serve(relay)
    grown = memory(relay) - before
    assert grown < SLACK * 120 * MIB, f"{grown >> 20} MiB"
    raw.close()
    wait_for(relay, lambda row: row["unsent-bytes"] == 0 and row["pressed"] == 0, "its memory comes back")
    with rc.Client(relay.endpoint, rc.Journal("big"), relay.process) as client:
        client.open(produce=False)
        assert client.left() == 320 // 8 * 16  # nothing is lost, and all of it is free again


def test_consumer_that_reads_late_gets_everything():
    relay = start("--cache-size", "1M")
    fill(relay, "big", 96)
    with zmq.Context() as context, context.socket(zmq.DEALER) as link:
        link.linger, link.rcvhwm, link.rcvbuf = 0, 1, 8192
        link.connect(relay.endpoint)
        link.send(rc.control(rc.HELLO, session=1, name="late", max_frame=FRAME, heartbeat_ms=3600000))
        link.send(rc.control(rc.ATTACH, 2, role=2, kind=1, channel="big", lease_ms=3600000))
        link.send(rc.control(rc.CREDIT, 2, messages=1 << 40, bytes=1 << 40))
        wait_for(relay, lambda row: row["pressed"] == 1, "it is pressed")
        received, serial = 0, 0
        while received < 96 // 8 * 16:
            assert link.poll(support.TIMEOUT * 1000), f"only {received} came"
            head, *rest = link.recv_multipart()
            if head[5] == rc.DELIVER:
                fields = msgpack.unpackb(head[16:])
                received += fields["last"] - fields["first"] + 1
                serial += 1
                link.send(rc.control(rc.ACK, 2, serial=serial,
                                     ranges=[fields["token"], fields["first"], fields["last"]]))
    wait_for(relay, lambda row: row["pressed"] == 0, "it is not pressed any more")


def test_big_answers_that_nobody_reads_end_the_link():
    relay = start()
    with rc.Client(relay.endpoint, rc.Journal("big", 4000, 4001), relay.process) as client:
        client.open(consume=False)
        client.ask(3000)
        client.flush()
    before = memory(relay)
    raw = Raw(relay, receive_buffer=8192)
    raw.hello()

    def is_ended(row):
        """Asks for more: of all that come in one second the relay answers few, and refuses the others."""
        try:
            for serial in range(1, 200):
                raw.control(rc.ADMIN, serial=serial, command="peek", channel="big", messages=3000)
        except ConnectionError:
            return True
        return row["connections-ended"] >= 1

    wait_for(relay, is_ended, "it is ended")
    serve(relay)
    grown = memory(relay) - before
    print(f"# grew by {grown >> 20} MiB", flush=True)
    #   SECURITY.md: 32 requests of one link under way, unsent-most and the answer beyond it, a turn, the store's cache.
    assert grown < SLACK * (32 * REPLY + 64 * MIB + REPLY + 8 * MIB + REPLY + 32 * MIB), f"{grown >> 20} MiB"
    raw.close()


def test_more_connections_than_descriptors_end_nobody_who_greeted():
    relay = start(preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256)))
    client = rc.Client(relay.endpoint, rc.Journal("early"), relay.process).open()
    flood = [Raw(relay, greet=False) for _ in range(700)]
    client.ask(20)
    client.flush()
    client.drain()
    assert not client.journal.judge(), client.journal.judge()
    serve(relay)  # a newcomer, too
    wait_for(relay, lambda row: row["connections-ended"] >= 400 and row["connections"] <= 192, "the others are ended")
    assert descriptors(relay) < 256 - 16
    for raw in flood:
        raw.close()
    client.close()
    serve(relay)


def test_quota_that_is_used_up_refuses_and_goes_on():
    relay = start(under=(shutil.which("strace"), "-f", "-qq", "-o", "/dev/null", "-e", "trace=pwritev",
                         "-e", "inject=pwritev:error=EDQUOT:when=8..12"))
    with rc.Client(relay.endpoint, rc.Journal("quota"), relay.process) as client:
        client.open()
        client.ask(100)
        deadline = time.monotonic() + support.TIMEOUT
        while client.journal.confirmed < 100:
            client.send()
            client.step(0.1)
            client.paused = False  # refused for now: it is sent again
            assert time.monotonic() < deadline, f"confirmed {client.journal.confirmed}"
        client.drain()
        assert not client.journal.judge(), client.journal.judge()
    assert "store-failed" not in relay.read_log(), relay.read_log()


#   -- What the checks see ---------------------------------------------------------------------------------

GROWING = """
import sys
print(flush=True)
kept = []
for _ in sys.stdin:
    kept.append(b"x" * (64 << 20))
    print(flush=True)
"""


def test_check_sees_memory_that_grows():
    growing = types.SimpleNamespace(process=support.spawn(sys.executable, "-c", GROWING, stdin=subprocess.PIPE,
                                                          stdout=subprocess.PIPE, bufsize=0))
    assert support.read_line(growing.process.stdout) == b"\n"
    before = memory(growing)
    growing.process.stdin.write(b"\n")
    assert support.read_line(growing.process.stdout) == b"\n"
    assert 63 * MIB < memory(growing) - before < 80 * MIB, memory(growing) - before


def test_check_sees_a_link_that_nobody_ends():
    relay = start()
    raw = Raw(relay)
    raw.hello()
    assert not raw.is_ended(0.1)
    try:
        wait_for(relay, lambda row: row["connections-ended"] >= 1, "it is ended", timeout=0.1)
    except AssertionError as error:
        assert "it is ended: not in time" in str(error), error
    else:
        raise AssertionError("it is taken for ended")
    raw.close()


#   -- Limits of the tables --------------------------------------------------------------------------------


def test_a_hundred_thousand_channel_names_meet_the_limit():
    count, limit = (20000 if support.IS_SANITIZED else 100000), 16384
    relay = start()
    serve(relay)
    with zmq.Context.instance().socket(zmq.DEALER) as link:
        link.linger, link.sndhwm, link.rcvhwm = 0, 0, 0
        link.connect(relay.endpoint)
        link.send(rc.control(rc.HELLO, session=1, name="namer", max_frame=FRAME, heartbeat_ms=60000))
        assert link.recv()[5] == rc.WELCOME
        answers, spent = {}, []
        for first in range(0, count, 500):
            began = used(relay)
            for number in range(first, first + 500):
                link.send(rc.control(rc.ATTACH, 7, role=2, kind=1, channel=f"name.{number}"))
                link.send(rc.control(rc.DETACH, 7))
            done = 0
            while done < 500:
                assert link.poll(support.TIMEOUT * 1000), (first, answers)
                frame = link.recv()
                if frame[5] == rc.DETACHED:
                    status = msgpack.unpackb(frame[16:]).get("status", 0)
                    answers[status] = answers.get(status, 0) + 1
                    done += 1
            spent.append((used(relay) - began) / 500 * 1e6)
    assert answers[0] <= limit and answers[14] >= count - limit, answers  # limit, with a reason
    row = stat(relay)
    assert row["channels"] == limit and row["refusals"] >= count - limit, row
    made, refused = (statistics.median(part) for part in (spent[:limit // 500], spent[limit // 500 + 1:]))
    print(f"# {made:.1f} us of processors for each that is made, {refused:.1f} for one that is refused", flush=True)
    assert support.IS_SANITIZED or made < 300 and refused < 100, spent
    assert memory(relay) < SLACK * 256 * MIB, f"{memory(relay) >> 20} MiB"
    serve(relay)  # its channel was there before


if __name__ == "__main__":
    support.main(globals())
