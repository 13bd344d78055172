#!/usr/bin/python3
"""Outboxes whose dispatchers, relays, links, databases and clocks fail: each committed row arrives once, and no other."""

import os
import signal
import time

import outbox_support as outbox
import yamd_support
from fault_proxy import DOWN, UP, FaultProxy
from fault_support import CLONE_NEWNS, FalseClock, command, failing_build, need, unshare
from outbox_support import Scene, stop, wait_for_death
from yamd_support import (IS_SANITIZED, TIMEOUT, folder, freeze, hold, leave, main, needs, read, rows, until, write, yam)

POINTS = ("commit", "committed", "send", "confirm")
HOUR = 3600
LONG = "30m"


def test_dispatcher_killed_between_any_two_steps_stores_everything_once():
    scene, program = Scene(), os.path.join(failing_build("bin/yam"), "bin/yam")
    for point in POINTS:
        for number in (1, 2, 3, 5, 30 if point == "send" else 7):
            victim = scene.dispatch(program=program, environment={"YAM_FAILPOINT": f"{point}:{number}"})
            until(lambda: scene.put(count=10) or victim.poll() is not None, f"never came by {point}")
            wait_for_death(victim)
    wrong = scene.judge()
    assert wrong == [], wrong


def test_dispatchers_killed_at_random_store_everything_once():
    outbox.kill_at_random(Scene())


def test_frozen_dispatcher_that_wakes_up_late_changes_nothing():
    outbox.sleep_through_lease(Scene())


def test_dispatcher_that_freezes_before_a_transaction_and_loses_its_lane_changes_nothing():
    outbox.lose_lane(Scene(), os.path.join(failing_build("bin/yam"), "bin/yam"))


def test_relay_that_is_away_for_longer_than_the_limit_gets_everything_once():
    scene = Scene()
    scene.dispatch("--tries", "1", "--limit", "3s")  # a busy relay must not be taken for one that does not confirm
    for signal_sent in (signal.SIGKILL, signal.SIGTERM):
        scene.put()
        scene.relay.stop(signal_sent)
        scene.put()
        hold(3.5)  # it is away, for longer than the limit
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
    until(lambda: scene.depths() == {channel: len(bodies) for channel, bodies in scene.committed.items()},
          lambda: f"the relay has {scene.depths()}")
    runner.kill()
    wait_for_death(runner)
    wrong = scene.judge()
    assert wrong == [], wrong


def test_rows_that_are_sent_and_never_arrive_are_sent_again():
    scene = Scene()
    proxy = FaultProxy(scene.endpoint)
    scene.put()
    runner = scene.dispatch("--limit", LONG, "--lease", LONG, endpoint=proxy.endpoint)  # so it waits for the confirm
    scene.database.wait("SELECT count(*) FROM yam_outbox WHERE state = 0", 0)
    proxy.stall(UP)
    scene.put()
    scene.database.wait("SELECT total(count) FROM yam_outbox_flight", 2 * outbox.BATCH)
    until(lambda: proxy.holds(UP), "nothing is on its way")
    hold(0.5)  # in which one that marks what it has sent would do so
    runner.kill()
    wait_for_death(runner)
    wrong = scene.judge()
    assert wrong == [], wrong


def test_rows_that_nobody_confirms_fail_with_their_tries():
    scene = Scene()
    proxy = FaultProxy(scene.endpoint)
    scene.put(count=1, channels=["orders"])
    scene.dispatch("--tries", "1", "--limit", "1s", endpoint=proxy.endpoint)
    scene.database.wait("SELECT count(*) FROM yam_outbox WHERE state = 0", 0)
    proxy.stall(UP)  # what is sent does not arrive, and the next to connect hears that it did not
    scene.put(count=1, channels=["orders"])
    scene.database.wait("SELECT count(*) FROM yam_outbox WHERE state = 0", 0)
    row = rows(yam("outbox", "show", "2", "--db", scene.database.path, "--json")[0])[0]
    assert (row["state"], row["tries"], row["status"]) == ("failed", 1, "timeout"), row
    assert row["reason"] == "no confirm after 1 tries of 1000 ms" and row["try-1-time"] > 0, row
    assert scene.depths() == {"orders": 1}


def test_locked_database_delays_and_loses_nothing():
    scene = Scene()
    scene.dispatch()
    scene.put()
    for _ in range(3):
        scene.put()
        scene.database.run("BEGIN IMMEDIATE")
        hold(0.3)  # it is locked, for longer than a lease
        scene.database.run("COMMIT")
    scene.database.wait("SELECT count(*) FROM yam_outbox WHERE state = 0", 0)
    wrong = scene.judge()
    assert wrong == [], wrong


def test_full_disk_delays_and_loses_nothing():
    needs(os.geteuid() == 0, "root: a file system of its own")
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
    with open(folder("dispatcher.log"), "wb") as log:
        scene.dispatch(stderr=log)
    until(lambda: "database or disk is full" in read("dispatcher.log"), lambda: read("dispatcher.log"))
    assert scene.database.number("SELECT count(*) FROM yam_outbox WHERE state <> 0") == 0
    os.unlink(folder("disk/ballast"))
    scene.database.wait("SELECT count(*) FROM yam_outbox WHERE state = 0", 0)
    wrong = scene.judge()
    assert wrong == [], wrong
    scene.database.connection.close()


def share_lanes(scene, clock, lease):
    """Two dispatchers: (a frozen one that has the lane of orders, one with that clock and lease that has the others)."""
    other = scene.dispatch("--lease", LONG)
    scene.put(channels=["orders"])
    scene.database.wait("SELECT count(*) FROM yam_outbox WHERE state = 0", 0)
    freeze(other, scene.database.connection)
    runner = scene.dispatch("--lease", lease, environment=clock.environment)
    scene.put(channels=["bills"])
    scene.database.put("news", [b"x"])
    scene.database.wait("SELECT count(*) FROM yam_outbox WHERE state = 0", 0)
    return other, runner


def find_owners(scene):
    return scene.database.run("SELECT channel, owner FROM yam_outbox_lane ORDER BY channel")


def check_leases(scene, before):
    """After some work each lane has the owner it had."""
    scene.put()
    scene.database.wait("SELECT count(*) FROM yam_outbox WHERE state = 0", 0)
    assert find_owners(scene) == before, f"a lease has moved: {find_owners(scene)}, not {before}"


def test_clocks_that_jump_move_no_lease():
    scene, clock = Scene(), FalseClock()
    scene.relay.yam("pub", "news", stdin="x")  # a topic: what goes there as to a queue fails, at the dispatcher's time
    other, runner = share_lanes(scene, clock, LONG)
    other.send_signal(signal.SIGCONT)
    before = find_owners(scene)
    owners = dict(before)
    assert 0 != owners["orders"] != owners["bills"] == owners["news"] != 0, owners
    for seconds in (HOUR, 0, -HOUR, 0):
        clock.jump(seconds)
        check_leases(scene, before)
        scene.database.put("news", [b"x"])
        scene.database.wait("SELECT count(*) FROM yam_outbox WHERE state = 0", 0)
        newest = scene.database.number("SELECT time_ms FROM yam_outbox_failed ORDER BY id DESC LIMIT 1") / 1000
        assert abs(newest - time.time() - seconds) < 60, "the clock did not jump"
        check_leases(scene, before)
    for process in (other, runner):
        stop(process)
    scene.database.run("DELETE FROM yam_outbox_row WHERE id IN (SELECT id FROM yam_outbox_failed)")
    wrong = scene.judge()
    assert wrong == [], wrong


def test_check_sees_a_lease_that_moves():
    scene = Scene()
    scene.relay.yam("pub", "news", stdin="x")
    share_lanes(scene, FalseClock(), "100ms")  # who has orders stays frozen, and loses it
    before = find_owners(scene)
    try:
        check_leases(scene, before)
    except AssertionError as error:
        assert "a lease has moved" in str(error), error
        assert dict(find_owners(scene))["orders"] != dict(before)["orders"] != 0
    else:
        raise AssertionError("it sees nothing")


def test_lanes_of_a_killed_dispatcher_are_taken_in_time_though_clocks_jump():
    scene, clock = Scene(), FalseClock()
    for seconds in (HOUR, -HOUR):
        runner = scene.dispatch(environment=clock.environment)
        other = scene.dispatch()
        scene.put()
        clock.jump(seconds)
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
    scene.database.run("UPDATE yam_outbox_lane SET assigned = 1 WHERE lane = 1")
    assert any("39 messages" in fault for fault in scene.judge())


if __name__ == "__main__":
    if IS_SANITIZED:
        leave("not here: the plain build does it, and once is enough")
    need("make")
    if os.geteuid() == 0:
        unshare(CLONE_NEWNS)
    main(globals())
