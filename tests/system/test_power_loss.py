#!/usr/bin/python3
"""Power loss, and a disk that forgets what it could not write: all that was confirmed as synced is there afterwards.

The file systems are ext4 in files. YAM_COUNT=N cuts the power so often [10]; YAM_SEED=N makes the same choices again.
"""

import os
import random
import time

from fault_support import (CLONE_NEWNS, IS_SANITIZED, OPTIONS, LoopDisk, command, fail_some, finish, live, need, strace,
                           unshare)
from relay_client import DISK, Client, Gone, Journal
from yamd_support import IOERR, OK, Relay, folder, main

COUNT = int(os.environ.get("YAM_COUNT") or (3 if IS_SANITIZED else 10))
SEED = int(os.environ.get("YAM_SEED") or time.time())
ROUND_OF_CHECKS = 10  # cuts between two looks at everything
STORE = "disk/store"


def lying():
    """Runs a relay whose syncs all say OK and do nothing."""
    return strace(folder("strace.log"), ("fdatasync", "fsync"), "fdatasync:retval=0", "fsync:retval=0")


def live_until_cut(disk, journal, frames, under=()):
    """A life in full traffic, until so many frames have come; whatever is confirmed after the cut counts as well."""
    relay = Relay(*OPTIONS, store=STORE, under=under)
    with Client(relay.endpoint, journal, relay.process, fail_some) as client:
        client.open()
        for _ in range(frames):
            client.ask(max(0, journal.confirmed + 30 - journal.asked))
            client.send()
            client.step()
        disk.cut_power()
        client.ask(9)
        client.send()
        try:
            while not client.failed and client.step(5):
                pass
        except Gone:
            pass
    if not under:
        assert relay.process.wait(30) == IOERR, relay.read_log()
    relay.kill()
    disk.unmount()
    disk.mount()


def test_power_cuts_lose_nothing_confirmed():
    disk, chooser, journal = LoopDisk("disk"), random.Random(SEED), Journal()
    for cut in range(1, COUNT + 1):
        live_until_cut(disk, journal, chooser.randint(0, 80))
        if cut % ROUND_OF_CHECKS == 0 or cut == COUNT or journal.wrong:
            wrong = finish(journal, STORE)
            assert wrong == [], f"seed {SEED}, after {cut} cuts: {wrong}"
    print(f"# seed {SEED}: {COUNT} cuts; {journal.asked} asked, {len(journal.settled)} acks durable, "
          f"{journal.copies} came again")
    disk.unmount()


def test_power_loss_after_the_last_confirm_finds_everything():
    disk, journal = LoopDisk("disk"), Journal()
    relay = Relay(*OPTIONS, store=STORE)
    with Client(relay.endpoint, journal, relay.process) as client:
        client.open(consume=False)
        client.ask(60)
        client.flush()
        disk.cut_power()
    relay.kill()
    disk.unmount()
    disk.mount()
    assert finish(journal, STORE) == []
    assert len(journal.settled) == 60
    disk.unmount()


def test_oracle_finds_syncs_that_are_none():
    disk, journal = LoopDisk("disk"), Journal()
    assert live(Relay(*OPTIONS, store=STORE), journal, rounds=2) == OK
    relay = Relay(*OPTIONS, store=STORE, under=lying())
    with Client(relay.endpoint, journal, relay.process) as client:
        client.open(consume=False)
        client.ask(60)
        client.flush()
        disk.cut_power()
    relay.kill()
    disk.unmount()
    disk.mount()
    assert any("is missing" in wrong for wrong in finish(journal, STORE)), "nothing is missed"
    disk.unmount()


#   -- A disk that takes writes, cannot keep them, and says so once only -----------------------------------

def full_backing():
    """An ext4 without journal that believes in 96M, on 23M: what meets the end of those is a commit, and not a new spare,
    whose failure would only refuse publishers. It depends on all that is written before: another size may be right then.
    """
    os.makedirs(folder("ram"))
    command("mount", "-t", "tmpfs", "-o", "size=23M", "none", folder("ram"))
    return LoopDisk("disk", "96M", folder("ram"), ("-O", "^has_journal"))


def give_room(disk):
    """From now on the disk keeps what it is given; what it dropped before is gone."""
    disk.unmount()
    command("mount", "-o", "remount,size=200M", folder("ram"))
    command("sh", "-c", f"e2fsck -fy {disk.image} || [ $? = 1 ]")
    disk.mount()


def fill(journal, under=(), limit=1 << 20):
    """Publishes, and nobody takes, until the relay refuses or ends; or so many messages. Returns whether its store failed."""
    options = ("--segment-size", "1M", *OPTIONS[2:])
    relay = Relay(*options, store=STORE, under=under)
    with Client(relay.endpoint, journal, relay.process) as client:
        client.open(consume=False)
        try:
            while not client.failed and DISK not in client.refusals and journal.asked < limit:
                client.ask(6)
                client.send()
                client.until(lambda: client.refusals or journal.confirmed >= journal.asked - 12)
        except Gone:
            pass
    if client.failed:
        assert relay.process.wait(30) == IOERR, relay.read_log()
    relay.kill()
    return client.failed


def test_pages_the_disk_dropped_are_never_confirmed():
    disk, journal = full_backing(), Journal(least=30000, most=60000)
    assert fill(journal), "no sync failed"
    assert 0 < journal.confirmed < journal.asked < 3000, (journal.confirmed, journal.asked)
    give_room(disk)
    assert finish(journal, STORE) == []
    disk.unmount()


def test_oracle_finds_pages_that_were_dropped():
    disk, journal = full_backing(), Journal(least=30000, most=60000)
    fill(journal, limit=3)
    fill(journal, under=lying(), limit=900)
    give_room(disk)
    assert any("is missing" in wrong for wrong in finish(journal, STORE)), "nothing is missed"
    disk.unmount()


if IS_SANITIZED:
    del test_oracle_finds_syncs_that_are_none, test_oracle_finds_pages_that_were_dropped
need("strace", "mkfs.ext4", "e2fsck", "mount", root=True)
unshare(CLONE_NEWNS)
if __name__ == "__main__":
    main(globals())
