#!/usr/bin/python3
"""The delayed second check whose service, producer and consumer are killed between any two steps: nothing is forgotten,
nobody is called without reason, no effect is there twice, and no state is wrong.

second_check.c is the producer and the consumer, with a database each; the oracle reads these two and the service's.
"""

import contextlib
import os
import select
import signal
import sqlite3
import subprocess
import time

from fault_support import failing_build
from yamd_support import IS_SANITIZED, TIMEOUT, Relay, folder, main, read_line, spawn

SETTLE = 4 * TIMEOUT  # a call whose maker died is made again after ten seconds
NUMBERS = ("1", "2+30") if IS_SANITIZED else ("1", "2+30", "3", "7")
POINTS = {
    "service": ("take", "commit", "committed", "acked", "judge", "call", "called", "answered", "moved"),
    "produce": ("check", "expected", "row", "message", "sent", "reply"),
    "consume": ("received", "claimed", "effect", "done", "confirm", "confirmed", "safe", "settled"),
}
DONE, LOST, NEVER, FAILS, ROLLED_BACK = range(5)
WAITING, CALLING, OPEN, CASE_DONE, GONE = range(1, 6)
FAST = ("--rounds", "1", "--tries", "1000", "--backoff", "50ms", "--call-timeout", "500ms")


class Scene:
    """A relay, and three roles of which each is started anew when it was killed."""

    def __init__(self, planted=None, hasty=()):
        self.build = failing_build("bin/yam-callbackd", "system/second_check", planted=planted)
        self.relay = Relay()
        self.hasty, self.processes = hasty, {}
        for role in POINTS:
            self.start(role)

    def start(self, role, point=None):
        """Starts a role; point: NAME:N where it dies."""
        endpoint = self.relay.endpoint + "?grade=sure&heartbeat=200ms"
        if role == "service":
            words = ["bin/yam-callbackd", "--db", folder("service.db"), "--relay", endpoint, *FAST]
        else:
            words = ["system/second_check", role, folder(f"{role}.db"), ">" + endpoint,
                     *(["hasty"] if role in self.hasty else [])]
        with open(folder(f"{role}.log"), "ab") as log:
            self.processes[role] = spawn(os.path.join(self.build, words[0]), *words[1:], bufsize=0, stderr=log,
                                         stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                         environment={"YAM_FAILPOINT": point or ""})

    def end(self, role):
        process = self.processes[role]
        process.kill()
        assert process.wait(TIMEOUT) == -signal.SIGKILL, process.returncode
        process.stdin.close()
        process.stdout.close()

    def kill_at(self, role, point):
        """Has a role run until it dies at that point; then a sound one takes over."""
        self.end(role)
        self.start(role, point)
        victim = self.processes[role]
        try:
            victim.wait(TIMEOUT)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{role} never came by {point}") from None
        assert victim.returncode == -signal.SIGKILL, (role, point, victim.returncode, self.read_log(role))
        self.end(role)
        self.start(role)

    def read_log(self, role):
        with open(folder(f"{role}.log"), encoding="utf-8", errors="replace") as log:
            return log.read()

    def kill_at_all(self, role, numbers=NUMBERS):
        for point in POINTS[role]:
            for number in numbers:
                self.kill_at(role, f"{point}:{number}")

    def settle(self, patience=SETTLE):
        """The producer sends no more; waits until no case is under way, and no message either."""
        self.processes["produce"].stdin.close()
        assert read_line(self.processes["produce"].stdout) == b"quiet\n"
        deadline = time.monotonic() + patience
        while (left := self.left()) != []:
            assert time.monotonic() < deadline, f"{len(left)} are left: {left[:9]}"
            select.select([], [], [], 0.1)

    def left(self):
        """Checks that are not judged, cases that are under way, and confirms the service does not have yet."""
        last = query("produce", "SELECT max(due_ms) FROM plan")[0][0]
        if last > time.time() * 1000 - 1000:
            return [f"a check is due at {last}"]
        under_way = query("service", "SELECT id, state FROM yam_callback_cases WHERE state IN (?, ?)", (WAITING, CALLING))
        return under_way + query_missing()

    def judge(self):
        """What is wrong, in words."""
        plan = {number: (due, expected) for number, due, expected in query("produce", "SELECT id, due_ms, expected FROM plan")}
        called = {number for number, in query("produce", "SELECT id FROM call")}
        rows = {number for number, in query("produce", "SELECT id FROM business")}
        effects = [number for number, in query("consume", "SELECT id FROM effect")]
        safe = dict(query("consume", "SELECT id, time_ms FROM confirmed"))
        cases = {int(name): (state, round) for name, state, round in
                 query("service", "SELECT id, state, round FROM yam_callback_cases")}
        resent = {int(name): count for name, count in
                  query("service", "SELECT id, count(*) FROM yam_callback_history WHERE event = 'resent' GROUP BY id")}
        wrong = []
        for number, (due, expected) in plan.items():
            state, round = cases.get(number, (None, 0))
            is_in_time = number in safe and safe[number] < due
            count = effects.count(number)
            if round != resent.get(number, 0):
                wrong.append(f"{number}: round {round}, but resent {resent.get(number, 0)} times")
            if number in rows and number % 5 == NEVER and state != OPEN:
                wrong.append(f"{number}: nobody confirmed it, and its case is {state}: forgotten")
            if number in rows and number % 5 != NEVER and (count != 1 or state not in (None, CASE_DONE)):
                wrong.append(f"{number}: its effect is there {count} times, its case is {state}")
            if number not in rows and (count != 0 or (expected and state != GONE)):
                wrong.append(f"{number}: never committed; its effect is there {count} times, its case is {state}")
            if is_in_time and (number in called or state is not None):
                wrong.append(f"{number}: confirmed {due - safe[number]} ms before its check: a false alarm")
        return wrong + (["no confirm was in time"] if not safe or len(called) >= len(plan) else [])


def query(role, text, values=()):
    database = sqlite3.connect(f"file:{folder(role + '.db')}?mode=ro", uri=True, timeout=TIMEOUT)
    try:
        return database.execute(text, values).fetchall()
    finally:
        database.close()


def query_missing():
    """Numbers that are confirmed, of which the service does not know."""
    known = {int(name) for name, in query("service", "SELECT id FROM yam_callback_confirms WHERE outcome = 1")}
    return [number for number, in query("consume", "SELECT id FROM confirmed") if number not in known]


def assert_sound(scene):
    scene.settle()
    wrong = scene.judge()
    assert wrong == [], wrong[:20]


def test_service_killed_between_any_two_steps_forgets_nothing_and_alarms_nobody():
    scene = Scene()
    scene.kill_at_all("service")
    assert_sound(scene)


def test_producer_killed_between_any_two_steps_leaves_no_row_that_nobody_sends():
    scene = Scene()
    scene.kill_at_all("produce")
    assert_sound(scene)


def test_consumer_killed_between_any_two_steps_has_each_effect_once():
    scene = Scene()
    scene.kill_at_all("consume")
    assert_sound(scene)


def test_two_services_killed_between_steps_work_on_each_case_one_at_a_time():
    scene = Scene()
    scene.start("service")  # and the one before it runs on
    scene.kill_at_all("service", NUMBERS[:1])
    assert_sound(scene)


def assert_found(scene, words):
    with contextlib.suppress(AssertionError):  # it may never come to rest
        scene.settle(patience=20)
    wrong = scene.judge()
    assert any(words in fault for fault in wrong), wrong


def test_oracle_finds_checks_and_confirms_that_are_acked_before_they_are_stored():
    scene = Scene(planted="UNSTORED_ACKED")
    for number in range(1, 9):
        scene.kill_at("service", f"commit:{number}+30")
    assert_found(scene, "a false alarm")


def test_oracle_finds_confirms_before_their_commit():
    scene = Scene(hasty=["consume"])
    for number in range(1, 5):
        scene.kill_at("consume", f"effect:{number}+30")
    assert_found(scene, "its effect is there 0 times")


def test_oracle_finds_rows_whose_check_was_not_sent_before_their_commit():
    scene = Scene(hasty=["produce"])
    for number in range(1, 5):
        scene.kill_at("produce", f"check:{number}")
    assert_found(scene, "its effect is there 0 times")


if __name__ == "__main__":
    main({name: case for name, case in globals().items() if not (IS_SANITIZED and "oracle" in name)})
