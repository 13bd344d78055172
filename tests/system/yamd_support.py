"""yamd_support - what tests of the daemons share: starting, waiting for events, running yam, TAP.

Every process started here is killed at the end. Nothing sleeps: an event is waited for, a timeout is how a failure shows.
What another process does and tells nobody is looked for by until(); how long a fault lasts is hold(). `make layers` forbids
all else.
"""

import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
import traceback

BIN = os.path.abspath(os.environ.get("YAM_BIN") or os.path.join(os.path.dirname(__file__), "../../build/bin"))
IS_SANITIZED = "san-" in BIN
IS_THREAD_SANITIZED = "san-thread" in BIN
TIMEOUT = 90 if IS_SANITIZED else 30  # seconds; only how a failure shows
SKIPPED = 77

#   sysexits.h
OK, USAGE, DATAERR, NOINPUT, UNAVAILABLE, CANTCREAT, IOERR, TEMPFAIL, NOPERM, CONFIG = (
    0, 64, 65, 66, 69, 73, 74, 75, 77, 78)

_processes = []
_case = tempfile.gettempdir()


def folder(name=""):
    """A path within the running case's own folder."""
    return os.path.join(_case, name) if name else _case


def write(name, text):
    path = folder(name)
    with open(path, "wb" if isinstance(text, bytes) else "w") as file:
        file.write(text)
    return path


def read(name):
    with open(folder(name), encoding="utf-8", errors="replace") as file:
        return file.read()


def spawn(program, *arguments, environment=None, **options):
    """Starts a program of the project; the end of the case kills it."""
    process = subprocess.Popen([os.path.join(BIN, program), *arguments], cwd=folder(),
                               env=dict(os.environ, **(environment or {})), **options)
    _processes.append(process)
    return process


def until(look, what, timeout=TIMEOUT):
    """Looks until there is something, and returns it; fails with what, or what(), when that takes too long."""
    deadline = time.monotonic() + timeout
    while not (seen := look()):
        assert time.monotonic() < deadline, what() if callable(what) else what
        select.select([], [], [], 0.005)
    return seen


def catches(process, number):
    """Whether it has come so far that a signal does not just end it."""
    with open(f"/proc/{process.pid}/status", encoding="ascii") as status:
        caught = next(line.split()[1] for line in status if line.startswith("SigCgt:"))
    return int(caught, 16) >> (number - 1) & 1


def awaits(process, number):
    """The same, and it is asleep: ThreadSanitizer forgets a signal that comes in the first call of its own that blocks."""
    with open(f"/proc/{process.pid}/stat", encoding="ascii") as status:
        return catches(process, number) and status.read().rsplit(") ", 1)[1][0] == "S"


def is_frozen(process):
    """Whether SIGSTOP has reached all its threads."""
    states = set()
    for thread in os.listdir(f"/proc/{process.pid}/task"):
        try:
            with open(f"/proc/{process.pid}/task/{thread}/status", encoding="ascii") as status:
                states.update(line.split()[1] for line in status if line.startswith("State:"))
        except (FileNotFoundError, ProcessLookupError):
            states.add("ended")  # since it was listed: the next look says of the others
    return states == {"T"}


def freeze(process, database=None):
    """Stops it; not amid a transaction, which would hold up everybody, if it writes to the database of that SQLite connection."""
    if database:
        database.execute("BEGIN IMMEDIATE")
    process.send_signal(signal.SIGSTOP)
    until(lambda: is_frozen(process), "it does not freeze")
    if database:
        database.execute("ROLLBACK")


def hold(seconds):
    """So long lasts the fault that the test has made: nothing is waited for. Whoever calls it says which fault that is."""
    select.select([], [], [], seconds)


def read_line(stream, timeout=TIMEOUT):
    """One line of an unbuffered pipe, b"" at its end; fails when none comes in time."""
    line = b""
    deadline = time.monotonic() + timeout
    while not line.endswith(b"\n"):
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([stream], [], [], left)[0]:
            raise AssertionError(f"no line within {timeout} s, only {line!r}")
        byte = os.read(stream.fileno(), 1)
        if not byte:
            break
        line += byte
    return line


class Relay:
    """A yamd that is ready, unless it may fail; its log is in the file `log`. under: words that run it, such as strace."""

    started = []  # those whose pipes are open: a test may start a thousand, one after the other

    def __init__(self, *arguments, store="store", listen="tcp://127.0.0.1:*", environment=None, under=(),
                 may_fail=False, **options):
        where = ["--memory"] if store is None else ["--store", folder(store)]
        for relay in [relay for relay in Relay.started if relay.process.poll() is not None]:
            relay.process.stdout.close()
            Relay.started.remove(relay)
        self.log = folder("yamd.log")
        with open(self.log, "ab") as log:
            self.process = spawn(*under, os.path.join(BIN, "yamd"), "--listen", listen, *where, *arguments,
                                 environment=environment, bufsize=0, stdout=subprocess.PIPE,
                                 stderr=log, **options)
        Relay.started.append(self)
        line = read_line(self.process.stdout).decode()
        self.is_ready = line.startswith("ready ")
        assert self.is_ready or may_fail, f"{line!r}; log: {self.read_log()}"
        self.endpoint = line.split()[1].split(",")[0] if self.is_ready else None

    def read_log(self):
        return read(self.log)

    def wait_for_log(self, text):
        until(lambda: text in self.read_log(), lambda: f"{text!r} is not in the log: {self.read_log()}")

    def stop(self, number=signal.SIGTERM):
        """Sends a signal and returns the exit code."""
        self.process.send_signal(number)
        return self.process.wait(TIMEOUT)

    def kill(self):
        """SIGKILL, until it is gone."""
        self.process.kill()
        self.process.wait(TIMEOUT)

    def yam(self, *arguments, **options):
        return yam(arguments[0], "-e", self.endpoint, *arguments[1:], **options)


def run(program, *arguments, code=0, stdin=b"", environment=None):
    """Runs a program to its end; returns (stdout, stderr) as text. code: what it must exit with."""
    process = spawn(program, *arguments, environment=environment, stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    stdin = stdin.encode() if isinstance(stdin, str) else stdin
    output, errors = process.communicate(stdin, TIMEOUT)
    output, errors = output.decode(errors="replace"), errors.decode(errors="replace")
    assert process.returncode == code, (
        f"{program} {' '.join(arguments)}: exit code {process.returncode}, not {code}\n{output}{errors}")
    return output, errors


def yam(*arguments, **options):
    return run("yam", *arguments, **options)


def refused(program, *arguments, code, says, **options):
    """Runs a program that must refuse, with each of the words in what it says."""
    _, errors = run(program, *arguments, code=code, **options)
    for word in [says] if isinstance(says, str) else says:
        assert word in errors, f"{word!r} is not in {errors!r}"
    assert errors.startswith(program), errors
    return errors


def rows(text):
    """Parses what --json printed."""
    return json.loads(text)


class Skipped(Exception):
    """Raised by a case that cannot be here, with the reason: it counts as skipped, and not as passed."""


def needs(is_there, what):
    """Skips the case unless there is what it needs."""
    if not is_there:
        raise Skipped(f"needs {what}")


def leave(reason):
    """Ends a test that cannot be here as skipped, and says why; tests/tools/run_tests says what is a good reason."""
    print(f"# {reason}")
    sys.exit(SKIPPED)


def need_example(path):
    if not os.path.exists(path):
        leave("not here: make check's second half builds no examples" if IS_SANITIZED else f"needs {path}: make examples")


def main(cases):
    """Runs all functions named test_ in cases, each in a folder of its own; prints TAP."""
    global _case
    failed = 0
    wanted = sys.argv[1:]
    cases = {name: case for name, case in cases.items()
             if name.startswith("test_") and (not wanted or name in wanted)}
    for number, (name, case) in enumerate(cases.items(), 1):
        with tempfile.TemporaryDirectory(prefix="case-", ignore_cleanup_errors=True) as _case:
            os.chmod(_case, 0o755)
            try:
                case()
                print(f"ok {number} - {name}", flush=True)
            except Skipped as why:
                print(f"# {why}\nok {number} - {name} # SKIP", flush=True)
            except Exception:  # whatever it is, the next case still runs
                failed += 1
                traceback.print_exc(file=sys.stdout)
                print(f"not ok {number} - {name}", flush=True)
            finally:
                for process in _processes:
                    process.kill()
                    process.wait()
                    for stream in (process.stdin, process.stdout, process.stderr):
                        if stream:
                            stream.close()
                _processes.clear()
                Relay.started.clear()
    print(f"1..{len(cases)}")
    sys.exit(1 if failed else 0)
