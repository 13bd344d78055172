#!/usr/bin/python3
"""The recipe of patterns/EXACTLY_ONCE.md: money goes from one database to another by outbox, relay and inbox, everything is
killed at random, and the sums are always right.

YAM_KILLS=N kills so often [60]; YAM_SEED chooses when and whom.
"""

import os
import random
import sqlite3
import sys
import time

from yamd_support import SKIPPED, TIMEOUT, Relay, folder, main, spawn, until

EXAMPLES = os.path.join(os.path.abspath(os.environ.get("YAM_BUILD") or "build"), "examples")
KILLS = int(os.environ.get("YAM_KILLS") or 60)
SEED = int(os.environ.get("YAM_SEED") or random.SystemRandom().randrange(10**6))
CENTS = 1000


def cents(name):
    """What the account of a database holds; None as long as there is none."""
    try:
        bank = sqlite3.connect(f"file:{folder(name)}?mode=ro", uri=True, timeout=TIMEOUT)
        try:
            return bank.execute("SELECT cents FROM account").fetchone()[0]
        finally:
            bank.close()
    except (sqlite3.OperationalError, TypeError):
        return None


class Banks:
    """Two banks and the relay between them, each of which starts again when it has ended."""

    def __init__(self):
        self.relay = Relay()
        self.listen = self.relay.endpoint.lstrip("@")
        self.processes = {}

    def start(self, name):
        with open(folder("banks.log"), "ab") as log:
            self.processes[name] = spawn(os.path.join(EXAMPLES, f"14_money_{name}"), folder(f"{name}.db"),
                                         f">{self.listen}?grade=sure", stderr=log)

    def start_what_ended(self):
        for name in ("give", "take"):
            if name not in self.processes or self.processes[name].poll() is not None:
                self.start(name)

    def kill(self, name):
        if name == "relay":
            self.relay.kill()
            self.relay = Relay(listen=self.listen)
        else:
            self.processes[name].kill()
            self.processes[name].wait()
            self.start(name)


def assert_nothing_is_made():
    """Both are read one after the other, the giving side last: what is on its way is in neither."""
    taken, left = cents("take.db"), cents("give.db")
    assert taken is None or left is None or 0 <= taken + left <= CENTS, (taken, left)


def wait_for_cents(banks, count):
    """Until so many have arrived; the sums are looked at all the time."""

    def have_arrived():
        assert_nothing_is_made()
        banks.start_what_ended()
        return (cents("take.db") or 0) >= count

    until(have_arrived, lambda: f"{cents('take.db')} of {count} cents after {2 * TIMEOUT} s", 2 * TIMEOUT)


def test_money_is_neither_lost_nor_made_whoever_is_killed():
    chance = random.Random(SEED)
    print(f"# seed {SEED}")
    banks = Banks()
    banks.start_what_ended()
    for kill in range(KILLS):
        wait_for_cents(banks, CENTS * kill // KILLS + chance.randrange(CENTS // KILLS))
        banks.kill(chance.choice(("relay", "give", "take")))
    #   Nobody is killed any more: the giver ends when all has been confirmed, the taker when nothing comes. It may have ended
    #   for that while the giver was away.
    wait_for_cents(banks, CENTS)
    for name in ("give", "take"):
        while banks.processes[name].wait(4 * TIMEOUT) != 0:
            banks.start(name)
    assert (cents("give.db"), cents("take.db")) == (0, CENTS), (cents("give.db"), cents("take.db"))


if __name__ == "__main__":
    if not os.path.exists(os.path.join(EXAMPLES, "14_money_give")):
        print(f"# no examples in {EXAMPLES}: make examples")
        sys.exit(SKIPPED)
    main(globals())
