#!/usr/bin/python3
"""F1: kill -9 at the N-th system call that touches the store: nothing confirmed is lost, and a restart always works.

YAM_COUNT=N kills so often [40]; YAM_SEED=N makes the same choices again.
"""

import glob
import os
import random
import time

from fault_support import (STORAGE_CALLS, IS_SANITIZED, count_calls, finish, live, live_until_gone, need, traced_relay)
from relay_client import Gone, Journal
from yamd_support import OK, TIMEOUT, folder, main

COUNT = int(os.environ.get("YAM_COUNT") or (10 if IS_SANITIZED else 40))
SEED = int(os.environ.get("YAM_SEED") or time.time())
ROUND_OF_CHECKS = 20  # kills between two looks at everything


def kill_at(name, number):
    return traced_relay(f"{name}:signal=SIGKILL:when={number}")


def is_killed(relay, journal):
    """A life that ends at the planned call, or, when it makes fewer of them, in order."""
    was_ended = live_until_gone(relay, journal)
    assert relay.process.returncode == (-9 if was_ended else OK), relay.read_log()
    return was_ended


def test_scene_makes_every_storage_call():
    journal = Journal()
    assert live(traced_relay(calls=STORAGE_CALLS), journal) == OK
    assert set(STORAGE_CALLS) <= set(count_calls()), count_calls()
    with open(folder("strace.log"), encoding="ascii", errors="replace") as file:
        names = [line for line in file if "renameat(" in line]
    assert any('.seg", ' in name and name.count("spare-") == 1 and name.index("spare-") > name.index('.seg"')
               for name in names), "no segment is given back"
    assert finish(journal) == []
    assert journal.copies > 0 and len(journal.settled) == journal.asked


def test_start_killed_at_any_call_starts_again():
    relay = traced_relay(calls=STORAGE_CALLS, store="counted")
    counts = count_calls()
    relay.stop()
    counts["openat"] = 0  # most are of libraries; the others are killed at random below
    for name, count in counts.items():
        for number in range(1, (1 if IS_SANITIZED else count) + 1):
            store = f"{name}-{number}"
            relay = traced_relay(f"{name}:signal=SIGKILL:when={number}", store=store)
            relay.kill()
            assert finish(Journal(), store) == [], store


def choose_call(chooser):
    """Early ones, of recoveries, as often as later ones."""
    name = chooser.choice(("pwritev", "pwritev", "fdatasync", "fdatasync", "fsync", "openat", "renameat", "ftruncate",
                           "unlinkat", "pwrite64"))
    limit = {"openat": 80, "pwrite64": 1, "ftruncate": 1, "unlinkat": 2, "fsync": 14}.get(name, 40)
    return name, chooser.randint(1, limit if chooser.random() < 0.5 else min(limit, 8))


def test_kills_at_storage_calls_lose_nothing_confirmed():
    chooser, journal, kills = random.Random(SEED), Journal(), 0
    while kills < COUNT:
        name, number = choose_call(chooser)
        if name == "openat":
            number += 30  # behind the libraries'
        kills += is_killed(kill_at(name, number), journal)
        if kills % ROUND_OF_CHECKS == 0 or journal.wrong:
            wrong = finish(journal)
            assert wrong == [], f"seed {SEED}, after {kills} kills, the last at {name} {number}: {wrong}"
    print(f"# seed {SEED}: {kills} kills; {journal.asked} asked, {journal.confirmed} confirmed, "
          f"{len(journal.settled)} acks durable, {journal.copies} came again")
    assert finish(journal) == []
    assert journal.confirmed == journal.asked > COUNT


def test_oracle_finds_the_loss_of_the_newest_segments():
    journal = Journal()
    relay = traced_relay("fdatasync:signal=SIGKILL:when=20")
    try:
        #   Nobody takes, so that what is confirmed is in the store alone. At most three rounds share a sync.
        live(relay, journal, rounds=100, consume=False)
        raise AssertionError("it was not killed")
    except Gone:
        relay.process.wait(TIMEOUT)
    #   The last ones may hold what was on its way only, and nothing that was confirmed.
    for path in sorted(glob.glob(folder("store/[0-9a-f]*.seg")))[1:]:
        os.remove(path)
    assert journal.confirmed > 0
    assert any("is missing" in wrong for wrong in finish(journal)), "nothing is missed"


if IS_SANITIZED:
    del test_scene_makes_every_storage_call, test_oracle_finds_the_loss_of_the_newest_segments
need("strace")
if __name__ == "__main__":
    main(globals())
