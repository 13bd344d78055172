#!/usr/bin/env python3
"""yam-callbackd as a program, and yam callback: options, readiness, signals, exit codes, and what people do with cases."""

import os
import signal
import sqlite3
import subprocess

from yamd_support import (CANTCREAT, CONFIG, DATAERR, NOINPUT, OK, TIMEOUT, UNAVAILABLE, USAGE, Relay, folder, main, read_line,
                          refused, rows, run, spawn, write, yam)


def service(*arguments):
    """A yam-callbackd that is ready."""
    process = spawn("yam-callbackd", "--db", folder("callback.db"), *arguments, bufsize=0, stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE)
    line = read_line(process.stdout).decode()
    assert line.startswith("ready "), line
    return process


def stop(process):
    process.send_signal(signal.SIGTERM)
    assert process.wait(TIMEOUT) == OK
    return process.stderr.read().decode()


def cases(*states):
    """A database with a case in each of the states, ids a, b .."""
    stop(service("--relay", "tcp://127.0.0.1:1?grade=sure"))
    database = sqlite3.connect(folder("callback.db"))
    for number, state in enumerate(states):
        name = "abcdef"[number]
        database.execute("INSERT INTO yam_callback_cases VALUES (?, ?, 3, 3, 1, 0, 1000, 1000, ?, 'orders', 'shop')",
                         (name, state, 2000 + number))
        database.execute("INSERT INTO yam_callback_history VALUES (?, 1, 1500, 3, 'missing', '')", (name,))
    database.commit()
    database.close()
    return ["--db", folder("callback.db")]


def test_ready_says_where_it_works_and_sigterm_ends_it():
    relay = Relay(store=None)
    process = service("--relay", relay.endpoint + "?grade=sure")
    stop(process)


def test_without_its_relay_it_waits_and_can_be_stopped():
    process = service("--relay", "tcp://127.0.0.1:1?grade=sure")
    stop(process)


def test_config_is_checked_without_touching_anything():
    write("callbackd.conf", "rounds = 5\nretention = 24h\ndb = never-made.db\n")
    output, _ = run("yam-callbackd", "--config", "callbackd.conf", "--check-config")
    assert "right" in output
    output, _ = run("yam-callbackd", "--config", "callbackd.conf", "--dump-config")
    assert "rounds = 5\n" in output and 'db = "never-made.db"' in output
    refused("yam-callbackd", "--db", "x.db", "--backoff", "never", "--check-config", code=CONFIG, says="backoff")
    refused("yam-callbackd", "--db", "x.db", "--certificate", folder("none"), code=CONFIG, says="none")


def test_what_is_not_right_is_refused_with_the_reason():
    refused("yam-callbackd", code=USAGE, says="--db")
    refused("yam-callbackd", "--db", "x.db", "--rounds", "-1", code=USAGE, says="rounds")
    refused("yam-callbackd", "--db", "x.db", "--ruonds", "1", code=USAGE, says="did you mean")
    refused("yam-callbackd", "--db", "x.db", "--relay", "tcp://127.0.0.1:1?grade=fast", code=USAGE, says="grade=sure")
    refused("yam-callbackd", "--db", "x.db", "--relay", "tcp://127.0.0.1:99999", code=USAGE, says="column 17")
    assert not os.path.exists(folder("x.db"))  # nothing was made
    refused("yam-callbackd", "--db", "no/such/folder.db", code=CANTCREAT, says="no/such/folder.db")
    write("text.db", "this is no database, whatever its name says\n" * 100)
    refused("yam-callbackd", "--db", "text.db", code=DATAERR, says="not a database")


def test_sighup_says_what_needs_a_restart():
    write("callbackd.conf", "rounds = 3\n")
    process = service("--config", "callbackd.conf", "--relay", "tcp://127.0.0.1:1?grade=sure")
    write("callbackd.conf", "rounds = 4\n")
    process.send_signal(signal.SIGHUP)
    line = b"before"
    while line and b"daemon.not-reloaded option=rounds" not in line:
        line = read_line(process.stderr)
    assert line, "the daemon ended without a word"
    stop(process)


def test_people_list_and_show_cases():
    where = cases(3, 4, 1)
    listed = rows(yam("callback", "list", *where, "--json")[0])
    assert [(row["id"], row["state"]) for row in listed] == [("c", "waiting"), ("b", "done"), ("a", "open")]
    assert rows(yam("callback", "list", *where, "--state", "open", "--json")[0])[0]["id"] == "a"
    assert len(rows(yam("callback", "list", *where, "--count", "2", "--json")[0])) == 2
    paged = rows(yam("callback", "list", *where, "--from", "b", "-n1", "--json")[0])
    assert [row["id"] for row in paged] == ["b"], paged
    assert rows(yam("callback", "list", *where, "--from", "b", "--state", "open", "--json")[0])[0]["id"] == "a"
    refused("yam", "callback", "list", *where, "--from", "none", code=UNAVAILABLE, says="there is no case none")
    shown = rows(yam("callback", "show", "a", *where, "--json")[0])
    assert shown[0]["service"] == "shop" and shown[0]["round"] == 3 and shown[0]["confirm"] == "none"
    assert shown[1]["event"] == "missing"
    table, _ = yam("callback", "show", "a", *where)
    assert "orders" in table and "missing" in table


def test_people_retry_and_close_cases():
    where = cases(3, 3, 4)
    assert "would be called again" in yam("callback", "retry", "a", *where, "--dry-run")[0]
    assert rows(yam("callback", "list", *where, "--state", "calling", "--json")[0]) == []
    yam("callback", "retry", "a", *where)
    yam("callback", "close", "b", *where, "--note", "paid by hand")
    states = {row["id"]: row["state"] for row in rows(yam("callback", "list", *where, "--json")[0])}
    assert states == {"a": "calling", "b": "closed", "c": "done"}
    assert rows(yam("callback", "show", "b", *where, "--json")[0])[-1]["text"] == "paid by hand"
    refused("yam", "callback", "retry", "c", *where, code=USAGE, says="confirmed")
    refused("yam", "callback", "close", "none", *where, code=UNAVAILABLE, says="there is no case none")


def test_dry_run_refuses_what_the_command_refuses_and_changes_nothing():
    where = cases(3, 4, 6)
    before = yam("callback", "list", *where, "--json")[0]
    for action, name, code, says in (("retry", "b", USAGE, "confirmed"), ("close", "b", USAGE, "has ended already"),
                                     ("close", "c", USAGE, "has ended already"), ("retry", "none", UNAVAILABLE, "no case none")):
        tried = refused("yam", "callback", action, name, *where, "--dry-run", code=code, says=says)
        assert refused("yam", "callback", action, name, *where, code=code, says=says) == tried
    assert yam("callback", "close", "a", "a", *where, "--dry-run")[0] == "a would be closed\n"
    assert yam("callback", "list", *where, "--json")[0] == before
    assert yam("callback", "close", "a", "a", *where)[0] == "a closed\n"


def test_what_an_action_does_not_take_is_refused():
    where = cases(3)
    for says, *words in (("list takes no id, but 'a' is given", "list", "a"),
                         ("list takes no --note", "list", "--note", "x"),
                         ("show takes no --state", "show", "a", "--state", "open"),
                         ("show takes 1 id", "show", "a", "b"), ("which?", "retry"),
                         ("retry takes no --note", "retry", "a", "--note", "x"),
                         ("close takes no --state", "close", "a", "--state", "open"), ("dance", "dance")):
        refused("yam", "callback", *words, *where, code=USAGE, says=says)


def test_files_of_somebody_else_are_left_alone():
    database = sqlite3.connect(folder("other.db"))
    database.execute("CREATE TABLE business (x)")
    database.commit()
    database.close()
    before = open(folder("other.db"), "rb").read()
    refused("yam", "callback", "list", "--db", "other.db", code=UNAVAILABLE, says="no tables of a callback service")
    refused("yam", "callback", "list", "--db", "missing.db", code=NOINPUT, says="missing.db")
    refused("yam", "callback", "list", code=USAGE, says="--db")
    refused("yam", "callback", "show", "a", "--db", "other.db", code=UNAVAILABLE, says="no tables")
    assert open(folder("other.db"), "rb").read() == before


main(globals())
