#!/usr/bin/python3
"""F7: a live yamd whose n-th allocation fails: it refuses, drops a frame that is asked for again, or ends; nothing confirmed is
lost, and a restart works.

Where a peer or a file chose the size it must go on or stop in order; where its own tables grow it may also end at once.
YAM_COUNT=N fails so many different ones of each kind [8].
"""

import glob
import os
import re
import signal
import subprocess

import relay_client
from fault_support import OPTIONS, command, finish, live, need
from relay_client import Gone, Journal
from yamd_support import BIN, OK, Relay, folder, main

SHORT, LONG = 2, relay_client.PATIENCE  # seconds: what is not answered is asked again; or has to be
COUNT = int(os.environ.get("YAM_COUNT") or 8)
SOURCE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../tools/fail_malloc.c")
TOLD = "fail_malloc: failed"


def environment(function, number):
    """Of a yamd whose number-th allocation by that function fails."""
    library = folder("fail_malloc.so")
    if not os.path.exists(library):
        command("cc", "-O2", "-shared", "-fPIC", "-o", library, SOURCE)
    symbols = subprocess.run(("nm", "-S", os.path.join(BIN, "yamd")), stdout=subprocess.PIPE, check=True).stdout.decode()
    found = re.search(rf"^(\w+) (\w+) [tT] {function}$", symbols, re.MULTILINE)
    start, size = (int(word, 16) for word in found.groups())
    return {"LD_PRELOAD": library, "YAM_FAIL_RANGE": f"{start:x} {start + size:x}", "YAM_FAIL_AT": str(number)}


def live_short(function, number, store, journal):
    """A life in which one allocation fails; returns (whether it came to that, how it ended)."""
    relay = Relay(*OPTIONS, store=store, may_fail=True, environment=environment(function, number))
    relay_client.PATIENCE = SHORT
    for _ in range(3 if relay.is_ready else 0):
        try:
            live(relay, journal, rounds=8)
            break
        except Gone:
            break
        except AssertionError:
            continue  # what is not answered is asked again, in a new session
    relay_client.PATIENCE = LONG
    relay.process.terminate()
    code = relay.process.wait(30)
    return TOLD in relay.read_log(), code, relay.read_log()


def fail_each(function, may_abort):
    reached = 0
    for turn in range(COUNT):
        journal, store, number = Journal(), f"store-{turn}", 1 + turn + max(0, turn - COUNT // 2) * 9
        with open(folder("yamd.log"), "w", encoding="ascii"):
            pass  # each life has a log of its own
        has_failed, code, log = live_short(function, number, store, journal)
        assert code >= 0 or (may_abort and code == -signal.SIGABRT and "out of memory" in log), (
            f"allocation {number} ended it: {code}, {log}")
        wrong = finish(journal, store)
        assert not wrong, f"allocation {number}: {wrong}"
        reached += has_failed
    print(f"# {reached} allocations failed")
    assert reached > COUNT // 2, reached


def test_allocation_of_a_size_that_others_choose_may_fail():
    fail_each("yami_try_alloc", may_abort=False)


def test_table_that_cannot_grow_loses_nothing_confirmed():
    fail_each("yami_grow", may_abort=True)


def test_check_sees_what_is_lost_and_that_no_allocation_failed():
    has_failed, code, log = live_short("yami_try_alloc", 1 << 40, "store-0", Journal())
    assert not has_failed and code == OK, (code, log)
    journal, relay = Journal(), Relay(*OPTIONS)
    with relay_client.Client(relay.endpoint, journal, relay.process) as client:
        client.open(consume=False)
        for _ in range(3):
            client.ask(100)
            client.flush()
    relay.kill()
    for path in sorted(glob.glob(folder("store/[0-9a-f]*.seg")))[1:]:
        os.remove(path)
    assert any("is missing" in wrong for wrong in finish(journal)), "nothing is missed"


if __name__ == "__main__":
    need("cc", "nm", plain=True)
    main(globals())
