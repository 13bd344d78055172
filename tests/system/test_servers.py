#!/usr/bin/env python3
"""The servers that tests start: they end with whoever started them, and keep what they have in their folder."""

import os
import select
import shutil
import signal
import subprocess

from server_support import NotInstalled, Server, find_program
from yamd_support import TIMEOUT, folder, leave, main

HELPER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "server_support.py")


def start_helper(kind, name):
    """A helper as C programs start it: (its process, the server's pid)."""
    helper = subprocess.Popen([HELPER, kind, folder(name)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    return helper, int(helper.stdout.readline().split()[-1])


def wait_until_gone(watch):
    ready, _, _ = select.select([watch], [], [], TIMEOUT)
    os.close(watch)
    assert ready, "the server still runs"


def check_end(kind, name, end):
    helper, pid = start_helper(kind, name)
    watch = os.pidfd_open(pid)
    end(helper)
    wait_until_gone(watch)
    helper.wait(TIMEOUT)


def kill(helper):
    helper.send_signal(signal.SIGKILL)


def close_stdin(helper):
    helper.stdin.close()


def test_postgres_ends_when_its_test_closes_the_door_or_is_killed():
    check_end("postgres", "closed", close_stdin)
    check_end("postgres", "killed", kill)


def test_redis_ends_when_its_test_closes_the_door_or_is_killed():
    check_end("redis", "closed-too", close_stdin)
    check_end("redis", "killed-too", kill)


def test_server_of_root_runs_as_nobody():
    with Server("redis", folder("whose")) as server:
        owner = os.stat(f"/proc/{server.pid}").st_uid
        assert owner != 0, owner


def test_data_is_there_after_a_kill_and_a_start():
    psql = shutil.which("psql")
    server = Server("postgres", folder("again"), fsync="on")
    server.start()
    subprocess.run([psql, "-qc", "CREATE TABLE kept AS SELECT 42 AS answer", server.uri], check=True)
    server.kill()
    server.start()
    done = subprocess.run([psql, "-Atc", "SELECT answer FROM kept", server.uri], check=True, stdout=subprocess.PIPE,
                          text=True)
    server.stop()
    assert done.stdout == "42\n", done.stdout


try:
    find_program("postgres")
    find_program("redis")
except NotInstalled as reason:
    leave(reason)
main(globals())
