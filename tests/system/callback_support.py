"""callback_support - the delayed second check around a relay: a service, and second_check.c as producer and consumer.

Each has a database of its own in the running case's folder; the oracle reads all three.
"""

import contextlib
import os
import signal
import sqlite3
import subprocess
import time

from yamd_support import IS_SANITIZED, IS_THREAD_SANITIZED, TIMEOUT, Relay, folder, read, read_line, rows, spawn, until, yam

BUILD = os.path.abspath(os.environ.get("YAM_BUILD") or "build")
DELAY = 4 if IS_THREAD_SANITIZED else 2 if IS_SANITIZED else 1  # seconds until a check
SETTLE = 4 * TIMEOUT
PATIENCE = 20  # of those who look for what a planted bug has left
ROLES = ("service", "produce", "consume")
DONE, LOST, NEVER, FAILS, ROLLED_BACK = range(5)
WAITING, CALLING, OPEN, CASE_DONE, GONE = range(1, 6)
QUEUES = ("callback.checks", "callback.checks.delayed", "callback.confirms", "orders")
FAST = ("--rounds", "1", "--tries", "1000", "--backoff", "50ms", "--call-timeout", "2s")


class Scene:
    """A relay, and three roles of which each is started anew when it was killed."""

    def __init__(self, build=BUILD, hasty=(), database=None, relay=None, options="", certificate=None, heartbeat="200ms"):
        self.build, self.hasty, self.processes = build, hasty, {}
        self.database = database or folder("service.db")
        self.relay = relay or Relay()
        self.plain_endpoint = f"{self.relay.endpoint}?grade=sure{options}"
        self.endpoint = f"{self.plain_endpoint}&heartbeat={heartbeat}"
        self.certificate = certificate
        for role in ROLES:
            self.start(role)

    def start(self, role, **environment):
        """Starts a role; returns its process."""
        if role == "service":
            words = ["bin/yam-callbackd", "--db", self.database, "--relay", self.endpoint, *FAST,
                     *(["--certificate", self.certificate] if self.certificate else [])]
        else:
            words = ["system/second_check", role, folder(f"{role}.db"), ">" + self.endpoint,
                     *(["hasty"] if role in self.hasty else [])]
            environment.update(CERTIFICATE=self.certificate or "", DELAY_MS=str(1000 * DELAY))
        with open(folder(f"{role}.log"), "ab") as log:
            process = spawn(os.path.join(self.build, words[0]), *words[1:], bufsize=0, stderr=log,
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE, environment=environment)
        self.processes[role] = process
        return process

    def end(self, role):
        process = self.processes[role]
        process.kill()
        assert process.wait(TIMEOUT) == -signal.SIGKILL, process.returncode
        process.stdin.close()
        process.stdout.close()

    def kill_at(self, role, point):
        """Has a role run until it dies at that point, NAME:N; then a sound one takes over."""
        self.end(role)
        victim = self.start(role, YAM_FAILPOINT=point)
        try:
            victim.wait(TIMEOUT)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{role} never came by {point}") from None
        assert victim.returncode == -signal.SIGKILL, (role, point, victim.returncode, self.read_log(role))
        self.end(role)
        self.start(role)

    def read_log(self, role):
        return read(f"{role}.log")

    def wait_for(self, count=10, log=None):
        """Waits until the service has stored so many more confirms, or has said something."""
        before = self.confirms()
        until(lambda: log in self.read_log("service") if log else self.confirms() >= before + count,
              lambda: self.read_log("service")[-2000:])

    def confirms(self):
        try:
            return self.query("SELECT count(*) FROM yam_callback_confirms")[0][0]
        except sqlite3.OperationalError:
            return 0  # it has made no tables yet

    def settle(self, patience=SETTLE):
        """Once confirms are in time, the producer sends no more; waits until nothing is under way, and all is done."""
        until(self.in_time, "no confirm is in time", patience)
        self.stop_producing()
        until(lambda: self.left() == [], lambda: f"left: {self.left()[:9]}; {self.read_log('service')[-2000:]}", patience)

    def stop_producing(self):
        self.processes["produce"].stdin.close()
        line = read_line(self.processes["produce"].stdout)
        assert line == b"quiet\n", (line, self.read_log("produce"))

    def in_time(self):
        """Numbers whose confirms the relay had before their checks were due."""
        confirmed = query("consume", "SELECT id, time_ms FROM confirmed")
        due = dict(query("produce", "SELECT id, due_ms FROM plan"))  # looked at later, so that each confirmed one is there
        return {number for number, moment in confirmed if moment < due[number]}

    def left(self):
        """What is under way: in the databases, or on its way there from the relay, whose queues are empty once it is stored."""
        return self.unsettled() or self.waiting() or self.unsettled()

    def is_at_rest(self):
        """Whether nothing is under way: what is undone then never comes."""
        return not (self.under_way() or self.waiting() or self.under_way())

    def waiting(self, column="messages"):
        """How many messages the relay still has of each queue; or how many are leased."""
        certificate = ("--certificate", self.certificate) if self.certificate else ()
        stat = rows(yam("stat", "-e", self.plain_endpoint, *certificate, "--json")[0])
        return [(row["channel"], row[column]) for row in stat if row["channel"] in QUEUES and row[column] > 0]

    def under_way(self):
        """Checks that are not due, and cases under way."""
        last = query("produce", "SELECT max(due_ms) FROM plan")[0][0]
        if last > time.time() * 1000:
            return [f"a check is due at {last}"]
        return self.query("SELECT id, state FROM yam_callback_cases WHERE state IN (?, ?)", (WAITING, CALLING))

    def undone(self):
        """Rows without their effect, and confirms the service does not have."""
        known = {int(name) for name, in self.query("SELECT id FROM yam_callback_confirms WHERE outcome = 1")}
        done = {number for number, in query("consume", "SELECT id FROM effect")}
        return [number for number, in query("produce", "SELECT id FROM business WHERE id % 5 <> ?", (NEVER,))
                if number not in done] + [number for number, in query("consume", "SELECT id FROM confirmed")
                                          if number not in known]

    def unsettled(self):
        return self.under_way() or self.undone()

    def query(self, text, values=()):
        """What the service's database says."""
        return query_file(self.database, text, values)

    def judge(self):
        """What is wrong, in words."""
        in_time = self.in_time()
        called = {number for number, in query("produce", "SELECT id FROM call")}
        rows = {number for number, in query("produce", "SELECT id FROM business")}
        effects = [number for number, in query("consume", "SELECT id FROM effect")]
        cases = {int(name): (state, round) for name, state, round in
                 self.query("SELECT id, state, round FROM yam_callback_cases")}
        resent = {int(name): count for name, count in
                  self.query("SELECT id, count(*) FROM yam_callback_history WHERE event = 'resent' GROUP BY id")}
        wrong = []
        for number, expected in query("produce", "SELECT id, expected FROM plan"):
            state, round = cases.get(number, (None, 0))
            count = effects.count(number)
            if round != resent.get(number, 0):
                wrong.append(f"{number}: round {round}, but resent {resent.get(number, 0)} times")
            if number in rows and number % 5 == NEVER and state != OPEN:
                wrong.append(f"{number}: nobody confirmed it, and its case is {state}: forgotten")
            if number in rows and number % 5 != NEVER and (count != 1 or state not in (None, CASE_DONE)):
                wrong.append(f"{number}: its effect is there {count} times, its case is {state}")
            if number not in rows and (count != 0 or (expected and state != GONE)):
                wrong.append(f"{number}: never committed; its effect is there {count} times, its case is {state}")
            if number in in_time and (number in called or state is not None):
                wrong.append(f"{number}: confirmed before its check was due, its case is {state}: a false alarm")
        return wrong


def query_file(path, text, values=()):
    database = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=TIMEOUT)
    try:
        return database.execute(text, values).fetchall()
    finally:
        database.close()


def query(role, text, values=()):
    """What a producer's or a consumer's database says."""
    return query_file(folder(f"{role}.db"), text, values)


def assert_sound(scene, patience=SETTLE):
    scene.settle(patience)
    wrong = scene.judge()
    assert wrong == [], wrong[:20]


def assert_found(scene, *words):
    """At least one of the faults that a planted bug may lead to."""
    with contextlib.suppress(AssertionError):  # it may never come to rest
        until(scene.in_time, "no confirm is in time", PATIENCE)
        scene.stop_producing()
        until(scene.is_at_rest, "something is under way", PATIENCE)
    wrong = scene.judge()
    assert any(each in fault for fault in wrong for each in words), wrong
