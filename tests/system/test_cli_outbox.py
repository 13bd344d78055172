#!/usr/bin/python3
"""yam outbox: what it shows, puts back, gives up, deletes and sends."""

import json
import os
import signal
import sqlite3
import subprocess

import outbox_support as outbox
from yamd_support import (DATAERR, IS_THREAD_SANITIZED, NOINPUT, TEMPFAIL, TIMEOUT, UNAVAILABLE, USAGE, Relay, Skipped, awaits,
                          catches, folder, main, read_line, refused, rows, spawn, until, yam)


def cli(*arguments, **options):
    return yam("outbox", arguments[0], "--db", folder("app.db"), *arguments[1:], **options)[0]


def listed(*arguments):
    return rows(cli("list", "--json", *arguments))


def test_rows_are_listed_sent_and_pruned():
    relay, database = Relay(store=None), outbox.Database()
    database.put("orders", [b"one", b"two"])
    database.put("bills", [b"three"])
    assert [row["state"] for row in listed()] == ["sending"] * 3
    assert [row["id"] for row in listed("--channel", "bills")] == [3]
    assert [row["id"] for row in listed("--from", "2", "-n1")] == [2]
    assert rows(cli("run", "--once", "--json", "-e", relay.endpoint)) == [{"delivered": 3, "left": 0, "dry-run": False}]
    assert [row["state"] for row in listed("--state", "1")] == ["delivered"] * 3
    assert relay.yam("pull", "orders", "-n2")[0] == "one\ntwo\n"
    assert rows(cli("prune", "--older", "0", "--dry-run", "--json"))[0]["pruned"] == 3
    assert rows(cli("prune", "--json"))[0]["pruned"] == 0, "all are young"
    assert rows(cli("prune", "--older", "0", "--json"))[0]["pruned"] == 3
    assert listed() == []


def test_show_tells_all_that_is_known_of_a_row():
    database = outbox.Database()
    database.put("orders", [b"\xff\x00"])
    row = rows(cli("show", "1", "--json"))[0]
    assert row["identity"] == f"{database.producer()}-1" and row["sequence"] == 0 and row["body-base64"], row
    assert "identity" in cli("show", "1")
    refused("yam", "outbox", "show", "99", "--db", folder("app.db"), code=UNAVAILABLE, says="no row 99")


def test_rows_are_cancelled_by_id_and_all_at_once():
    database = outbox.Database()
    database.put("orders", [b"x"] * 5)
    assert rows(cli("cancel", "2", "3", "--json"))[0] == {"cancelled": 2, "left": 0, "dry-run": False}
    assert rows(cli("cancel", "2", "--json", code=TEMPFAIL))[0]["left"] == 1
    assert rows(cli("cancel", "--all", "--state", "0", "--dry-run", "--json"))[0]["cancelled"] == 3
    assert len(listed("--state", "0")) == 3
    assert rows(cli("cancel", "--all", "--state", "0", "--json"))[0]["cancelled"] == 3
    assert listed("--state", "0") == []


def test_failed_rows_say_why_and_are_put_back():
    relay, database = Relay(store=None), outbox.Database()
    relay.yam("pub", "orders", stdin="1\n")  # a topic now
    database.put("orders", [b"x"] * 3)
    cli("run", "--once", "-e", relay.endpoint)
    failed = listed("--state", "2")
    assert [row["status"] for row in failed] == ["conflict"] * 3 and failed[0]["tries"] == 1, failed
    assert failed[0]["reason"] == "the channel is a topic", failed
    assert rows(cli("retry", "--all", "--dry-run", "--json"))[0]["retried"] == 3
    assert rows(cli("retry", "1", "--json"))[0]["retried"] == 1
    assert rows(cli("retry", "--all", "--json"))[0]["retried"] == 2
    other = Relay(store=None)
    cli("run", "--once", "-e", other.endpoint)
    assert len(listed("--state", "1")) == 3


def test_run_at_a_level_leaves_a_relay_in_memory_alone():
    relay, database = Relay(store=None), outbox.Database()
    database.put("orders", [b"x"])
    process = spawn("yam", "outbox", "run", "--db", database.path, "-e", relay.endpoint, "--level", "synced",
                    bufsize=0, stderr=subprocess.PIPE)
    line = read_line(process.stderr)
    assert b"outbox.level channel=orders relay=received level=synced" in line, line
    assert [row["state"] for row in listed()] == ["sending"]
    refused("yam", "outbox", "run", "--db", database.path, "-e", relay.endpoint, "--level", "x", code=USAGE, says="level")


def test_dry_run_counts_what_would_be_changed_and_changes_nothing():
    outbox.compare_dry_runs(outbox.Database())


def test_dry_run_of_retry_counts_failed_rows_alone():
    relay, database = Relay(store=None), outbox.Database()
    relay.yam("pub", "orders", stdin="1\n")  # a topic now
    database.put("orders", [b"x"] * 2)
    cli("run", "--once", "-e", relay.endpoint)
    database.put("orders", [b"x"])
    tried = {"retried": 2, "left": 2, "dry-run": True}
    assert rows(cli("retry", "1", "2", "3", "99", "--dry-run", "--json", code=TEMPFAIL))[0] == tried
    assert len(listed("--state", "2")) == 2
    assert rows(cli("retry", "1", "2", "3", "99", "--json", code=TEMPFAIL))[0] == {**tried, "dry-run": False}


def test_what_an_action_does_not_take_is_refused_and_nothing_is_done():
    database = outbox.Database()
    database.put("orders", [b"x"] * 3)
    cli("cancel", "1")
    before = listed()
    for says, *words in (("prune takes no --channel", "prune", "--older", "0", "--channel", "bills"),
                         ("prune takes no --state", "prune", "--older", "0", "--state", "3"),
                         ("prune takes no id, but '2' is given", "prune", "--older", "0", "2"),
                         ("retry takes no --state", "retry", "--all", "--state", "0"),
                         ("ids takes no --channel", "retry", "1", "--channel", "orders"),
                         ("ids takes no --state", "cancel", "2", "--state", "2"),
                         ("list takes no id, but '1' is given", "list", "1"),
                         ("list takes no --dry-run", "list", "--dry-run"),
                         ("show takes no --channel", "show", "1", "--channel", "orders"),
                         ("which?", "show"),
                         ("run takes no --dry-run", "run", "--once", "--dry-run"),
                         ("run takes no --channel", "run", "--once", "--channel", "orders"),
                         ("run takes no id", "run", "--once", "1")):
        refused("yam", "outbox", *words, "--db", folder("app.db"), code=USAGE, says=says)
    assert listed() == before


def test_run_goes_on_until_interrupted():
    relay, database = Relay(store=None), outbox.Database()
    process = spawn("yam", "outbox", "run", "--db", folder("app.db"), "-e", relay.endpoint)
    for number in range(3):
        database.put("orders", [str(number).encode()])
        database.wait("SELECT count(*) FROM yam_outbox WHERE state = 1", number + 1)
    process.send_signal(signal.SIGINT)
    assert process.wait(TIMEOUT) == 0
    assert database.number("SELECT count(*) FROM yam_outbox_lane WHERE owner <> 0") == 0


def test_interrupted_run_until_nothing_is_left_does_not_look_complete():
    database = outbox.Database()
    database.put("orders", [b"x"])
    process = spawn("yam", "outbox", "run", "--once", "--db", folder("app.db"), "-e", "tcp://127.0.0.1:1",
                    stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    until(lambda: awaits(process, signal.SIGINT), "it never waits for SIGINT")
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=TIMEOUT)
    assert process.returncode == TEMPFAIL and b"interrupted" in errors, (process.returncode, errors)
    assert [b"delivered", b"0"] in [line.split() for line in output.splitlines()], output


def test_interrupted_change_of_rows_does_not_look_complete():
    if IS_THREAD_SANITIZED:
        raise Skipped("not here: ThreadSanitizer keeps signals back while SQLite waits")
    database = outbox.Database()
    for choice in (["1", "2"], ["--all", "--state", "0", "--from", "3"]):
        database.put("orders", [b"x"] * 2)
        holder = sqlite3.connect(folder("app.db"), isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        process = spawn("yam", "outbox", "cancel", *choice, "--db", folder("app.db"), stdout=subprocess.PIPE,
                        stderr=subprocess.PIPE)
        until(lambda: catches(process, signal.SIGTERM), "it never listens for SIGTERM")
        process.send_signal(signal.SIGTERM)
        holder.close()
        _, errors = process.communicate(timeout=TIMEOUT)
        assert process.returncode == TEMPFAIL and b"interrupted" in errors, (process.returncode, errors)
    assert [row["state"] for row in listed() if row["id"] in (2, 4)] == ["sending"] * 2  # the last ones


def test_database_without_an_outbox_is_left_as_it_is():
    with sqlite3.connect(folder("e.db")) as connection:
        connection.execute("CREATE TABLE theirs (id INTEGER)")
    connection.close()
    with open(folder("e.db"), "rb") as file:
        before = file.read()
    outbox.refuse_without_outbox(folder("e.db"))
    with open(folder("e.db"), "rb") as file:
        assert file.read() == before


def test_bad_words_and_databases_are_refused_in_plain_words():
    refused("yam", "outbox", "list", code=USAGE, says="--db")
    refused("yam", "outbox", "list", "--db", "postgresql://localhost:1/x", code=UNAVAILABLE, says="cannot connect")
    for action in (["list"], ["show", "1"], ["prune"], ["run"]):
        refused("yam", "outbox", *action, "--db", folder("none.db"), code=NOINPUT, says=["none.db", "No such file"])
        refused("yam", "outbox", *action, "--db", folder(), code=NOINPUT, says="Is a directory")
    assert not os.path.exists(folder("none.db"))
    outbox.Database()
    refused("yam", "outbox", "dance", "--db", folder("app.db"), code=USAGE, says="dance")
    refused("yam", "outbox", "retry", "--db", folder("app.db"), code=USAGE, says="--all")
    refused("yam", "outbox", "cancel", "--all", "--db", folder("app.db"), code=USAGE, says="--state")
    refused("yam", "outbox", "retry", "x1", "--db", folder("app.db"), code=USAGE, says="x1")
    with sqlite3.connect(folder("app.db")) as connection:
        connection.execute("UPDATE yam_outbox_meta SET value = 9 WHERE name = 'version'")
    connection.close()
    refused("yam", "outbox", "list", "--db", folder("app.db"), code=DATAERR, says="version 9")


if __name__ == "__main__":
    main(globals())
