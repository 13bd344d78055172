#!/usr/bin/python3
"""Outboxes whose dispatchers, relays, links, databases and clocks fail: each committed row arrives once, and no other."""

import glob
import os
import random
import select
import signal
import subprocess
import sys
import time

import outbox_support as outbox
import yamd_support
from fault_proxy import DOWN, FaultProxy
from fault_support import CLONE_NEWNS, command, need, unshare
from yamd_support import IS_SANITIZED, SKIPPED, TIMEOUT, Relay, folder, main, rows, spawn, write, yam

POINTS = ("commit", "committed", "send", "confirm")
BATCH = 40  # rows of one transaction
HOUR = 3600
LIBRARY = (glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1") or [None])[0]
FAST = ("--lease", "100ms", "--limit", "300ms", "--poll", "2ms", "--tries", "100")


class Scene:
    """A relay, a database, and what was committed to it."""

    def __init__(self, listen="tcp://127.0.0.1:*"):
        self.relay = Relay(listen=listen)
        self.endpoint = self.relay.endpoint
        self.database = outbox.Database()
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
        depths = {row["channel"]: row["messages"] for row in rows(self.relay.yam("stat", "--json")[0])}
        for channel, bodies in self.committed.items():
            count = depths.get(channel, 0)
            found = self.relay.yam("pull", channel, f"-n{count}")[0].encode().splitlines() if count else []
            if found != bodies:
                wrong.append(f"{channel}: {len(found)} messages, {len(set(found))} different, not {len(bodies)}")
        return wrong


def wait_for_death(process):
    assert process.wait(TIMEOUT) == -signal.SIGKILL, process.returncode


def failing_yam():
    """A yam with failpoints."""
    build = os.path.relpath(os.environ.get("YAM_BUILD", "build"))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    target = os.path.join(build, "failpoints/bin/yam")
    done = subprocess.run(["make", "--no-print-directory", "DEPS=no", f"BUILD={build}", "FAILPOINTS=yes", target],
                          env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    assert done.returncode == 0, done.stdout.decode()
    return os.path.abspath(target)


def test_dispatcher_killed_between_any_two_steps_stores_everything_once():
    scene, program = Scene(), failing_yam()
    for point in POINTS:
        for number in (1, 2, 3, 5, 30 if point == "send" else 7):
            victim = scene.dispatch(program=program, environment={"YAM_FAILPOINT": f"{point}:{number}"})
            while victim.poll() is None:
                scene.put(count=10)
                select.select([], [], [], 0.005)
            wait_for_death(victim)
    wrong = scene.judge()
    assert wrong == [], wrong


def test_dispatchers_killed_at_random_store_everything_once():
    scene, chance = Scene(), random.Random(7)
    runners = [scene.dispatch() for _ in range(2)]
    for turn in range(20):
        for _ in range(chance.randint(1, 5)):
            scene.put(count=chance.randint(1, 200), rolls_back=chance.random() < 0.2)
            select.select([], [], [], chance.random() * 0.03)
        victim = turn % 2
        runners[victim].kill()
        wait_for_death(runners[victim])
        runners[victim] = scene.dispatch()
    scene.database.wait("SELECT count(*) FROM yam_outbox WHERE state = 0", 0)
    for runner in runners:
        runner.send_signal(signal.SIGTERM)
        assert runner.wait(TIMEOUT) == 0
    wrong = scene.judge(drains=False)
    assert wrong == [], wrong


def test_frozen_dispatcher_that_wakes_up_late_changes_nothing():
    scene = Scene()
    for _ in range(5):
        frozen = scene.dispatch()
        scene.put()
        frozen.send_signal(signal.SIGSTOP)
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


def test_relay_that_is_away_for_longer_than_the_limit_gets_everything_once():
    scene = Scene()
    scene.dispatch("--tries", "1")
    for signal_sent in (signal.SIGKILL, signal.SIGTERM):
        scene.put()
        scene.relay.stop(signal_sent)
        scene.put()
        select.select([], [], [], 0.5)  # longer than the limit: this is the fault
        scene.restart()
        scene.put()
        scene.database.wait("SELECT count(*) FROM yam_outbox WHERE state = 0", 0)
    wrong = scene.judge()
    assert wrong == [], wrong


def test_rows_whose_confirms_are_lost_are_sent_again_and_stored_once():
    scene = Scene()
    proxy = FaultProxy(scene.endpoint)
    scene.put()
    runner = scene.dispatch(endpoint=proxy.endpoint)
    scene.database.wait("SELECT count(*) FROM yam_outbox WHERE state = 0", 0)
    proxy.stall(DOWN)  # what is sent arrives, and nobody hears of it
    scene.put()
    scene.database.wait("SELECT count(*) FROM yam_outbox WHERE state = 0", 0)
    proxy.stall(DOWN)
    scene.put()
    select.select([], [], [], 0.1)
    runner.kill()
    wait_for_death(runner)
    wrong = scene.judge()
    assert wrong == [], wrong


def test_rows_that_nobody_confirms_fail_with_their_tries():
    scene = Scene()
    proxy = FaultProxy(scene.endpoint)
    scene.put(count=1, channels=["orders"])
    runner = scene.dispatch("--tries", "2", "--limit", "100ms", endpoint=proxy.endpoint)
    scene.database.wait("SELECT count(*) FROM yam_outbox WHERE state = 0", 0)
    scene.relay.process.send_signal(signal.SIGSTOP)
    scene.put(count=1, channels=["orders"])
    select.select([], [], [], 1)  # it is attached, and says nothing
    scene.relay.process.send_signal(signal.SIGCONT)
    scene.database.wait("SELECT count(*) FROM yam_outbox WHERE state = 0", 0)
    runner.kill()
    wait_for_death(runner)
    row = rows(yam("outbox", "show", "2", "--db", scene.database.path, "--json")[0])[0]
    assert row["state"] in ("delivered", "failed"), row
    if row["state"] == "failed":
        assert row["tries"] == 2 and row["status"] == "timeout" and row["try-2-time"] >= row["try-1-time"], row


def test_locked_database_delays_and_loses_nothing():
    scene = Scene()
    scene.dispatch()
    scene.put()
    for _ in range(3):
        scene.put()
        scene.database.run("BEGIN IMMEDIATE")
        select.select([], [], [], 0.3)  # longer than a lease: this is the fault
        scene.database.run("COMMIT")
    scene.database.wait("SELECT count(*) FROM yam_outbox WHERE state = 0", 0)
    wrong = scene.judge()
    assert wrong == [], wrong


def test_full_disk_delays_and_loses_nothing():
    if os.geteuid() != 0:
        return  # it takes a file system of its own
    os.makedirs(folder("disk"))
    command("mount", "-t", "tmpfs", "-o", "size=1M", "none", folder("disk"))
    scene = Scene()
    scene.database = outbox.Database("disk/app.db")
    scene.put()
    write("disk/ballast", b"")
    with open(folder("disk/ballast"), "ab", buffering=0) as ballast:
        try:
            while True:
                ballast.write(b"x" * 512)
        except OSError:
            pass
    scene.dispatch()
    select.select([], [], [], 0.5)
    assert scene.database.number("SELECT count(*) FROM yam_outbox WHERE state <> 0") == 0
    os.unlink(folder("disk/ballast"))
    scene.database.wait("SELECT count(*) FROM yam_outbox WHERE state = 0", 0)
    wrong = scene.judge()
    assert wrong == [], wrong
    scene.database.connection.close()


def test_clocks_that_jump_move_no_lease():
    scene = Scene()
    write("clock", "+0\n")
    faked = {"LD_PRELOAD": LIBRARY, "FAKETIME_TIMESTAMP_FILE": folder("clock"), "FAKETIME_NO_CACHE": "1",
             "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
    for seconds in (HOUR, -HOUR):
        runner = scene.dispatch(environment=faked)
        other = scene.dispatch()
        scene.put()
        write("clock.new", f"{seconds:+d}\n")
        os.rename(folder("clock.new"), folder("clock"))
        scene.put()
        scene.database.wait("SELECT count(*) FROM yam_outbox WHERE state = 0", 0)
        other.kill()
        wait_for_death(other)
        scene.put()
        begun = time.monotonic()
        scene.database.wait("SELECT count(*) FROM yam_outbox WHERE state = 0", 0)
        assert time.monotonic() - begun < TIMEOUT / 2
        runner.kill()
        wait_for_death(runner)
    wrong = scene.judge()
    assert wrong == [], wrong


def test_oracle_finds_a_row_that_was_marked_and_never_sent():
    scene = Scene()
    scene.put()
    scene.database.run("UPDATE yam_outbox SET state = 1 WHERE id = 3")
    assert any("39 messages" in fault for fault in scene.judge())


if __name__ == "__main__":
    if IS_SANITIZED:
        print("# once is enough")
        sys.exit(SKIPPED)
    need("faketime", "make")
    if os.geteuid() == 0:
        unshare(CLONE_NEWNS)
    main(globals())
