#!/usr/bin/python3
"""yam-callbackd whose database is locked, full or of another version, whose clock jumps, that is doubled and frozen, and
that has the right certificate or none: nothing is forgotten, and nobody is called without reason."""

import contextlib
import os
import signal
import sqlite3
import time

from callback_support import DELAY, Scene, assert_sound
from fault_support import CLONE_NEWNS, FalseClock, command, unshare
from yamd_support import (CANTCREAT, CONFIG, DATAERR, IS_SANITIZED, TIMEOUT, UNAVAILABLE, Relay, Skipped, folder, freeze,
                          hold, main, needs, refused, until, write, yam)

HOUR = 3600


def test_locked_database_holds_up_checks_longer_than_their_delay_and_alarms_nobody():
    scene = Scene()
    scene.wait_for()
    database = sqlite3.connect(scene.database, timeout=TIMEOUT, isolation_level=None)
    database.execute("BEGIN IMMEDIATE")
    scene.wait_for(log="store-failed")
    hold(2 * DELAY)  # it is locked, and checks are due in the meantime
    assert "another connection writes" in scene.read_log("service")
    database.execute("COMMIT")
    scene.wait_for()
    assert_sound(scene)


def scene_on_a_small_disk():
    """A service at work whose database has a file system of its own."""
    os.makedirs(folder("disk"))
    command("mount", "-t", "tmpfs", "-o", "size=8M", "none", folder("disk"))
    scene = Scene(database=folder("disk/service.db"))
    scene.wait_for()
    return scene


def test_full_disk_holds_everything_up_and_goes_on_when_there_is_room():
    needs(os.geteuid() == 0, "root: a file system of its own")
    scene = scene_on_a_small_disk()
    with open(folder("disk/ballast"), "ab", buffering=0) as ballast:
        try:
            while True:
                ballast.write(b"x" * 512)
        except OSError:
            pass
    scene.wait_for(log="make room and try again")
    hold(2 * DELAY)  # it is full, and checks are due in the meantime
    os.unlink(folder("disk/ballast"))
    scene.wait_for()
    assert_sound(scene)


def test_database_that_cannot_be_opened_for_writing_ends_the_daemon_with_the_reason():
    needs(os.geteuid() == 0, "root: a file system of its own")
    scene = scene_on_a_small_disk()
    scene.end("service")
    database = sqlite3.connect(folder("new.db"), timeout=TIMEOUT, isolation_level=None)
    database.execute("BEGIN EXCLUSIVE")
    refused("yam-callbackd", "--db", folder("new.db"), "--relay", scene.endpoint, code=UNAVAILABLE, says="locked")
    database.close()
    command("mount", "-o", "remount,ro", folder("disk"))
    refused("yam-callbackd", "--db", scene.database, "--relay", scene.endpoint, code=CANTCREAT, says="read-only")
    command("mount", "-o", "remount,rw", folder("disk"))
    scene.start("service")
    assert_sound(scene)


def test_database_of_a_newer_version_is_refused_and_what_waits_is_done_when_it_is_back():
    scene = Scene()
    scene.wait_for()
    scene.end("service")
    set_version(scene.database, 99)
    refused("yam-callbackd", "--db", scene.database, "--relay", scene.endpoint, code=DATAERR, says=["version 99", "newer"])
    refused("yam", "callback", "list", "--db", scene.database, code=DATAERR, says="version 99")
    set_version(scene.database, 1)
    scene.start("service")
    scene.wait_for()
    assert_sound(scene)


def set_version(path, version):
    database = sqlite3.connect(path, timeout=TIMEOUT)
    database.execute("UPDATE yam_callback_meta SET value = ? WHERE name = 'version'", (version,))
    database.commit()
    database.close()


def test_two_services_of_which_one_freezes_and_wakes_up_late_alarm_nobody():
    scene = Scene()
    frozen = scene.processes["service"]
    scene.start("service")
    for _ in range(5):
        scene.wait_for()
        freeze(frozen)
        hold(1)  # it is frozen, for longer than its session lives
        frozen.send_signal(signal.SIGCONT)
    scene.wait_for()
    assert_sound(scene)


def test_confirms_that_a_frozen_service_has_in_hand_are_waited_for():
    scene = Scene(heartbeat="30s")  # its session does not end
    scene.wait_for()
    frozen = scene.processes["service"]
    with contextlib.closing(sqlite3.connect(scene.database, timeout=TIMEOUT, isolation_level=None)) as database:
        freeze(frozen, database)
    until(lambda: dict(scene.waiting("leased")).get("callback.confirms", 0) >= 40, "it gets no confirms")
    scene.start("service")
    scene.wait_for()
    hold(2 * DELAY)  # it is frozen, and checks of what it has in hand are due
    frozen.send_signal(signal.SIGCONT)
    scene.wait_for()
    assert_sound(scene)


def test_clock_that_jumps_an_hour_forgets_nothing_and_alarms_nobody():
    if IS_SANITIZED:
        raise Skipped("not here: a sanitizer must be the first library, and so must the false clock")
    clock, scene = FalseClock(), Scene()
    scene.end("service")
    scene.start("service", **clock.environment)
    for seconds in (HOUR, 0, -HOUR, 0):
        scene.wait_for()
        clock.jump(seconds)
        scene.wait_for(count=60)
        newest = scene.query("SELECT max(time_ms) FROM yam_callback_confirms")[0][0] / 1000
        assert seconds <= 0 or abs(newest - time.time() - seconds) < 60, "the clock did not jump"
    assert_sound(scene)


def keys(*names):
    """Certificates, each a file with both keys, and a relay that lets the first one in; returns relay and its key."""
    server_key = yam("keygen", folder("relay"))[0].strip()
    for name in names:
        yam("keygen", folder(name))
    os.mkdir(folder("clients"))
    os.rename(folder(names[0]), folder(f"clients/{names[0]}"))
    for name in names:
        os.rename(folder(f"{name}_secret"), folder(name))
    return Relay("--certificate", folder("relay"), "--clients", folder("clients")), server_key


def test_certificate_is_used_towards_the_relay_and_the_producers_service():
    relay, server_key = keys("friend")
    scene = Scene(relay=relay, options=f"&server-key={server_key}", certificate=folder("friend"))
    scene.wait_for(count=30)
    assert_sound(scene)


def test_service_without_the_right_certificate_gets_nothing():
    relay, server_key = keys("friend", "stranger")
    scene = Scene(relay=relay, options=f"&server-key={server_key}", certificate=folder("friend"))
    scene.wait_for()
    scene.end("service")
    known = scene.confirms()
    refused("yam-callbackd", "--db", scene.database, "--relay", scene.endpoint, code=CONFIG, says="certificate")
    os.truncate(folder("service.log"), 0)
    scene.certificate = folder("stranger")
    scene.start("service")
    scene.wait_for(log="relay")  # no-relay, or relay-silent when something is due
    assert scene.confirms() == known
    scene.end("service")
    scene.certificate = folder("friend")
    scene.start("service")
    assert_sound(scene)


if __name__ == "__main__":
    if os.geteuid() == 0:
        unshare(CLONE_NEWNS)
    main(globals())
