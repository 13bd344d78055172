#!/usr/bin/python3
"""The recipe of patterns/EXACTLY_ONCE.md: money goes from one database to another by outbox, relay and inbox, everything is
killed at random, and the sums are always right.

YAM_KILLS=N kills so often [60]; YAM_SEED chooses when and whom.
"""

import os
import random
import signal
import sqlite3

from yamd_support import TIMEOUT, Relay, folder, freeze, main, need_example, read, rows, spawn, until

EXAMPLES = os.path.join(os.path.abspath(os.environ.get("YAM_BUILD") or "build"), "examples")
KILLS = int(os.environ.get("YAM_KILLS") or 60)
SEED = int(os.environ.get("YAM_SEED") or random.SystemRandom().randrange(10**6))
CENTS = 1000
FEW = 100  # for cases that leave nothing to chance


def run_sql(name, text, mode="ro"):
    """What a bank's database answers."""
    bank = sqlite3.connect(f"file:{folder(name)}?mode={mode}", uri=True, timeout=TIMEOUT, isolation_level=None)
    try:
        return bank.execute(text).fetchall()
    finally:
        bank.close()


def cents(name):
    """What the account of a database holds; None as long as there is none."""
    try:
        return run_sql(name, "SELECT cents FROM account")[0][0]
    except (sqlite3.OperationalError, IndexError):
        return None


class Banks:
    """Two banks and the relay between them, each of which starts again when it has ended. few: what there is to give."""

    def __init__(self, few=None):
        self.relay = Relay()
        self.listen = self.relay.endpoint.lstrip("@")
        self.processes = {}
        self.cents = few or CENTS
        if few:  # a giver that finds no account opens one with CENTS
            run_sql("give.db", "CREATE TABLE account (id INTEGER PRIMARY KEY, cents INTEGER)", mode="rwc")
            run_sql("give.db", f"INSERT INTO account VALUES (1, {few})", mode="rw")

    def start(self, name):
        with open(folder("banks.log"), "ab") as log:
            self.processes[name] = spawn(os.path.join(EXAMPLES, f"14_money_{name}"), folder(f"{name}.db"),
                                         f">{self.listen}?grade=sure", stderr=log)

    def start_what_ended(self):
        for name in ("give", "take"):
            if name not in self.processes or self.processes[name].poll() is not None:
                self.start(name)

    def end(self, name):
        self.processes[name].kill()
        self.processes[name].wait()

    def kill(self, name):
        if name == "relay":
            self.relay.kill()
            self.relay = Relay(listen=self.listen)
        else:
            self.end(name)
            self.start(name)

    def give_all(self):
        """Until the relay has confirmed every cent."""
        while self.processes["give"].wait(4 * TIMEOUT) != 0:
            self.start("give")

    def depths(self):
        """What the relay still has, dead letters too."""
        return {row["channel"]: row["messages"] for row in rows(self.relay.yam("stat", "--json")[0]) if row["messages"]}

    def settle(self):
        """Until every cent was given, and the taker has said of each that it is done or will never be."""

        def is_settled():
            self.start_what_ended()
            return "money" not in self.depths()

        self.give_all()
        until(is_settled, lambda: f"the relay still has {self.depths()}", 2 * TIMEOUT)
        self.end("take")

    def judge(self):
        """What is wrong, in words, once all is settled."""
        claims = run_sql("take.db", "SELECT count(*) FROM yam_inbox_0")[0][0]
        found = {"cents are left": (cents("give.db"), 0), "cents have arrived": (cents("take.db"), self.cents),
                 "messages are claimed": (claims, self.cents), "messages failed": (sum(self.depths().values()), 0)}
        return [f"{count} {what}, not {wanted}" for what, (count, wanted) in found.items() if count != wanted]


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
    banks.settle()
    wrong = banks.judge()
    assert wrong == [], wrong


def lose_acks():
    """Both are stopped amid the taking, and the taker goes on alone: they die over acks of cents that are credited."""
    banks = Banks()
    banks.start("give")
    banks.give_all()
    banks.start("take")
    until(lambda: cents("take.db"), "nothing is taken")
    freeze(banks.processes["take"])
    freeze(banks.relay.process)
    before = cents("take.db")
    assert before + 1 < CENTS, "all are taken"
    banks.processes["take"].send_signal(signal.SIGCONT)
    until(lambda: cents("take.db") > before + 1, "the taker has nothing in hand")
    banks.end("take")
    return banks


def test_money_whose_acks_are_lost_comes_again_and_is_credited_once():
    banks = lose_acks()
    banks.kill("relay")
    banks.settle()
    wrong = banks.judge()
    assert wrong == [], wrong


def is_writing(process):
    """Whether it has a file locked for writing."""
    with open("/proc/locks", encoding="ascii") as locks:
        return any("WRITE" in line and str(process.pid) in line.split() for line in locks)


def test_a_taker_that_finds_somebody_reading_its_database_waits_and_takes():
    banks = Banks(FEW)
    banks.start("give")
    banks.give_all()
    run_sql("take.db", "CREATE TABLE other (id INTEGER)", mode="rwc")
    reader = sqlite3.connect(folder("take.db"), isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM other").fetchall()
    banks.start("take")
    taker = banks.processes["take"]
    until(lambda: is_writing(taker) or taker.poll() is not None, "the taker does not touch its database")
    reader.execute("COMMIT")
    until(lambda: cents("take.db") == FEW or taker.poll() is not None, "nothing is taken")
    assert cents("take.db") == FEW, read("banks.log")


#   -- A run that cannot fail proves nothing: what breaks the promise must be found --------------------


def test_oracle_finds_money_that_an_inbox_forgot():
    banks = lose_acks()
    run_sql("take.db", "DELETE FROM yam_inbox_0", mode="rw")
    banks.kill("relay")
    banks.settle()
    wrong = banks.judge()
    assert cents("take.db") > CENTS and f"{cents('take.db')} cents have arrived, not {CENTS}" in wrong, wrong


def test_oracle_finds_money_that_was_acked_before_its_commit():
    """By a taker that dies between the two: all that is left of it is the ack."""
    banks = Banks(FEW)
    banks.start("give")
    banks.relay.yam("pull", "money", "-n1", "-w", f"{TIMEOUT}s")
    banks.settle()
    wrong = banks.judge()
    assert f"{FEW - 1} cents have arrived, not {FEW}" in wrong, wrong


if __name__ == "__main__":
    need_example(os.path.join(EXAMPLES, "14_money_give"))
    main(globals())
