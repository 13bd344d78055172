#!/usr/bin/env python3
"""The real programs under valgrind, as `make valgrind` asks: MEMCHECK is its words. What it finds is their exit code 1."""

import os
import shutil
import subprocess

from yamd_support import BIN, OK, Relay, folder, main, run

VALGRIND, *OPTIONS = os.environ["MEMCHECK"].split()
MEMCHECK = (shutil.which(VALGRIND), *OPTIONS)

LEAKY = """
#include <stdlib.h>
#include <unistd.h>
int main(void) { char *bytes = malloc(8); long rc = write(1, bytes, 8); free(bytes); return rc == 8 ? 0 : 2; }
"""


def yam(relay, command, *arguments, **options):
    return run(*MEMCHECK, os.path.join(BIN, "yam"), command, "-e", relay.endpoint, *arguments, **options)[0]


def test_messages_go_through_a_store_and_a_restart():
    text = "".join(f"message {number} {'x' * (number % 700)}\n" for number in range(500))
    relay = Relay(under=MEMCHECK)
    yam(relay, "push", "q", stdin=text)
    lines = yam(relay, "pull", "q", "-n", "200")
    yam(relay, "push", "later", "--delay", "3600000", stdin="later\n")
    yam(relay, "stat", "--json")
    assert relay.stop() == OK, relay.read_log()
    relay = Relay(under=MEMCHECK)
    assert lines + yam(relay, "pull", "q", "-n", "300") == text
    assert relay.stop() == OK, relay.read_log()


def test_store_is_verified_and_dumped():
    relay = Relay()
    relay.yam("push", "q", stdin="one\ntwo\n")
    assert relay.stop() == OK
    for command in ("verify", "dump"):
        run(*MEMCHECK, os.path.join(BIN, "yam"), command, "store")


def test_check_sees_bytes_that_leave_and_nobody_wrote():
    subprocess.run(["cc", "-w", "-x", "c", "-", "-o", folder("leaky")], input=LEAKY, check=True, text=True)
    run(folder("leaky"))
    _, errors = run(*MEMCHECK, folder("leaky"), code=1)
    assert "uninitialised" in errors, errors


main(globals())
