#!/usr/bin/python3
"""F3: a sync or write that fails: nothing is confirmed after it, the relay stops and says so, a restart finds what was promised.

YAM_COUNT=N tries the first N calls of each kind [4].
"""

import os

from fault_support import IS_SANITIZED, OPTIONS, finish, live, need, traced_relay
from relay_client import STORAGE_FAILED, Client, Gone, Journal
from yamd_support import CANTCREAT, IOERR, OK, TIMEOUT, Relay, folder, main

COUNT = int(os.environ.get("YAM_COUNT") or (2 if IS_SANITIZED else 4))


def publish_one_by_one(relay, journal, most=40):
    """Each message waits for the confirm of the one before, so that a failure always meets the one that waits."""
    with Client(relay.endpoint, journal, relay.process) as client:
        try:
            client.open(consume=False)
            for _ in range(most):
                client.ask(1)
                client.send()
                client.until(lambda: journal.confirmed == journal.asked or client.failed)
                if client.failed:
                    client.until(lambda: False, "the end of a relay whose store has failed")
        except Gone:
            pass
        return client


def events(log="strace.log"):
    """What the relay did, in order: "commit", "failed", "confirm"."""
    seen = []
    with open(folder(log), encoding="ascii", errors="replace") as file:
        for line in file:
            if "(INJECTED)" in line:
                seen.append("failed")
            elif "fdatasync" in line and "= 0" in line:
                seen.append("commit")
            elif "sendto(" in line and r"YAML\1\7" in line:
                seen.append("confirm")
    return seen


def fail_commit(number, store, again=""):
    """The N-th fdatasync of the commit thread fails while one message waits for it."""
    journal, log = Journal(), f"{store}.log"
    relay = traced_relay(f"fdatasync:error=EIO:when={number}{again}", calls=("fdatasync", "sendto"), store=store,
                         log=log)
    client = publish_one_by_one(relay, journal)
    assert relay.process.wait(TIMEOUT) == IOERR, relay.read_log()
    assert journal.confirmed == journal.asked - 1, (journal.confirmed, journal.asked)
    assert client.refusals in ([], [STORAGE_FAILED]), client.refusals
    seen = events(log)
    assert "failed" in seen and "confirm" not in seen[seen.index("failed"):], seen
    assert seen.count("confirm") == journal.confirmed, (seen, journal.confirmed)
    assert "store" in relay.read_log() and "restart" in relay.read_log(), relay.read_log()
    assert finish(journal, store) == [], store


def test_nothing_is_confirmed_after_a_failed_sync_and_the_relay_stops():
    for number in range(3, 3 + COUNT):
        fail_commit(number, f"commit-{number}")


def test_sync_that_would_succeed_later_is_not_tried_again():
    journal = Journal()
    relay = traced_relay("fdatasync:error=EIO:when=5", store="store", log="strace.log")
    publish_one_by_one(relay, journal)
    assert relay.process.wait(TIMEOUT) == IOERR, relay.read_log()
    seen = events()
    assert seen[seen.index("failed"):] == ["failed"], seen  # no further fdatasync, on anything
    assert finish(journal) == []


def test_any_storage_call_that_fails_leaves_a_store_that_opens_again():
    for name in ("fsync", "pwritev", "renameat", "ftruncate", "unlinkat", "pwrite64"):
        for number in range(1, 1 + COUNT):
            journal, store = Journal(), f"{name}-{number}"
            relay = traced_relay(f"{name}:error=EIO:when={number}", store=store, log=f"{store}.log")
            if not relay.is_ready:
                assert relay.process.wait(TIMEOUT) in (CANTCREAT, IOERR), relay.read_log()
            elif publish_one_by_one(relay, journal, 20).failed or journal.confirmed < journal.asked:
                #   Its end may be seen before its last frames.
                assert relay.process.wait(TIMEOUT) == IOERR, relay.read_log()
            else:
                assert relay.stop() in (OK, IOERR), relay.read_log()
            assert "cannot start: \n" not in relay.read_log(), "it does not say why"
            assert finish(journal, store) == [], store


def test_read_error_while_starting_is_no_damage_and_loses_nothing():
    journal = Journal()
    relay = Relay(*OPTIONS)
    publish_one_by_one(relay, journal, 40)
    assert relay.stop() == OK
    for number in range(1, 1 + 3 * COUNT):
        relay = traced_relay(f"pread64:error=EIO:when={number}")
        relay.kill()
        assert "damage" not in relay.read_log(), relay.read_log()
        assert "cannot start: \n" not in relay.read_log(), "it does not say why"
    assert finish(journal) == []
    assert len(journal.settled) == 40


def test_check_sees_confirms_and_commits():
    journal = Journal()
    relay = traced_relay(calls=("fdatasync", "sendto"))
    assert live(relay, journal, rounds=3) == OK
    seen = events()
    assert "failed" not in seen and seen.count("confirm") > 0 and seen.count("commit") > 0, seen
    assert seen.index("commit") < seen.index("confirm"), seen


if IS_SANITIZED:
    del test_check_sees_confirms_and_commits
need("strace")
if __name__ == "__main__":
    main(globals())
