#!/usr/bin/python3
"""F10: a wall clock that jumps an hour either way while messages are leased and wait for their retry: neither moves."""

import time

from fault_support import FalseClock, need
from relay_client import ACK, NACK, Client, Journal
from yamd_support import OK, Relay, main

LEASE, LONG_LEASE = 2, 1800  # seconds
GRACE = 60  # that a busy machine may add; much less than an hour
HOUR = 3600


class FakedRelay(Relay):
    """A yamd whose clock jump() sets; the monotonic one only when it is told to move that, too."""

    def __init__(self, *arguments, store="store", moves_monotonic=False):
        self.clock = FalseClock(moves_monotonic)
        self.jump = self.clock.jump
        super().__init__(*(arguments or ("--backoff", "1ms")), store=store, environment=self.clock.environment)


def hold_over_a_jump(relay, seconds, is_nacked=False, lease=LEASE):
    """How long a message stays away that is leased (or failed) when the clock jumps; and what the clock says after it."""
    journal = Journal(f"jump{seconds}-{is_nacked}")
    relay.jump(0)
    with Client(relay.endpoint, journal, relay.process, lambda number, _: None if number == 1 else ACK,
                lease_ms=lease * 1000) as client:
        client.open()
        begun = time.monotonic()  # it is leased after that
        client.ask(1)
        client.flush()
        client.until(lambda: 1 in journal.deliveries)
        if is_nacked:
            client.settle_taken(NACK, [1])
            client.until(lambda: not client.unsettled)
        relay.jump(seconds)
        client.ask(1)
        client.flush()
        client.until(lambda: journal.deliveries[1] == 2, "the message comes again")
        away = journal.moments[1] - begun
        client.settle_taken(ACK, [1])
        client.drain()
    assert journal.judge() == []
    return away, journal.times[2] - time.time()


def test_leases_keep_their_length_when_the_clock_jumps():
    relay = FakedRelay()
    for seconds in (HOUR, -HOUR):
        away, shown = hold_over_a_jump(relay, seconds)
        assert abs(shown - seconds) < HOUR / 2, f"the clock did not jump: {shown}"
        assert LEASE <= away <= LEASE + GRACE, away
    assert relay.stop() == OK


def test_retries_keep_their_delay_when_the_clock_jumps():
    relay = FakedRelay("--lease", "1h", "--backoff", f"{int(LEASE * 1000)}ms")
    for seconds in (HOUR, -HOUR):
        away, _ = hold_over_a_jump(relay, seconds, is_nacked=True)
        assert LEASE / 2 <= away <= 2 * LEASE + GRACE, away
    assert relay.stop() == OK


def test_delayed_message_comes_when_the_clock_jumps_over_its_time():
    relay = FakedRelay()
    relay.yam("push", "q", "--delay", "30m", stdin="later\n")
    relay.jump(-HOUR)
    relay.yam("push", "q", stdin="now\n")
    assert relay.yam("pull", "q", "-n1", "-w", f"{GRACE}s")[0] == "now\n"
    relay.jump(HOUR)
    assert relay.yam("pull", "q", "-n1", "-w", f"{GRACE}s")[0] == "later\n"


def test_restart_after_a_jump_serves_everything():
    for seconds in (HOUR, -HOUR):
        store, journal = f"store{seconds}", Journal()
        relay = FakedRelay(store=store)
        with Client(relay.endpoint, journal, relay.process,
                    lambda number, deliveries: NACK if (number, deliveries) == (1, 1) else None) as client:
            client.open()
            client.ask(20)
            client.flush()
            client.until(lambda: len(journal.deliveries) == 20)
        relay.kill()
        relay = FakedRelay(store=store)
        relay.jump(seconds)
        with Client(relay.endpoint, journal, relay.process) as client:
            client.open()
            client.drain()
        wrong = journal.judge()
        assert wrong == [], wrong
        assert relay.stop() == OK, relay.read_log()


def test_check_sees_a_lease_that_moves():
    """With the monotonic clock jumping as well, a lease ends at once: what the tests above must not see."""
    away, _ = hold_over_a_jump(FakedRelay(moves_monotonic=True), HOUR, lease=LONG_LEASE)
    assert away < LONG_LEASE, away


if __name__ == "__main__":
    need(plain=True)
    main(globals())
