#!/usr/bin/python3
"""F2, F4: power loss, and a disk that forgets what it could not write: all that was confirmed as synced is there afterwards.

The file systems are ext4 in files. YAM_COUNT=N cuts the power so often [10]; YAM_SEED=N makes the same choices again.
"""

import glob
import os
import random
import time

from fault_support import (CLONE_NEWNS, IS_SANITIZED, OPTIONS, LoopDisk, command, fail_some, finish, live, need, strace,
                           unshare)
from relay_client import DISK, Client, Gone, Journal
from yamd_support import IOERR, OK, TIMEOUT, Relay, folder, main, until

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
        assert relay.process.wait(TIMEOUT) == IOERR, relay.read_log()
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

def full_backing(megabytes):
    """An ext4 without journal that believes in 96M, on so many. The loop device is given a page at a time: of a longer write that
    finds room for its beginning only, some kernels say that all is well.
    """
    os.makedirs(folder("ram"))
    command("mount", "-t", "tmpfs", "-o", f"size={megabytes}M", "none", folder("ram"))
    disk = LoopDisk("disk", "96M", folder("ram"), ("-O", "^has_journal", "-b", "4096"))
    device = os.path.basename(command("losetup", "--noheadings", "--output", "NAME", "--associated", disk.image).strip())
    with open(f"/sys/block/{device}/queue/max_sectors_kb", "w", encoding="ascii") as limit:
        limit.write("4")
    return disk


def is_asleep(process):
    """Whether none of its threads has anything to do; proc(5) has the format."""
    def state(path):
        with open(path, encoding="utf-8") as file:
            return file.read().rsplit(")", 1)[1].split()[0]
    return all(state(path) == "S" for path in glob.glob(f"/proc/{process.pid}/task/*/stat"))


def starve(relay, disk, megabytes):
    """What is zero on the disk is given back to what is under it, as thin disks do, and only so much is left there: the end of
    it is met by a commit, in a segment that was filled and synced.
    """
    until(lambda: is_asleep(relay.process) and glob.glob(folder(STORE + "/spare-*")) and
          not glob.glob(folder(STORE + "/filling-*")), "no spare is filled")
    os.sync()
    command("fallocate", "--dig-holes", disk.image)
    under = os.statvfs(folder("ram"))
    left = (under.f_blocks - under.f_bfree) * under.f_frsize + (megabytes << 20)
    command("mount", "-o", f"remount,size={left}", folder("ram"))


def give_room(disk):
    """From now on the disk keeps what it is given; what it dropped before is gone."""
    disk.unmount()
    command("mount", "-o", "remount,size=200M", folder("ram"))
    command("sh", "-c", f"e2fsck -fy {disk.image} || [ $? = 1 ]")
    disk.mount()


def fill(journal, size, under=(), limit=1 << 20, before=lambda relay: None):
    """Publishes, and nobody takes, until the relay refuses or ends; or so many messages. Returns whether its store failed."""
    relay = Relay("--segment-size", size, *OPTIONS[2:], store=STORE, under=under)
    with Client(relay.endpoint, journal, relay.process) as client:
        client.open(consume=False)
        before(relay)
        try:
            while not client.failed and DISK not in client.refusals and journal.asked < limit:
                client.ask(6)
                client.send()
                client.until(lambda: client.refusals or journal.confirmed >= journal.asked - 12)
        except Gone:
            pass
    if client.failed:
        assert relay.process.wait(TIMEOUT) == IOERR, relay.read_log()
    relay.kill()
    return client.failed


def test_pages_the_disk_dropped_are_never_confirmed():
    disk, journal = full_backing(96), Journal(least=30000, most=60000)
    assert fill(journal, "4M", before=lambda relay: starve(relay, disk, 1)), "no sync failed"
    assert 0 < journal.confirmed < journal.asked < 100, (journal.confirmed, journal.asked)
    give_room(disk)
    assert finish(journal, STORE) == []
    disk.unmount()


def test_oracle_finds_pages_that_were_dropped():
    disk, journal = full_backing(23), Journal(least=30000, most=60000)
    fill(journal, "1M", limit=3)
    fill(journal, "1M", under=lying(), limit=900)
    give_room(disk)
    assert any("is missing" in wrong for wrong in finish(journal, STORE)), "nothing is missed"
    disk.unmount()


if IS_SANITIZED:
    del test_oracle_finds_syncs_that_are_none, test_oracle_finds_pages_that_were_dropped
need("strace", "mkfs.ext4", "e2fsck", "mount", root=True)
unshare(CLONE_NEWNS)
if __name__ == "__main__":
    main(globals())
