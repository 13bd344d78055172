#!/usr/bin/python3
"""F9, F11: consumers that are killed, frozen, slow: their messages reach others in time, nobody else is
blamed or kept waiting."""

import os
import re
import select
import signal
import subprocess
import time

from relay_client import ACK, Client, Journal
from yamd_support import IS_SANITIZED, OK, TIMEOUT, Relay, freeze, main, read_line, rows, spawn, until

HEARTBEAT_MS = 100
GRACE = TIMEOUT  # seconds a busy machine may add; much less than leases that nothing here may wait for
MANY = 60
MIB = 1 << 20


def publish(relay, journal, count):
    with Client(relay.endpoint, journal, relay.process) as client:
        client.open(consume=False)
        client.ask(count)
        client.flush()


def start_holder(relay, queue):
    """A `yam pull` that has taken messages, some of them still leased: nobody reads what it prints. It wants more than
    there are: after a freeze it may print all it holds before it learns that its session is gone."""
    endpoint = f"{relay.endpoint}?grade=sure&heartbeat={HEARTBEAT_MS}ms"
    holder = spawn("yam", "pull", queue, "-e", endpoint, "-n", str(10 * MANY), stdout=subprocess.PIPE)
    assert select.select([holder.stdout], [], [], TIMEOUT)[0], "it takes nothing"
    return holder


def take_all(relay, journal, most, pick=None):
    """Another consumer gets everything that is left, within so many seconds, and all acks are durable."""
    with Client(relay.endpoint, journal, relay.process, pick) as client:
        client.open(produce=False)
        client.drain(most)


def hold_some(heartbeat_grace=3 * HEARTBEAT_MS / 1000 + GRACE):
    """A relay, a journal and a holder, with a lease so long that nothing here can wait for it."""
    relay = Relay("--lease", "1h")
    journal = Journal("letters", least=20000, most=40000)
    publish(relay, journal, MANY)
    holder = start_holder(relay, "letters")
    with Client(relay.endpoint, journal, relay.process) as client:
        client.open(produce=False, consume=False)
        #   A holder that got no processor for three heartbeats has lost its session, and opens another.
        until(lambda: client.stat()["leased"] > 0, "it holds nothing")
    return relay, journal, holder, heartbeat_grace


def test_killed_consumer_is_found_by_its_heartbeat_and_its_messages_go_on():
    relay, journal, holder, grace = hold_some()
    holder.kill()
    take_all(relay, journal, grace)
    #   What it acked before is done: it had printed that.
    done = relay.yam("stat", "letters", "--json")[0]
    assert rows(done)[0]["acked"] >= MANY and rows(done)[0]["messages"] == 0, done
    assert len(journal.settled) > MANY // 2 and journal.wrong == []
    assert set(journal.failures.values()) == {0}, "somebody is blamed"


def test_frozen_consumer_loses_its_messages_and_its_late_acks_change_nothing():
    relay, journal, holder, grace = hold_some()
    freeze(holder)
    take_all(relay, journal, grace)
    assert set(journal.failures.values()) == {0}, "somebody is blamed"
    publish(relay, journal, 10)
    before = rows(relay.yam("stat", "letters", "--json")[0])[0]
    holder.send_signal(signal.SIGCONT)
    seen = b""
    while b"<%d>" % (MANY + 1) not in seen:  # behind all its stale acks
        assert select.select([holder.stdout], [], [], TIMEOUT)[0], "it does not go on"
        more = os.read(holder.stdout.fileno(), MIB)
        assert more, "it has ended"
        seen = seen[-100:] + more
    holder.kill()
    after = rows(relay.yam("stat", "letters", "--json")[0])[0]
    assert 0 <= after["acked"] - before["acked"] <= 10, (before, after)  # of the new ones
    take_all(relay, journal, grace)
    assert journal.wrong == [] and relay.stop() == OK


def test_lease_that_runs_out_blames_its_own_messages_and_refuses_the_late_ack():
    relay, journal, held = Relay("--backoff", "1ms"), Journal(), {3, 4, 9}
    lease = 10 if IS_SANITIZED else 3  # within which this process acks what it gets
    publish(relay, journal, 12)
    with Client(relay.endpoint, journal, relay.process, lambda number, _: None if number in held else ACK,
                lease_ms=lease * 1000) as slow:
        begun = time.monotonic()  # all are leased after that
        slow.open(produce=False, credit=12)
        slow.until(lambda: len(journal.deliveries) == 12 and not slow.unsettled)
        given, late = max(journal.moments.values()), dict(slow.taken)
        with Client(relay.endpoint, journal, relay.process) as other:
            other.open(produce=False)
            other.until(lambda: held <= set(other.taken) and not other.unsettled)
            for number in held:
                assert begun + lease <= journal.moments[number] <= given + lease + GRACE, journal.moments[number] - given
                assert journal.failures[number] == 1
            assert set(other.taken) == held, "neighbours come again"
            assert other.stat()["stale"] == 0
            slow.settle(ACK, [late[number] for number in held])
            slow.until(lambda: slow.fenced == 1, "the refusal of a stale ack")
            assert other.stat()["stale"] == len(held) and other.left() == 0
    assert journal.judge() == []


#   -- Slow ones -----------------------------------------------------------------------------------------

def memory_kib(process):
    with open(f"/proc/{process.pid}/status", encoding="ascii") as file:
        return int(re.search(r"VmRSS:\s+(\d+)", file.read()).group(1))


def wait_for_groups(relay, topic, count):
    """A topic keeps for a group only what comes after the group was made, once other groups are through with it."""
    deadline = time.monotonic() + TIMEOUT
    while [row["groups"] for row in rows(relay.yam("stat", "--json")[0]) if row["channel"] == topic] != [count]:
        assert time.monotonic() < deadline, "the groups are not made"


def test_frozen_subscriber_costs_its_window_and_delays_nobody():
    """What a relay holds: its cache, the senders' windows, and of each consumer what one link may have under way."""
    cache, window, link, size, count = 8 * MIB, 8 * MIB, 8 * MIB, 64 << 10, 1600
    #   Neither the frozen one's session nor its leases end, however long this takes: nothing comes twice.
    relay = Relay("--cache-size", "8M", "--reserve", "0", "--topic-bytes", "0", "--lease", "1h", "--heartbeat", "60s")
    subscribers = {}
    for name in ("frozen", "swift"):
        subscribers[name] = spawn("yam", "sub", "news", "-e", relay.endpoint + "?grade=sure&heartbeat=60s", "-g", name,
                                  "--from", "first", "--format", "%n\\n", "-n", str(count), stdout=subprocess.PIPE,
                                  stderr=subprocess.DEVNULL, bufsize=0)
    wait_for_groups(relay, "news", 2)
    relay.yam("pub", "news", "--whole", stdin="x" * size)
    for subscriber in subscribers.values():
        assert read_line(subscriber.stdout) == b"1\n"
    freeze(subscribers["frozen"])
    before = memory_kib(relay.process)
    publisher = spawn("yam", "pub", "news", "-e", relay.endpoint, "-n", str(count - 1), "--size", str(size), "--quiet",
                      stdout=subprocess.DEVNULL)
    deadline, most, told = time.monotonic() + TIMEOUT, 0, b""
    while told.count(b"\n") < count - 1:
        assert time.monotonic() < deadline, "the other subscriber waits"
        if select.select([subscribers["swift"].stdout], [], [], 0.02)[0]:
            told += os.read(subscribers["swift"].stdout.fileno(), 65536)
        most = max(most, memory_kib(relay.process))
    assert publisher.wait(TIMEOUT) == 0
    held = (most - before) * 1024
    print(f"# {count * size // MIB} MiB went by, {held // MIB} MiB were held")
    assert held < cache + window + 2 * link + 8 * MIB, held
    subscribers["frozen"].send_signal(signal.SIGCONT)
    numbers = subscribers["frozen"].communicate(timeout=TIMEOUT)[0].split()
    assert numbers == [b"%d" % number for number in range(2, count + 1)], "it does not get everything in the end"


def test_thousand_messages_wait_for_a_slow_consumer_and_ten_for_nobody():
    relay = Relay("--lease", "1h")
    slow, swift = Journal("slow"), Journal("swift")
    publish(relay, slow, 1000)
    publish(relay, swift, 10)
    with Client(relay.endpoint, slow, relay.process, lambda *_: None) as holder:
        holder.open(produce=False)
        holder.until(lambda: len(slow.deliveries) > 0)
        take_all(relay, swift, GRACE)
        with Client(relay.endpoint, slow, relay.process) as admin:
            admin.open(produce=False, consume=False)
            assert admin.left() == 1000
        holder.settle_taken(ACK, list(holder.taken))
        holder.choose = lambda *_: ACK
        holder.drain()
    assert slow.judge() == [] and swift.judge() == []


if IS_SANITIZED:
    del test_frozen_subscriber_costs_its_window_and_delays_nobody  # a sanitizer keeps what was freed
if __name__ == "__main__":
    main(globals())
