"""fault_support - faults for tests of real daemons: system calls that kill or fail, file systems that lose power, time.

All of it goes away with the test, however that ends: mounts are in a namespace of its own, loop devices clear themselves.
"""

import ctypes
import fcntl
import os
import re
import shutil
import struct
import subprocess

from relay_client import ACK, NACK, Client, Gone
from yamd_support import IS_SANITIZED, OK, TIMEOUT, Relay, folder, leave, run

CLONE_NEWNS, CLONE_NEWNET = 0x00020000, 0x40000000
MS_REC, MS_PRIVATE = 0x4000, 0x40000
EXT4_IOC_SHUTDOWN = 0x8004587D  # _IOR('X', 125, uint32)
WITHOUT_FLUSHING_THE_JOURNAL = 2

#   Small segments, so that a short scene fills, seals, gives back and takes again many.
OPTIONS = ("--segment-size", "64k", "--reserve", "0", "--log-level", "warn", "--linger", "200ms", "--backoff", "1ms",
           "--delivery-limit", "1000")
STORAGE_CALLS = ("pwritev", "pwrite64", "fdatasync", "fsync", "openat", "renameat", "ftruncate", "unlinkat", "mkdir")

PRELOADS = os.path.abspath(os.path.join(os.environ.get("YAM_BUILD") or "build", "preload"))

_libc = ctypes.CDLL(None, use_errno=True)


def need(*programs, root=False, plain=False):
    """Ends the test as skipped, and says why, where something is missing."""
    missing = [program for program in programs if not shutil.which(program)]
    why = (f"needs {', '.join(missing)}" if missing else "needs root" if root and os.geteuid() != 0 else
           "not here: a sanitizer changes system calls and memory" if plain and IS_SANITIZED else None)
    if why:
        leave(why)


class FalseClock:
    """The wall clock of the processes that are given its environment, and their monotonic one if it shall move, too."""

    def __init__(self, moves_monotonic=False):
        self.path = folder("clock")
        self.environment = {"LD_PRELOAD": os.path.join(PRELOADS, "false_clock.so"), "FALSE_CLOCK": self.path}
        if moves_monotonic:
            self.environment["FALSE_CLOCK_MONOTONIC"] = "yes"
        self.jump(0)

    def jump(self, seconds):
        """It is wrong by so many seconds from now on."""
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
        os.pwrite(descriptor, struct.pack("=q", seconds), 0)
        os.close(descriptor)


def unshare(flags):
    """Gives this process namespaces of its own; what it mounts goes with it."""
    if _libc.unshare(flags) == -1 or (flags & CLONE_NEWNS and
                                      _libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None) == -1):
        leave(f"needs a namespace of its own: {os.strerror(ctypes.get_errno())}")


def command(*words, **options):
    """Runs a program of the system that has to work."""
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, **options)
    assert done.returncode == 0, f"{' '.join(words)}: {done.stdout.decode()}"
    return done.stdout.decode()


class LoopDisk:
    """A file system in a file of its own, mounted at path."""

    def __init__(self, name, size="24M", backing=None, features=()):
        self.path = folder(name)
        self.image = os.path.join(backing or folder(), name + ".image")
        os.makedirs(self.path)
        with open(self.image, "wb") as image:
            image.truncate(int(size[:-1]) << 20)
        command("mkfs.ext4", "-q", "-F", "-m", "0", *features, self.image)
        self.mount()

    def mount(self):
        command("mount", "-o", "loop,errors=continue", self.image, self.path)

    def unmount(self):
        command("umount", self.path)

    def cut_power(self):
        """From now on nothing reaches the disk, and what is not synced never will."""
        directory = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.ioctl(directory, EXT4_IOC_SHUTDOWN, struct.pack("I", WITHOUT_FLUSHING_THE_JOURNAL))
        finally:
            os.close(directory)


def failing_build(*programs, planted=None):
    """Makes programs of the build anew with failpoints, and with a planted bug, which may be the one that the build is made
    with (tests/tools/planted); returns the folder that has them."""
    build, _, bug = os.path.relpath(os.environ.get("YAM_BUILD", "build")).partition("/planted-")
    planted = planted or bug
    home = os.path.join(build, f"planted-{planted}-failpoints" if planted else "failpoints")
    sanitizers = re.findall(r"san-([\w-]+)", build)
    settings = [f"BUILD={build}", "FAILPOINTS=yes", *(f"SAN={names.replace('-', ',')}" for names in sanitizers),
                *([f"PLANTED={planted}"] if planted else [])]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    with open(os.path.join(build, "failpoints.lock"), "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        command("make", "--no-print-directory", "DEPS=no", *settings,
                *(os.path.join(home, program) for program in programs), env=environment)
    return os.path.abspath(home)


def strace(log, calls, *injections):
    """Words that run a program with faults: each like "fdatasync:error=EIO:when=3". The program stays our child."""
    words = ["/usr/bin/strace", "-D", "-f", "-qq", "-o", log, "-e", "trace=" + ",".join(calls), "-e", "signal=none"]
    for injection in injections:
        words += ["-e", "inject=" + injection]
    return words


def traced_relay(*injections, calls=None, store="store", log="strace.log", **options):
    """A yamd with faults in its system calls; it may have ended before it was ready."""
    names = calls or sorted({injection.split(":")[0] for injection in injections})
    #   The last word holds; leaks cannot be looked for in what strace traces.
    environment = {"ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0"}
    return Relay(*OPTIONS, store=store, may_fail=True, environment=environment,
                 under=strace(folder(log), names, *injections), **options)


def count_calls(log="strace.log"):
    """How often the busiest thread made each call: {name: count}."""
    counts = {}
    with open(folder(log), encoding="ascii", errors="replace") as file:
        for line in file:
            found = re.match(r"(\d+) +(\w+)\(", line)
            if found:
                counts[found.groups()] = counts.get(found.groups(), 0) + 1
    return {name: max(count for (_, other), count in counts.items() if other == name) for _, name in counts}


#   -- The scene -----------------------------------------------------------------------------------------

ROUNDS = 24


def fail_some(number, deliveries):
    """Every seventh message fails the first time."""
    return NACK if number % 7 == 3 and deliveries == 1 else ACK


def live(relay, journal, rounds=ROUNDS, at_round=None, consume=True):
    """A relay's life: a client publishes, acks and nacks until all is settled, then the relay stops. Gone when it dies."""
    with Client(relay.endpoint, journal, relay.process, fail_some) as client:
        client.open(consume=consume)
        for turn in range(rounds):
            if at_round:
                at_round(turn)
            client.ask(6)
            client.send()
            client.until(lambda: journal.confirmed >= journal.asked - 12)
        client.flush()
        client.drain()
    return relay.stop()


def finish(journal, store="store"):
    """Starts a sound relay on what a fault left: all is there, by content, and the store is sound. Returns what is wrong."""
    relay = Relay(*OPTIONS, store=store)
    with Client(relay.endpoint, journal, relay.process) as client:
        client.open()
        client.flush()
        client.drain()
    wrong = journal.judge()
    if relay.stop() != OK:
        wrong.append("the relay did not stop as it should")
    log = relay.read_log()
    if "damage" in log:
        wrong.append(f"damage is reported: {log}")
    run("yam", "verify", folder(store))
    return wrong


def live_until_gone(relay, journal, **options):
    """A life that a fault may end anywhere; returns whether it did."""
    if not relay.is_ready:
        relay.process.wait(TIMEOUT)
        return True
    try:
        return live(relay, journal, **options) != OK
    except Gone:
        relay.process.wait(TIMEOUT)
        return True
