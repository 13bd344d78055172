"""outbox_support - an application's database with an outbox in it, written as SPEC.md says, without the library."""

import random
import shutil
import signal
import sqlite3
import struct
import subprocess
import time

from yamd_support import (OK, TEMPFAIL, TIMEOUT, UNAVAILABLE, Relay, awaits, folder, freeze, hold, is_frozen, read_line,
                          refused, rows, spawn, until, yam)

BATCH = 40  # rows of one transaction
FAST = ("--lease", "100ms", "--limit", "300ms", "--poll", "2ms", "--tries", "100")


def record(body):
    """A message without properties, as section 2 of SPEC.md has it."""
    return struct.pack("<IHBBI", len(body), 0, 0, 4, 0) + body


def refuse_without_outbox(path):
    """A database that has none is told so by every command that only looks after one."""
    for words in (["list"], ["show", "1"], ["prune", "--dry-run"], ["prune"], ["retry", "--all", "--dry-run"]):
        refused("yam", "outbox", *words, "--db", path, code=UNAVAILABLE, says=["no outbox", "--prefix"])


def compare_dry_runs(database):
    """Of a row on its way, those that wait and one that is not there: a dry run counts what the command does
    then, ends as it does, and changes nothing."""
    database.put("orders", [b"x"] * 3)
    database.fly(1)
    for words, counted, left in ((["cancel", "1"], 0, 1), (["cancel", "99"], 0, 1), (["retry", "1", "2", "99"], 0, 3),
                                 (["cancel", "3", "3"], 1, 0), (["cancel", "3"], 0, 1),
                                 (["cancel", "--all", "--state", "0"], 1, 1), (["retry", "--all"], 0, 0)):
        words += ["--db", database.path, "--json"]
        code = TEMPFAIL if left else OK
        before = yam("outbox", "list", "--db", database.path, "--json")[0]
        tried = rows(yam("outbox", *words, "--dry-run", code=code)[0])[0]
        assert yam("outbox", "list", "--db", database.path, "--json")[0] == before, words
        done = rows(yam("outbox", *words, code=code)[0])[0]
        assert tried == {**done, "dry-run": True}, (words, tried, done)
        assert done["left"] == left and counted in done.values(), (words, done)


class Tables:
    """What both databases have in common."""

    connection = None  # of SQLite; a server ends a transaction that holds up others

    def number(self, text, values=()):
        return self.run(text, values)[0][0]

    def producer(self):
        halves = [self.number(f"SELECT value FROM yam_outbox_meta WHERE name = '{name}'")
                  for name in ("producer-1", "producer-2")]
        return struct.pack("<qq", *halves).hex()

    def wait(self, query, wanted):
        """Waits until the query gives that number."""
        until(lambda: self.number(query) == wanted, lambda: f"{query}: {self.number(query)}, not {wanted}")


class Database(Tables):
    """The file app.db of the running case; the outbox's tables are made by `yam outbox run`."""

    def __init__(self, name="app.db"):
        self.path = folder(name)
        self.connection = sqlite3.connect(self.path, timeout=TIMEOUT, isolation_level=None)
        self.run("PRAGMA journal_mode = WAL")
        yam("outbox", "run", "--once", "--db", self.path)

    def run(self, text, values=()):
        return self.connection.execute(text, values).fetchall()

    def lane(self, channel):
        self.run("INSERT OR IGNORE INTO yam_outbox_lane (kind, channel, epoch, next, assigned, owner, beat) "
                 "VALUES (1, ?, 1, 1, 0, 0, 0)", (channel,))
        return self.number("SELECT lane FROM yam_outbox_lane WHERE kind = 1 AND channel = ?", (channel,))

    def put(self, channel, bodies, rolls_back=False):
        """Puts messages on a queue in one transaction."""
        self.run("BEGIN IMMEDIATE")
        lane = self.lane(channel)
        self.connection.executemany("INSERT INTO yam_outbox_row (lane, time_ms, record) VALUES (?, ?, ?)",
                                    [(lane, int(time.time() * 1000), record(body)) for body in bodies])
        self.run("ROLLBACK" if rolls_back else "COMMIT")

    def fly(self, row):
        """Has the first row of the first lane on its way, as far as the tables say."""
        self.run("INSERT INTO yam_outbox_flight (lane, first, count, first_id, last_id, tries) "
                 "SELECT lane, 1, 1, ?, ?, '' FROM yam_outbox_lane WHERE lane = 1", (row, row))
        self.run("UPDATE yam_outbox_lane SET next = 2, assigned = ? WHERE lane = 1", (row,))


class PostgresDatabase(Tables):
    """The same in a database of its own at a server (server_support.py), by one psql."""

    count = 0

    def __init__(self, server):
        PostgresDatabase.count += 1
        self.path, self.session = server.uri, None
        self.connect()
        self.run(f"CREATE DATABASE case_{self.count}")
        self.path = server.uri.replace("/postgres?", f"/case_{self.count}?")
        self.connect()
        yam("outbox", "run", "--once", "--db", self.path)

    def connect(self):
        """A session; anew when the server was away."""
        if self.session:
            self.session.kill()
        self.session = spawn(shutil.which("psql"), "-XqAt", "-F", "\t", "-v", "ON_ERROR_STOP=1", self.path,
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def run(self, text, values=()):
        assert not values
        self.session.stdin.write(f"{text};\n\\echo END\n".encode())
        self.session.stdin.flush()
        found = []
        while (line := read_line(self.session.stdout)) != b"END\n":
            assert line, f"psql has ended over: {text}"
            found.append(tuple(map(int, line.decode().split("\t"))))
        return found

    def put(self, channel, bodies, rolls_back=False):
        lane = f"SELECT lane FROM yam_outbox_lane WHERE kind = 1 AND channel = '{channel}'"
        values = ", ".join(f"(({lane}), 0, {int(time.time() * 1000)}, '\\x{record(body).hex()}')" for body in bodies)
        self.run(f"BEGIN; INSERT INTO yam_outbox_lane (kind, channel) VALUES (1, '{channel}') ON CONFLICT DO NOTHING; "
                 f"INSERT INTO yam_outbox (lane, state, time_ms, record) VALUES {values}; "
                 f"{'ROLLBACK' if rolls_back else 'COMMIT'}")

    def fly(self, row):
        self.run("INSERT INTO yam_outbox_flight (lane, first, last) VALUES (1, 1, 1); "
                 "UPDATE yam_outbox_lane SET next = 2 WHERE lane = 1; "
                 f"UPDATE yam_outbox SET sequence = 1 WHERE id = {row}")


class Scene:
    """A relay, a database, and what was committed to it."""

    def __init__(self, database=None, listen="tcp://127.0.0.1:*"):
        self.relay = Relay(listen=listen)
        self.endpoint = self.relay.endpoint
        self.database = database or Database()
        self.committed = {"orders": [], "bills": []}
        self.number = 0

    def put(self, count=BATCH, rolls_back=False, channels=("orders", "bills")):
        for channel in channels:
            bodies = [b"%d %s" % (self.number + index, channel.encode()) for index in range(count)]
            self.number += count
            self.database.put(channel, bodies, rolls_back)
            if not rolls_back:
                self.committed[channel] += bodies

    def dispatch(self, *options, program="yam", endpoint=None, **more):
        return spawn(program, "outbox", "run", "--db", self.database.path, "-e", endpoint or self.endpoint, *FAST,
                     *options, **more)

    def restart(self):
        self.relay = Relay(listen=self.endpoint)

    def state(self):
        """Of lanes, flights and rows, all that dispatchers change."""
        return [self.database.run(f"SELECT {columns}") for columns in (
            "lane, epoch, next, owner, beat FROM yam_outbox_lane ORDER BY lane",
            "lane, first FROM yam_outbox_flight ORDER BY lane, first",
            "state, count(*) FROM yam_outbox GROUP BY state ORDER BY state")]

    def depths(self):
        return {row["channel"]: row["messages"] for row in rows(self.relay.yam("stat", "--json")[0])}

    def judge(self, endpoint=None, drains=True):
        """Everything heals and is sent; what is wrong then."""
        if drains:
            yam("outbox", "run", "--once", "--db", self.database.path, "-e", endpoint or self.endpoint, *FAST)
        wrong = []
        states = dict(self.database.run("SELECT state, count(*) FROM yam_outbox GROUP BY state"))
        if states != {1: sum(map(len, self.committed.values()))}:
            wrong.append(f"states are {states}")
        if self.database.number("SELECT count(*) FROM yam_outbox_flight") != 0:
            wrong.append("flights are left")
        depths = self.depths()
        for channel, bodies in self.committed.items():
            count = depths.get(channel, 0)
            found = self.relay.yam("pull", channel, f"-n{count}")[0].encode().splitlines() if count else []
            if found != bodies:
                wrong.append(f"{channel}: {len(found)} messages, {len(set(found))} different, not {len(bodies)}")
        return wrong


def wait_for_death(process):
    assert process.wait(TIMEOUT) == -signal.SIGKILL, process.returncode


def stop(runner):
    """Ends a dispatcher, which may have been started just now."""
    until(lambda: awaits(runner, signal.SIGTERM), "it never waits for SIGTERM")
    runner.send_signal(signal.SIGTERM)
    assert runner.wait(TIMEOUT) == 0, runner.returncode


def kill_at_random(scene):
    """Two dispatchers, of which one is killed again and again."""
    chance = random.Random(7)
    runners = [scene.dispatch() for _ in range(2)]
    for turn in range(20):
        for _ in range(chance.randint(1, 5)):
            scene.put(count=chance.randint(1, 200), rolls_back=chance.random() < 0.2)
            hold(chance.random() * 0.03)  # the kill comes at any moment
        victim = turn % 2
        runners[victim].kill()
        wait_for_death(runners[victim])
        runners[victim] = scene.dispatch()
    scene.database.wait("SELECT count(*) FROM yam_outbox WHERE state = 0", 0)
    for runner in runners:
        stop(runner)
    wrong = scene.judge(drains=False)
    assert wrong == [], wrong


def sleep_through_lease(scene):
    """A dispatcher sleeps through its lease, and wakes up when another has taken over."""
    owners = "SELECT lane, owner FROM yam_outbox_lane ORDER BY lane"
    for _ in range(5):
        scene.put()
        before = scene.database.run(owners)
        frozen = scene.dispatch()
        until(lambda before=before: scene.database.run(owners) != before, "it takes no lane")
        freeze(frozen, scene.database.connection)
        scene.put()
        other = scene.dispatch()
        scene.database.wait("SELECT count(*) FROM yam_outbox WHERE state = 0", 0)
        frozen.send_signal(signal.SIGCONT)
        scene.put()
        scene.database.wait("SELECT count(*) FROM yam_outbox WHERE state = 0", 0)
        for runner in (frozen, other):
            runner.kill()
            wait_for_death(runner)
    wrong = scene.judge()
    assert wrong == [], wrong


def lose_lane(scene, program):
    """A dispatcher sleeps before each of its first transactions, and wakes up when its lane is another's, which died with
    rows on their way. It would wait an hour before it took the lane back."""
    for number in range(1, 5):
        scene.put(channels=["orders"])
        loser = scene.dispatch("--lease", "1h", program=program, environment={"YAM_FAILPOINT": f"begin:{number}~"})
        until(lambda loser=loser: is_frozen(loser), f"never came by transaction {number}")
        scene.put(channels=["orders"])
        wait_for_death(scene.dispatch(program=program, environment={"YAM_FAILPOINT": "confirm:1"}))
        scene.put(channels=["orders"])
        before = scene.state()
        loser.send_signal(signal.SIGCONT)
        stop(loser)
        assert scene.state() == before, f"transaction {number} changed what is another's: {scene.state()}, not {before}"
        yam("outbox", "run", "--once", "--db", scene.database.path, "-e", scene.endpoint, *FAST)
    wrong = scene.judge()
    assert wrong == [], wrong
