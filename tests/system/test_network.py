#!/usr/bin/python3
"""F8: links that are cut, reset, stalled, delayed, lossy, or lead nowhere: nothing is lost, nothing is stored twice.

Through a proxy, and in a network namespace of its own with packet filters.
"""

import os
import select
import subprocess
import time

from fault_proxy import DOWN, UP, FaultProxy
from fault_support import CLONE_NEWNET, IS_SANITIZED, command, need, unshare
from relay_client import Client, Journal
from yamd_support import OK, TIMEOUT, Relay, folder, main, rows, spawn, until, yam

HEARTBEAT = 0.5  # seconds, of everybody; a link is dead after three
SLOW_HEARTBEAT = 2  # so that a busy machine does not add as much as a link is given
GRACE = TIMEOUT / 3  # that a busy machine may add
COUNT = 5000
SIZE = 300


class Exchange:
    """A sender and a receiver of known lines, through endpoints that may be a proxy's; the oracle is their content."""

    def __init__(self, count=COUNT, heartbeat=HEARTBEAT):
        self.heartbeat = f"{int(heartbeat * 1000)}ms"
        self.relay = Relay("--reserve", "0", "--heartbeat", self.heartbeat,
                           listen=f"tcp://127.0.0.1:*,ipc://{folder('admin')}")
        self.count = count
        self.lines = [b"%06d %s" % (number, b"x" * (number % SIZE)) for number in range(count)]
        self.received, self.copies, self.rest = set(), 0, b""

    def start(self, endpoint, first_lines=None):
        endpoint += f"?grade=sure&heartbeat={self.heartbeat}"
        self.push = spawn("yam", "push", "q", "-e", endpoint, "--name", "sender", "--timeout", f"{2 * TIMEOUT}s", "--quiet",
                          stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        self.pull = spawn("yam", "pull", "q", "-e", endpoint, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                          bufsize=0)
        self.sent = 0
        self.send(self.count if first_lines is None else first_lines)

    def send(self, count=None):
        """Hands the next lines to the sender."""
        upto = self.count if count is None else self.sent + count
        for line in self.lines[self.sent:upto]:
            self.push.stdin.write(line + b"\n")
        self.push.stdin.flush()
        self.sent = upto

    def receive(self, wanted=None, timeout=2 * TIMEOUT):
        """Until so many different lines [all] have come."""
        deadline, wanted = time.monotonic() + timeout, self.count if wanted is None else wanted
        while len(self.received) < wanted:
            left = deadline - time.monotonic()
            assert left > 0 and select.select([self.pull.stdout], [], [], left)[0], (
                f"only {len(self.received)} of {wanted} came in time")
            *lines, self.rest = (self.rest + os.read(self.pull.stdout.fileno(), 1 << 20)).split(b"\n")
            for line in lines:
                assert line == self.lines[int(line[:6])], f"never sent: {line!r}"
                self.copies += 1 if line in self.received else 0
                self.received.add(line)

    def stat(self, *arguments):
        """What the relay says, by a way that no fault touches."""
        return rows(yam("stat", "-e", f"ipc://{folder('admin')}", "--json", *arguments)[0])[0]

    def finish(self):
        """All is confirmed, received, stored once."""
        if self.sent < self.count:
            self.send()
        self.push.stdin.close()
        self.push.stdin = None
        _, errors = self.push.communicate(timeout=2 * TIMEOUT)
        assert self.push.returncode == OK, errors
        self.receive()
        self.pull.terminate()
        self.pull.wait(TIMEOUT)
        stat = self.stat("q")
        assert stat["published"] == self.count, stat
        assert self.relay.stop() == OK
        print(f"# {self.copies} came again")


#   -- Through the proxy -------------------------------------------------------------------------------------

def test_links_cut_in_the_middle_of_frames_lose_nothing():
    exchange = Exchange()
    proxy = FaultProxy(exchange.relay.endpoint)
    proxy.limits = 1, 60000, 12 if IS_SANITIZED else 30
    exchange.start(proxy.endpoint)
    exchange.finish()
    assert proxy.cuts >= 10, proxy.cuts


def test_links_reset_again_and_again_lose_nothing():
    exchange = Exchange()
    proxy = FaultProxy(exchange.relay.endpoint)
    exchange.start(proxy.endpoint, 500)
    for part in range(1, 9):
        exchange.send(500)
        proxy.reset()
        exchange.receive(500 * part)
    exchange.finish()


def test_confirms_that_do_not_arrive_are_asked_for_and_nothing_is_stored_twice():
    exchange = Exchange()
    proxy = FaultProxy(exchange.relay.endpoint)
    exchange.start(proxy.endpoint, 500)
    exchange.receive(500)
    proxy.stall(DOWN)
    exchange.send()
    exchange.finish()


def test_copies_of_what_was_not_confirmed_are_confirmed_and_dropped():
    relay, journal = Relay("--reserve", "0"), Journal()
    proxy = FaultProxy(relay.endpoint)
    with Client(proxy.endpoint, journal) as unheard:
        unheard.open(consume=False)
        proxy.stall(DOWN)
        unheard.ask(30)
        unheard.send()
        with Client(relay.endpoint, journal, relay.process) as client:
            client.open(produce=False, consume=False)
            while client.left() < 30:
                pass  # each look is an answer of the relay
            client.open(consume=False)  # whoever attaches ends what the other still has on its way
            journal.confirmed, client.next = 0, 1  # it does not know what the relay told it, either
            client.flush()
            stat = client.stat()
            assert (stat["duplicates"], stat["published"], stat["messages"]) == (30, 30, 30), stat
    with Client(relay.endpoint, journal, relay.process) as client:
        client.open(produce=False)
        client.drain()
    assert journal.judge() == [] and len(journal.settled) == 30 and journal.copies == 0


def test_half_open_links_are_found_within_three_heartbeats():
    exchange = Exchange()
    proxy = FaultProxy(exchange.relay.endpoint)
    exchange.start(proxy.endpoint, 500)
    exchange.receive(500)
    before, began = len(proxy.connections), time.monotonic()
    proxy.stall(UP, DOWN)
    until(lambda: len(proxy.connections) >= before + 2, "no new connections", 3 * HEARTBEAT + GRACE)
    assert time.monotonic() - began > HEARTBEAT, "a sound link is given up"
    exchange.finish()


def test_slow_links_stay_and_lose_nothing():
    exchange = Exchange(1000, SLOW_HEARTBEAT)
    proxy = FaultProxy(exchange.relay.endpoint)
    proxy.delay = SLOW_HEARTBEAT / 8
    exchange.start(proxy.endpoint)
    exchange.finish()
    assert len(proxy.connections) == 2, "a link that is slow is given up"


#   -- In a network of its own -------------------------------------------------------------------------------

def filter_packets(exchange, action, *target):
    """Adds (-A) or removes (-D) a rule for all packets to and from the relay's port."""
    port = exchange.relay.endpoint.rsplit(":", 1)[1]
    for side in ("--dport", "--sport"):
        command("iptables", "-w", action, "INPUT", "-p", "tcp", side, port, *target)


def test_one_packet_in_five_lost_loses_no_message():
    exchange = Exchange()
    rule = ("-m", "statistic", "--mode", "random", "--probability", "0.2", "-j", "DROP")
    filter_packets(exchange, "-A", *rule)
    exchange.start(exchange.relay.endpoint)
    try:
        exchange.finish()
    finally:
        filter_packets(exchange, "-D", *rule)


def test_black_hole_ends_sessions_within_three_heartbeats_and_loses_nothing():
    exchange = Exchange()
    exchange.start(exchange.relay.endpoint, 500)
    exchange.receive(500)
    until(lambda: exchange.stat("--relay")["sessions"] == 3, "three sessions, with the one that asks")
    began = time.monotonic()
    filter_packets(exchange, "-A", "-j", "DROP")
    try:
        exchange.send(1000)
        while exchange.stat("--relay")["sessions"] > 1:
            assert time.monotonic() - began < 3 * HEARTBEAT + GRACE, "its peers are not given up"
        assert time.monotonic() - began > HEARTBEAT, "they were given up too early"
    finally:
        filter_packets(exchange, "-D", "-j", "DROP")
    exchange.finish()


def test_resets_by_the_network_lose_nothing():
    exchange = Exchange()
    exchange.start(exchange.relay.endpoint, 500)
    rule = ("-j", "REJECT", "--reject-with", "tcp-reset")
    for part in range(1, 4):
        exchange.receive(500 * part)
        filter_packets(exchange, "-A", *rule)
        try:
            exchange.send(500)
        finally:
            filter_packets(exchange, "-D", *rule)
    exchange.finish()


def test_check_finds_what_is_stored_twice():
    """The same lines from a sender that forgets who it is: what the tests above must not see."""
    exchange = Exchange(100)
    exchange.start(exchange.relay.endpoint)
    exchange.receive()
    yam("push", "q", "-e", exchange.relay.endpoint, stdin=exchange.lines[7] + b"\n")
    try:
        exchange.finish()
    except AssertionError as why:
        assert "published" in str(why)
        return
    raise AssertionError("nothing is found")


if __name__ == "__main__":
    need("iptables", "ip", root=True)
    unshare(CLONE_NEWNET)
    command("ip", "link", "set", "lo", "up")
    main(globals())
