#!/usr/bin/env python3
"""yamd and the outside: signals, systemd's notifications, the watchdog."""

import os
import re
import signal
import socket
import subprocess
import time

from yamd_support import OK, TEMPFAIL, TIMEOUT, Relay, folder, main, read_line, rows, run, spawn, write


class Systemd:
    """The socket that systemd would listen on."""

    def __init__(self, **more):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(folder("notify"))
        self.socket.settimeout(TIMEOUT)
        self.environment = {"NOTIFY_SOCKET": folder("notify"), **more}

    def wait_for(self, word):
        """The first notification with that word."""
        while True:
            text = self.socket.recv(4096).decode()
            if word in text.splitlines() or any(line.startswith(word) for line in text.splitlines()):
                return text


def hold_message(relay):
    """A consumer that holds one message and never settles it."""
    relay.yam("push", "q", stdin="x\n")
    puller = spawn("yam", "pull", "q", "-e", relay.endpoint, "--no-ack", stdout=subprocess.PIPE, bufsize=0)
    assert read_line(puller.stdout) == b"x\n"
    return puller


def test_sigterm_stops_cleanly():
    for number in (signal.SIGTERM, signal.SIGINT):
        assert Relay().stop(number) == OK


def test_log_says_what_was_opened_and_why_it_ended():
    relay = Relay()
    relay.process.send_signal(signal.SIGHUP)
    relay.wait_for_log('daemon.not-reloaded error="there is no file (see --config)"')
    relay.yam("push", "q", stdin="x\n")
    assert relay.stop() == OK
    log = relay.read_log()
    for line in ("store.recovered directory=" + folder("store") + " entries=0", "daemon.started name=yamd version=0.",
                 f"where={relay.endpoint}", "daemon.stopping signal=SIGTERM", "daemon.stopped exit-code=0"):
        assert line in log, log


def test_sigterm_drains_what_is_being_worked_on():
    relay = Relay("--linger", "1h")
    puller = hold_message(relay)
    relay.process.send_signal(signal.SIGTERM)
    puller.send_signal(signal.SIGINT)  # gives the message back: nothing is being worked on
    puller.wait(TIMEOUT)
    assert relay.process.wait(TIMEOUT) == OK
    assert Relay().yam("pull", "q", "-n1")[0] == "x\n"


def test_drain_ends_with_linger():
    relay = Relay("--linger", "100ms")
    hold_message(relay)
    assert relay.stop() == OK
    assert Relay().yam("pull", "q", "-n1")[0] == "x\n"


def test_second_sigterm_stops_at_once_and_loses_nothing():
    systemd = Systemd()
    relay = Relay("--linger", "1h", environment=systemd.environment)
    hold_message(relay)
    relay.process.send_signal(signal.SIGTERM)
    systemd.wait_for("STOPPING=1")
    assert relay.stop() == TEMPFAIL
    assert Relay().yam("pull", "q", "-n1")[0] == "x\n"


def test_systemd_hears_of_ready_reload_and_stop():
    systemd = Systemd()
    relay = Relay(environment=systemd.environment)
    assert relay.endpoint in systemd.wait_for("READY=1")
    relay.process.send_signal(signal.SIGHUP)
    systemd.wait_for("RELOADING=1")
    systemd.wait_for("READY=1")
    relay.process.send_signal(signal.SIGTERM)
    systemd.wait_for("STOPPING=1")
    assert relay.process.wait(TIMEOUT) == OK


def test_watchdog_is_fed_while_the_relay_turns():
    systemd = Systemd(WATCHDOG_USEC="2000000")
    relay = Relay(environment=systemd.environment)
    for _ in range(4):
        systemd.wait_for("WATCHDOG=1")
    assert relay.stop() == OK


def test_idle_relay_keeps_turning():
    """Nothing to do must not look like a loop that hangs."""
    systemd = Systemd(WATCHDOG_USEC="400000")
    relay = Relay(environment=systemd.environment)
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        systemd.wait_for("WATCHDOG=1")
    assert "daemon.hangs" not in relay.read_log(), relay.read_log()


def test_sighup_changes_limits():
    config = write("yamd.conf", "channel-messages = 0\n")
    relay = Relay("--config", config)
    relay.yam("push", "q", stdin="1\n2\n")
    write("yamd.conf", "channel-messages = 2\n")
    relay.process.send_signal(signal.SIGHUP)
    relay.wait_for_log("option=channel-messages value=2")
    _, errors = relay.yam("push", "q", "--timeout", "500ms", stdin="3\n", code=TEMPFAIL)
    assert "1 of 1 messages not confirmed" in errors or "refused: full" in errors, errors
    write("yamd.conf", "topic-bytes = 100\n")
    relay.process.send_signal(signal.SIGHUP)
    relay.wait_for_log("option=channel-messages value=0")
    relay.wait_for_log("daemon.reloaded option=topic-bytes value=100")
    relay.yam("push", "q", stdin="4\n")
    for number in range(4):
        relay.yam("pub", "t", "--whole", stdin=str(number) * 1200000)
    while any(row["channel"] == "t" and row["messages"] > 3 for row in rows(relay.yam("stat", "--json")[0])):
        pass  # what the topic has no room for is dropped within a second


def test_sighup_changes_what_the_man_page_lists():
    def other(value):
        """Another value of an option that is a number, or begins with one."""
        return re.sub(r"^\d+", lambda found: str(int(found[0]) - 1 if int(found[0]) > 1 else 2), value)

    with open(f"{__file__.rsplit('/', 3)[0]}/daemons/yamd/yamd.8.scd", encoding="utf-8") as file:
        listed = re.search(r"Changed at once: ([^.]*)\.", file.read())[1]
    dump = re.findall(r'^([\w-]+) = "?(\d[^\s"]*)', run("yamd", "--dump-config")[0], re.M)
    relay = Relay("--config", write("yamd.conf", ""))
    write("yamd.conf", "log-level = debug\n" + "".join(f'{name} = "{other(value)}"\n' for name, value in dump))
    relay.process.send_signal(signal.SIGHUP)
    for name, value in dump:
        relay.wait_for_log(f"option={name} value={other(value)}")
    changed = re.findall(r"daemon\.reloaded option=(\S+)", relay.read_log())
    assert sorted(changed) == sorted(listed.replace(",", "").split()), (changed, listed)


def test_sighup_with_a_bad_file_changes_nothing():
    config = write("yamd.conf", "lease = 20s\n")
    relay = Relay("--config", config)
    write("yamd.conf", "lease = 10s\nlaese = 1s\n")
    relay.process.send_signal(signal.SIGHUP)
    relay.wait_for_log("yamd.conf:2:")
    assert "option=lease" not in relay.read_log()
    relay.yam("stat")


def test_sighup_says_what_needs_a_restart():
    config = write("yamd.conf", "")
    relay = Relay("--config", config)
    write("yamd.conf", "segment-size = 1M\n")
    relay.process.send_signal(signal.SIGHUP)
    relay.wait_for_log("daemon.not-reloaded option=segment-size")
    os.unlink(config)
    relay.process.send_signal(signal.SIGHUP)
    relay.wait_for_log("daemon.reload-failed")
    relay.yam("stat")


main(globals())
