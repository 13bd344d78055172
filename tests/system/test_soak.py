#!/usr/bin/python3
"""Relays under random faults for a long time: nothing confirmed is lost, memory and descriptors stay flat.

One relay, behind a proxy, is never killed, so that what it leaks adds up; the other is killed and frozen again and again.
Clients with journals work on both, lose their connections, walk away from what they hold, and begin anew.
YAM_MINUTES=N is how long [0.2], YAM_SEED=N repeats the choices, if not the moments: `make soak MINUTES=N SEED=N`.
"""

import os
import random
import signal
import socket
import threading
import time

from fault_proxy import FaultProxy
from fault_support import OPTIONS, fail_some
from relay_client import Client, Gone, Journal
from yamd_support import IS_SANITIZED, OK, Relay, hold, main

SECONDS = 60 * float(os.environ.get("YAM_MINUTES") or 0.2)
SEED = int(os.environ.get("YAM_SEED") or 0) or random.randrange(1, 1 << 32)
WORKERS = 3  # a relay
ROUNDS_OF_A_JOURNAL = 100
SAMPLES = 20  # fewer say nothing
MIB = 1 << 20
GROWTH = (64 if IS_SANITIZED else 12) * MIB, 1.1  # and so many times as much: between the second quarter and the last
DESCRIPTORS = 16
HEARTBEAT_MS = 500  # what a session holds that was left without a word is free after three of them
LEASE_MS = 3600000  # never: ACKED says nothing of acks that came too late, and so the journal could not know


class Worker(threading.Thread):
    """A producer and consumer of a queue of its own, session after session, until it is told to stop."""

    def __init__(self, place, name, seed, stop):
        super().__init__(daemon=True)
        self.place, self.queue, self.chooser, self.stop = place, name, random.Random(seed), stop
        self.journal, self.wrong, self.messages, self.sessions = Journal(name, 200, 9000), [], 0, 0

    def session(self, work):
        """Whether it came to its end: the relay or the connection may go at any moment."""
        self.sessions += 1
        try:
            with Client(self.place.endpoint, self.journal, None, fail_some, LEASE_MS) as client:
                client.open(heartbeat_ms=HEARTBEAT_MS, timeout=2)
                work(client)
            return True
        except (Gone, AssertionError):
            return False

    def walk_away(self, client):
        """Sends something, takes something, and leaves without a word."""
        client.ask(self.chooser.randint(1, 60))
        client.send()
        for _ in range(self.chooser.randint(0, 20)):
            client.step(0.02)

    def finish(self, client):
        client.flush(timeout=4)
        client.drain(timeout=8)

    def settle(self):
        """Until all is confirmed and settled; then the journal is judged, and another begins."""
        while not self.session(self.finish):
            pass
        self.wrong += self.journal.judge()
        self.messages += self.journal.asked
        self.journal = Journal(self.queue, 200, 9000)

    def run(self):
        while not self.stop.is_set() and not self.wrong:
            for _ in range(ROUNDS_OF_A_JOURNAL):
                self.session(self.walk_away if self.chooser.random() < 0.5 else self.finish)
                if self.stop.is_set():
                    break
            self.settle()


class Place:
    """A relay, where its clients find it, and its workers."""

    def __init__(self, name, chooser, stop, has_proxy):
        self.store, self.relay = name, Relay(*OPTIONS, "--cache-size", "1M", store=name)
        self.proxy = FaultProxy(self.relay.endpoint) if has_proxy else None
        self.endpoint = self.proxy.endpoint if has_proxy else self.relay.endpoint
        self.workers = [Worker(self, f"{name}.{number}", chooser.random(), stop) for number in range(WORKERS)]
        for worker in self.workers:
            worker.start()

    def kill(self):
        self.relay.kill()
        self.relay = Relay(*OPTIONS, "--cache-size", "1M", store=self.store)
        self.endpoint = self.relay.endpoint

    def freeze(self):
        self.relay.process.send_signal(signal.SIGSTOP)
        hold(0.1)  # it is frozen
        self.relay.process.send_signal(signal.SIGCONT)

    def junk(self):
        host, port = self.relay.endpoint.removeprefix("tcp://").rsplit(":", 1)
        try:
            with socket.create_connection((host, int(port))) as peer:
                peer.sendall(random.randbytes(3000))
        except OSError:
            pass

    def sample(self):
        """Its memory and descriptors."""
        path = f"/proc/{self.relay.process.pid}"
        with open(path + "/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE"), len(os.listdir(path + "/fd"))

    def end(self):
        for worker in self.workers:
            worker.join()
        wrong = [what for worker in self.workers for what in worker.wrong]
        return wrong + ([] if self.relay.stop() == OK else ["it did not stop as it should"])


def growth(samples):
    """What is wrong with samples of memory and descriptors over time."""
    if len(samples) < SAMPLES:
        return []
    quarter = len(samples) // 4
    early, late = (sorted(samples[start:start + quarter]) for start in (quarter, len(samples) - quarter))
    wrong, (memory, now) = [], (early[quarter // 2][0], late[quarter // 2][0])
    if now > memory * GROWTH[1] + GROWTH[0]:
        wrong.append(f"memory grew from {memory >> 20} to {now >> 20} MiB")
    descriptors, now = (max(count for _, count in part) for part in (early, late))
    if now > descriptors + DESCRIPTORS:
        wrong.append(f"descriptors grew from {descriptors} to {now}")
    return wrong


def test_check_sees_what_grows():
    flat = [(50 * MIB + index % 7 * MIB, 40 + index % 5) for index in range(100)]
    assert growth(flat) == []
    assert "memory" in growth([(memory + index * 4 * MIB, count) for index, (memory, count) in enumerate(flat)])[0]
    assert "descriptors" in growth([(memory, count + index) for index, (memory, count) in enumerate(flat)])[0]


def test_random_faults_lose_nothing_and_memory_stays_flat():
    chooser, stop, samples, kills = random.Random(SEED), threading.Event(), [], 0
    steady, mortal = Place("steady", chooser, stop, True), Place("mortal", chooser, stop, False)
    until = time.monotonic() + SECONDS
    while time.monotonic() < until and not any(worker.wrong for worker in steady.workers + mortal.workers):
        hold(chooser.uniform(0.1, 0.6))  # the fault before lasts until the next
        fault = chooser.choice((steady.proxy.reset, steady.junk, steady.freeze, mortal.kill, mortal.kill, mortal.freeze))
        fault()
        kills += fault == mortal.kill
        samples.append(steady.sample())
    stop.set()
    wrong = steady.end() + mortal.end() + growth(samples)
    counts = [sum(getattr(worker, name) for worker in steady.workers + mortal.workers) for name in ("messages", "sessions")]
    print(f"# seed {SEED}: {counts[0]} messages in {counts[1]} sessions, {kills} kills; "
          f"memory {samples[0][0] >> 20} to {samples[-1][0] >> 20} MiB, descriptors {samples[0][1]} to {samples[-1][1]}",
          flush=True)
    assert wrong == [], wrong
    assert counts[0] > 100, counts


if __name__ == "__main__":
    main(globals())
