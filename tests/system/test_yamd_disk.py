#!/usr/bin/env python3
"""yamd and disks that are full or fail: publishers hear of it, consumers go on, nothing confirmed is lost."""

import os
import resource
import signal
import socket
import subprocess

from yamd_support import (IOERR, TEMPFAIL, TIMEOUT, Relay, folder, main, read_line, rows, spawn, until, write)


def test_disk_below_the_reserve_refuses_publishers_only():
    relay = Relay("--reserve", "0")
    relay.yam("push", "q", stdin="1\n2\n")
    relay.stop()
    relay = Relay("--reserve", "1000000G")
    _, errors = relay.yam("push", "q", "--timeout", "300ms", stdin="3\n", code=TEMPFAIL)
    assert "1 of 1 messages not confirmed" in errors or "disk" in errors, errors
    assert relay.yam("pull", "q", "-n2")[0] == "1\n2\n"


def test_sighup_changes_the_reserve_and_publishers_go_on():
    config = write("yamd.conf", "reserve = 1000000G\n")
    relay = Relay("--config", config)
    pusher = spawn("yam", "push", "q", "-e", relay.endpoint, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    pusher.stdin.write(b"1\n")
    pusher.stdin.close()
    until(lambda: any(row["refused"] for row in rows(relay.yam("stat", "--json")[0])), "nothing is refused")
    write("yamd.conf", "reserve = 0\n")
    relay.process.send_signal(signal.SIGHUP)
    relay.wait_for_log("daemon.reloaded option=reserve value=0")
    assert pusher.wait(TIMEOUT) == 0
    write("yamd.conf", "reserve = 1000000G\n")
    relay.process.send_signal(signal.SIGHUP)
    relay.wait_for_log("daemon.reloaded option=reserve value=1073741824000000")
    relay.yam("push", "q", "--timeout", "300ms", stdin="2\n", code=TEMPFAIL)
    assert relay.yam("pull", "q", "-n1")[0] == "1\n"


def segments():
    """How many files the log of a relay has in use."""
    return sum(name.endswith(".seg") and not name.startswith("spare") for name in os.listdir(folder("store")))


def test_topic_that_filled_the_disk_gives_it_back_by_age_though_publishers_are_refused():
    def topic(field):
        return sum(row.get(field, 0) for row in rows(relay.yam("stat", "--json")[0]) if row.get("channel") == "t")

    config = write("yamd.conf", "reserve = 0\ntopic-age = 24h\n")
    relay = Relay("--config", config, "--segment-size", "64k")
    with open(folder("output"), "wb") as output:
        spawn("yam", "sub", "t", "-e", relay.endpoint, stdout=output)
    until(lambda: topic("consumers") == 1, "nobody subscribes")
    publisher = spawn("yam", "pub", "t", "-e", relay.endpoint, "--timeout", "0", stdin=subprocess.PIPE,
                      stdout=subprocess.PIPE)
    publisher.stdin.write((b"x" * 999 + b"\n") * 2500)
    publisher.stdin.flush()
    until(lambda: topic("published") == 2500, "not all of it is published")
    before = segments()
    write("yamd.conf", "reserve = 1000000G\ntopic-age = 1s\n")
    relay.process.send_signal(signal.SIGHUP)
    relay.wait_for_log("daemon.reloaded option=reserve value=1073741824000000")
    publisher.stdin.write(b"last\n")
    publisher.stdin.close()
    until(lambda: topic("refused"), "nothing is refused")
    until(lambda: segments() < before, lambda: f"{segments()} segments of {before} are left")
    write("yamd.conf", "reserve = 0\ntopic-age = 1s\n")
    relay.process.send_signal(signal.SIGHUP)
    assert publisher.wait(TIMEOUT) == 0
    assert publisher.stdout.read() == b"2501 confirmed (synced)\n"


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
    assert output == b"0 confirmed\n" and pusher.returncode != 0, output
    assert Relay().yam("pull", "q", "-n1")[0] == "kept\n"


def connections(endpoint):
    """How many tcp connections the relay at the endpoint has accepted."""
    port = int(endpoint.rpartition(":")[2])
    rows = [line.split() for line in open("/proc/net/tcp").readlines()[1:]]
    return sum(int(row[1].rpartition(":")[2], 16) == port and row[3] == "01" for row in rows)


def is_ended(hog):
    """Whether the relay has ended a connection."""
    try:
        return hog.recv(4096, socket.MSG_DONTWAIT) == b""
    except BlockingIOError:
        return False
    except ConnectionError:
        return True


def test_connections_that_would_take_all_descriptors_are_ended_and_messages_go_on():
    def limit_files():
        resource.setrlimit(resource.RLIMIT_NOFILE, (32, 64))

    relay = spawn("yamd", "--store", folder("store"), "--segment-size", "64k", "--listen", "tcp://127.0.0.1:*",
                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0, preexec_fn=limit_files)
    endpoint = read_line(relay.stdout).split()[1].decode()
    soft, hard = resource.prlimit(relay.pid, resource.RLIMIT_NOFILE)
    assert soft == hard == 64, (soft, hard)  # raised at the start
    pusher = spawn("yam", "push", "q", "-e", endpoint, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                   stderr=subprocess.PIPE)
    pusher.stdin.write(b"first\n")
    pusher.stdin.flush()
    until(lambda: connections(endpoint) == 1, "the pusher does not connect")
    host, port = endpoint[len("tcp://"):].split(":")
    hogs = [socket.create_connection((host, int(port))) for _ in range(80)]
    until(lambda: any(is_ended(hog) for hog in hogs), "none of them is ended")
    lines = b"".join(b"%06d%s\n" % (number, b"x" * 1000) for number in range(500))
    output, errors = pusher.communicate(lines, timeout=TIMEOUT)  # which fill more than one segment
    assert output == b"501 confirmed (synced)\n", (output, errors)
    for hog in hogs:
        hog.close()
    relay.send_signal(signal.SIGTERM)
    _, errors = relay.communicate(timeout=TIMEOUT)
    assert relay.returncode == 0, errors


main(globals())
