#!/usr/bin/env python3
"""yamd and disks that are full or fail: publishers hear of it, consumers go on, nothing confirmed is lost."""

import resource
import signal
import subprocess

from yamd_support import (IOERR, TEMPFAIL, TIMEOUT, Relay, folder, main, read_line, spawn, write)


def test_disk_below_the_reserve_refuses_publishers_only():
    relay = Relay("--reserve", "0")
    relay.yam("push", "q", stdin="1\n2\n")
    relay.stop()
    relay = Relay("--reserve", "1000000G")
    _, errors = relay.yam("push", "q", "--timeout", "300ms", stdin="3\n", code=TEMPFAIL)
    assert "1 of 1 messages not confirmed" in errors or "disk" in errors, errors
    assert relay.yam("pull", "q", "-n2")[0] == "1\n2\n"


def test_store_that_fails_ends_yamd_and_keeps_what_was_confirmed():
    def limit_files():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # writes fail with EFBIG instead
        resource.setrlimit(resource.RLIMIT_FSIZE, (512 << 10, 512 << 10))

    relay = spawn("yamd", "--store", folder("store"), "--segment-size", "64k", "--listen", "tcp://127.0.0.1:*",
                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0, preexec_fn=limit_files)
    endpoint = read_line(relay.stdout).split()[1].decode()
    from yamd_support import yam
    assert yam("push", "q", "-e", endpoint, stdin="kept\n")[0] == "1 confirmed (synced)\n"
    path = write("big", "x" * (1 << 20))
    pusher = spawn("yam", "push", "q", "-e", endpoint, "-f", path, "--timeout", "1s", stdout=subprocess.PIPE,
                   stderr=subprocess.PIPE)
    _, errors = relay.communicate(timeout=TIMEOUT)
    assert relay.returncode == IOERR, (relay.returncode, errors)
    assert b"store has failed" in errors and b"start yamd again" in errors, errors
    output, _ = pusher.communicate(timeout=TIMEOUT)
    assert output == b"0 confirmed (none)\n" and pusher.returncode != 0, output
    assert Relay().yam("pull", "q", "--wait", "500ms")[0].splitlines()[0] == "kept"


main(globals())
