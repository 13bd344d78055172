#!/usr/bin/python3
"""yam outbox over a PostgreSQL server, and dispatchers and servers that are killed: each committed row arrives once."""

import contextlib
import os
import tempfile

import outbox_support as outbox
from fault_support import failing_build
from server_support import NotInstalled, Server, find_program
from yamd_support import TEMPFAIL, UNAVAILABLE, USAGE, folder, leave, main, refused, rows, yam


SERVERS = []  # the one that all cases use, each with a database of its own


@contextlib.contextmanager
def scene():
    found = outbox.Scene(outbox.PostgresDatabase(SERVERS[0]))
    found.server = SERVERS[0]
    yield found


def test_rows_in_postgres_are_listed_cancelled_sent_put_back_and_pruned():
    with scene() as here:
        def cli(*arguments, **options):
            return rows(yam("outbox", arguments[0], "--db", here.database.path, *arguments[1:], "--json", **options)[0])
        here.relay.yam("pub", "bills", stdin="1\n")  # a topic now
        here.put(count=3)
        assert [row["state"] for row in cli("list")] == ["sending"] * 6
        assert cli("show", "2")[0]["identity"] == f"{here.database.producer()}-2"
        assert cli("cancel", "2") == [{"cancelled": 1, "left": 0, "dry-run": False}]
        assert cli("run", "--once", "-e", here.endpoint)[0]["delivered"] == 2
        failed = cli("list", "--state", "2")
        assert [row["reason"] for row in failed] == ["the channel is a topic"] * 3 and failed[0]["tries"] == 1, failed
        assert cli("cancel", "1", code=TEMPFAIL)[0]["left"] == 1, "it is delivered"
        assert cli("retry", "--all", "--dry-run")[0]["retried"] == 3
        assert cli("retry", "--all")[0]["retried"] == 3
        assert [row["sequence"] for row in map(lambda row: cli("show", str(row["id"]))[0], failed)] == [4, 5, 6]
        assert cli("prune", "--older", "0", "--dry-run")[0]["pruned"] == 3
        assert cli("prune", "--older", "0")[0]["pruned"] == 3
        assert len(cli("list")) == 3


def test_dry_run_in_postgres_counts_what_would_be_changed_and_changes_nothing():
    with scene() as here:
        outbox.compare_dry_runs(here.database)


def test_servers_that_cannot_be_used_are_refused_in_plain_words():
    refused("yam", "outbox", "list", "--db", "postgresql://me:secret@localhost:1/x", code=UNAVAILABLE, says="connect")
    refused("yam", "outbox", "list", "--db", "postgresql://h/x?no=1", code=USAGE, says="malformed")


def test_database_at_a_server_without_an_outbox_is_left_as_it_is():
    with scene() as here:
        here.database.run("CREATE DATABASE theirs")
        here.database.path = here.server.uri.replace("/postgres?", "/theirs?")
        here.database.connect()
        here.database.run("CREATE TABLE theirs (id bigint)")
        outbox.refuse_without_outbox(here.database.path)
        assert here.database.number("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == 1


def test_dispatchers_on_postgres_killed_at_random_store_everything_once():
    with scene() as here:
        outbox.kill_at_random(here)


def test_frozen_dispatcher_on_postgres_that_wakes_up_late_changes_nothing():
    with scene() as here:
        outbox.sleep_through_lease(here)


def test_dispatcher_on_postgres_that_freezes_before_a_transaction_and_loses_its_lane_changes_nothing():
    with scene() as here:
        outbox.lose_lane(here, os.path.join(failing_build("bin/yam"), "bin/yam"))


#   Sessions that ask, as dispatchers do all the time, whether anything was committed.
BOTH_AT_WORK = ("SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%txid_snapshot_xmax%' AND "
                "pid <> pg_backend_pid()")


def test_servers_killed_amid_the_work_of_two_dispatchers_lose_and_double_nothing():
    with scene() as here:
        runners = [here.dispatch() for _ in range(2)]
        here.database.wait(BOTH_AT_WORK, 2)  # who finds no server when it starts ends with that word
        for _ in range(5):
            for _ in range(5):
                here.put(count=200)
                here.put(count=10, rolls_back=True)
            here.server.kill()
            here.server.start()
            here.database.connect()
        here.database.wait("SELECT count(*) FROM yam_outbox WHERE state = 0", 0)
        for runner in runners:
            outbox.stop(runner)
        wrong = here.judge(drains=False)
        assert wrong == [], wrong


def test_oracle_finds_a_row_in_postgres_that_was_marked_and_never_sent():
    with scene() as here:
        here.put()
        here.database.run("UPDATE yam_outbox SET state = 1 WHERE id = 3")
        assert any("39 messages" in fault for fault in here.judge())


if __name__ == "__main__":
    try:
        find_program("postgres")
    except NotInstalled as reason:
        leave(reason)
    with tempfile.TemporaryDirectory(prefix="postgres-") as home:
        os.chmod(home, 0o755)
        with Server("postgres", home + "/data") as server:
            SERVERS.append(server)
            main(globals())
