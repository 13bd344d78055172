#!/usr/bin/python3
"""Delayed messages from the command line, and over kill -9 of the relay: none before its time, none lost, none that was
cancelled."""

import subprocess
import time

from yamd_support import TIMEOUT, UNAVAILABLE, USAGE, Relay, main, read_line, refused, rows, spawn

HOUR = "1h"


def stat(relay, channel):
    return rows(relay.yam("stat", channel, "--json")[0])[0]


def pull(relay, count):
    """The next messages, as rows."""
    output, _ = relay.yam("pull", "q", "-n", str(count), "-w", f"{TIMEOUT}s", "--json")
    return [rows(line) for line in output.splitlines()]


def test_delayed_message_waits_where_it_can_be_seen():
    relay = Relay()
    before = time.time() * 1000
    assert relay.yam("push", "q", "--delay", HOUR, "--id", "a", stdin="later\n")[0] == "1 confirmed (synced)\n"
    relay.yam("push", "q", stdin="now\n")
    assert [row["body"] for row in pull(relay, 1)] == ["now"]
    channels = {row["channel"]: row for row in rows(relay.yam("stat", "--json")[0])}
    assert channels["q"]["delayed"] == 1 and channels["q"]["messages"] == 0, channels
    assert channels["q.delayed"]["kind"] == "delayed" and channels["q.delayed"]["messages"] == 1, channels
    shown = rows(relay.yam("peek", "q.delayed", "--json")[0])
    assert len(shown) == 1 and shown[0]["body"] == "later" and shown[0]["properties"] == {"id": "a"}, shown
    assert before + 3600000 <= shown[0]["due-time"] <= time.time() * 1000 + 3600000, shown
    assert "due-time" in relay.yam("peek", "q.delayed")[0]
    assert rows(relay.yam("stat", "--relay", "--json")[0])[0]["delayed"] == 1


def test_time_that_is_past_delays_nothing_and_is_told():
    relay = Relay()
    relay.yam("push", "q", "--due", "2026-01-31T12:00:00.5Z", stdin="x\n")
    relay.yam("push", "q", "--due", "1767225600000", stdin="y\n")
    assert [row["due-time"] for row in pull(relay, 2)] == [1769860800500, 1767225600000]


def test_cancelled_message_is_counted_once():
    relay = Relay()
    for name in ("a", "b", "a"):
        relay.yam("push", "q", "--delay", HOUR, "--id", name, stdin="x\n")
    for arguments, count in ((("--dry-run",), 2), ((), 2), ((), 0)):
        assert rows(relay.yam("cancel", "q", "a", "--json", *arguments)[0]) == [{"messages": count}]
    row = stat(relay, "q.delayed")
    assert row["messages"] == row["delayed"] == 1 and row["cancelled"] == 2 and row["fired"] == 0, row
    refused("yam", "cancel", "nowhere", "a", "-e", relay.endpoint, code=UNAVAILABLE, says="no such channel")
    assert rows(relay.yam("purge", "q.delayed", "--yes", "--json")[0]) == [{"messages": 1}]


def test_times_are_checked():
    refused("yam", "push", "q", "--delay", "1s", "--due", "1", code=USAGE, says="one of them")
    for text in ("tomorrow", "2026-01-31", "2026-01-31T12:00:00", "2026-02-31T12:00:00Z", "2026-04-31T12:00:00Z", "0",
                 "-5", "99999999999999999999"):
        refused("yam", "push", "q", f"--due={text}", code=USAGE, says="is no time")
    refused("yam", "push", "q", "--fast", "--delay", "1s", "-e", "tcp://127.0.0.1:1", stdin="x\n", code=UNAVAILABLE,
            says="need a relay")


def test_kills_of_the_relay_lose_no_delayed_message_and_bring_none_early_or_back():
    relay = Relay()
    for wait in range(20):
        bodies = "".join(f"{wait}.{number}\n" for number in range(50))
        relay.yam("push", "q", "--delay", f"{1000 + wait * 50}ms", "--id", f"{wait}", stdin=bodies)
    #   Those of them that were due before are not cancelled: none, some or all.
    cancelled = rows(relay.yam("cancel", "q", "7", "--json")[0])[0]["messages"]
    assert stat(relay, "q.delayed")["cancelled"] == cancelled
    relay.kill()
    relay = Relay()
    process = spawn("yam", "pull", "q", "-e", relay.endpoint, "--json", "-n", "1", stdout=subprocess.PIPE, bufsize=0)
    got = [rows(read_line(process.stdout))]  # while they fire
    assert process.wait(TIMEOUT) == 0
    relay.kill()
    relay = Relay()
    sent = {f"{wait}.{number}" for wait in range(20) for number in range(50)}
    while (missing := len(sent) - cancelled - len({row["body"] for row in got})) > 0:
        got += pull(relay, missing)
    lost = sent - {row["body"] for row in got}
    assert len(lost) == cancelled and all(body.startswith("7.") for body in lost), lost
    assert all(row["time"] >= row["due-time"] for row in got), "one came before its time"
    assert stat(relay, "q.delayed")["messages"] == 0 and stat(relay, "q")["messages"] == 0


main(globals())
