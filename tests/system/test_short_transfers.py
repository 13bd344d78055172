#!/usr/bin/python3
"""A kernel that moves a part of what it is asked to, and says EINTR: a relay's store is whole all the same.

No file system here does so by itself; tests/preload/short_transfers.c does.
"""

import os
import sys

from fault_support import OPTIONS, PRELOADS, finish, live, need
from relay_client import Client, Journal
from yamd_support import OK, Relay, folder, main, run

SHORT = {"LD_PRELOAD": os.path.join(PRELOADS, "short_transfers.so")}
LYING = dict(SHORT, SHORT_TRANSFERS_LIE="yes")
KILLS = 5


def publish_and_kill(journal, environment):
    """A relay that stores messages, some of them larger than a window of its reader, and is killed with all confirmed."""
    relay = Relay(*OPTIONS, environment=environment)
    with Client(relay.endpoint, journal, relay.process) as client:
        client.open(consume=False)
        client.ask(30)
        client.flush()
    relay.kill()
    return relay


def test_relay_stores_recovers_and_delivers_all_though_each_call_moves_a_part():
    journal = Journal(most=40000)
    for _ in range(KILLS):
        relay = publish_and_kill(journal, SHORT)
        assert "damage" not in relay.read_log(), relay.read_log()
    relay = Relay(*OPTIONS, environment=SHORT)
    assert live(relay, journal) == OK, relay.read_log()
    assert "damage" not in relay.read_log(), relay.read_log()
    assert len(journal.settled) == journal.asked > KILLS * 30
    assert finish(journal) == []


def test_store_written_and_read_in_parts_is_the_same():
    publish_and_kill(Journal(), SHORT)
    shown = run("yam", "dump", folder("store"), "--bodies", "--json")
    assert shown == run("yam", "dump", folder("store"), "--bodies", "--json", environment=SHORT)
    assert shown[0].count("\n") == 30, shown




def test_oracle_finds_parts_that_are_taken_for_the_whole():
    journal = Journal()
    publish_and_kill(journal, None)
    publish_and_kill(journal, LYING)
    relay = Relay(*OPTIONS)
    with Client(relay.endpoint, journal, relay.process) as client:
        client.open(produce=False)
        client.drain()
    assert any("is missing" in wrong for wrong in journal.judge()), "nothing is missed"
    assert "damage" in relay.read_log(), relay.read_log()


if __name__ == "__main__":
    need(plain=True)
    main(globals())
