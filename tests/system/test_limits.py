#!/usr/bin/python3
"""F13: descriptors, threads and processes that run out: a clean refusal with its reason, nothing lost, and it works
again after."""

import os
import resource
import shutil
import subprocess
import tempfile

from fault_support import IS_SANITIZED, need
from yamd_support import BIN, TIMEOUT, Relay, folder, main, read_line, spawn

CLEAN = range(1, 79)  # exit codes; a signal would be negative
DESCRIPTORS = range(4, 64, 12 if IS_SANITIZED else 3)
THREADS = range(1, 12)
NO_LEAKS = {"ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0"}  # its search needs a thread, too
NOBODY_ELSE = 20000 + os.getpid() % 40000  # a user without processes, also when this runs twice


def limit_descriptors(count):
    return lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (count, count))


def limit_threads(count):
    """Of a user who has no other; root is not limited."""
    return lambda: resource.setrlimit(resource.RLIMIT_NPROC, (count, count))


def refused_cleanly(process, reasons, codes=CLEAN):
    """Whether it ended by itself with a code and a sentence; anything else than that or a ready relay fails."""
    if process.args[-1] != "client" and read_line(process.stdout).startswith(b"ready "):
        process.terminate()
    _, errors = process.communicate(timeout=TIMEOUT)
    assert process.returncode == 0 or process.returncode in codes, (process.returncode, errors)
    if process.returncode != 0:
        assert any(reason in errors for reason in reasons), errors
    return process.returncode != 0


def test_start_with_too_few_descriptors_is_refused_with_the_reason():
    refusals = 0
    for count in DESCRIPTORS:
        relay = spawn("yamd", "--store", folder(f"store-{count}"), "--segment-size", "64k", "--listen",
                      "tcp://127.0.0.1:*", stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0,
                      preexec_fn=limit_descriptors(count))
        refusals += refused_cleanly(relay, (b"descriptors", b"open files", b"shared libraries"))
    assert 0 < refusals < len(DESCRIPTORS), refusals


def test_client_with_too_few_descriptors_is_refused_with_the_reason():
    relay, refusals = Relay("--reserve", "0"), 0
    for count in DESCRIPTORS:
        process = spawn("yam", "push", "q", "-e", relay.endpoint, "-n", "10", "--size", "100", "--timeout", "2s",
                        "--name", "client", stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                        preexec_fn=limit_descriptors(count))
        refusals += refused_cleanly(process, (b"descriptors", b"open files", b"shared libraries", b"not confirmed"))
    assert 0 < refusals < len(DESCRIPTORS), refusals


def test_start_with_too_few_threads_is_refused_with_the_reason():
    refusals = 0
    with tempfile.TemporaryDirectory(dir="/tmp") as public:
        os.chmod(public, 0o755)
        program = shutil.copy(os.path.join(BIN, "yamd"), public)
        for count in THREADS:
            relay = spawn(program, "--memory", "--listen", "tcp://127.0.0.1:*", stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, bufsize=0, user=NOBODY_ELSE, group=NOBODY_ELSE, extra_groups=[],
                          preexec_fn=limit_threads(count), environment=NO_LEAKS)
            refusals += refused_cleanly(relay, (b"limit of threads", b"limit on threads"), (os.EX_OSERR,))
    assert 0 < refusals < len(THREADS), refusals


def test_check_sees_refusals_that_are_not_clean():
    def end(words):
        return refused_cleanly(spawn("/bin/sh", "-c", words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0),
                               (b"descriptors",))

    assert end("echo 'too few descriptors' >&2; exit 71") and not end("exit 0")
    for words in ("echo 'too few descriptors' >&2; kill -SEGV $$", "exit 71", "echo 'descriptors' >&2; exit 127"):
        try:
            end(words)
        except AssertionError:
            continue
        raise AssertionError(f"{words} is taken for a refusal")


if __name__ == "__main__":
    need(root=True)
    main(globals())
