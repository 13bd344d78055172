#!/usr/bin/env python3
"""yam pub and sub: groups, beginnings, subjects, both grades."""

import json
import os
import signal
import socket
import subprocess

from yamd_support import (DATAERR, TEMPFAIL, TIMEOUT, UNAVAILABLE, USAGE, Relay, folder, main, read_line, refused, spawn)


def test_two_groups_get_everything_once_each():
    relay = Relay()
    relay.yam("sub", "t", "-g", "a", "--wait", "10ms", code=TEMPFAIL)
    relay.yam("sub", "t", "-g", "b", "--wait", "10ms", code=TEMPFAIL)
    assert relay.yam("pub", "t", stdin="1\n2\n")[0] == "2 confirmed (synced)\n"
    assert relay.yam("sub", "t", "-g", "a", "-n2")[0] == "1\n2\n"
    assert relay.yam("sub", "t", "-g", "b", "-n2")[0] == "1\n2\n"
    relay.yam("sub", "t", "-g", "a", "--wait", "100ms", code=TEMPFAIL)


def test_group_begins_where_it_was_told():
    relay = Relay()
    for topic in ("t1", "t2", "t3"):
        relay.yam("pub", topic, stdin="1\n2\n3\n")
    assert relay.yam("sub", "t1", "-g", "g", "--from", "first", "-n3")[0] == "1\n2\n3\n"
    assert relay.yam("sub", "t2", "-g", "g", "--from", "3", "-n1")[0] == "3\n"
    relay.yam("sub", "t3", "-g", "g", "--from", "new", "--wait", "50ms", code=TEMPFAIL)
    relay.yam("pub", "t3", stdin="4\n")
    assert relay.yam("sub", "t3", "-g", "g", "-n1")[0] == "4\n"
    refused("yam", "sub", "t1", "-e", relay.endpoint, "--from", "soon", code=USAGE, says="soon")


def test_subscription_without_group_gets_what_comes():
    relay = Relay()
    relay.yam("pub", "t", stdin="before\n")
    sub = spawn("yam", "sub", "t", "-e", relay.endpoint, stdout=subprocess.PIPE, bufsize=0)
    while not any(row["channel"] == "t" and row["groups"] == 1
                  for row in json.loads(relay.yam("stat", "--json")[0])):
        pass  # asks the relay again
    relay.yam("pub", "t", stdin="after\n")
    assert read_line(sub.stdout) == b"after\n"
    sub.send_signal(signal.SIGTERM)
    assert sub.wait(TIMEOUT) == 0


def test_subjects():
    relay = Relay()
    relay.yam("sub", "t", "-g", "de", "-s", "eu.de.>", "--wait", "10ms", code=TEMPFAIL)
    relay.yam("pub", "t", "-s", "eu.fr.orders", stdin="fr\n")
    relay.yam("pub", "t", "-s", "eu.de.orders", stdin="de\n")
    assert relay.yam("sub", "t", "-g", "de", "-s", "eu.de.>", "-n1", "--format", "%s %b")[0] == "eu.de.orders de"
    refused("yam", "pub", "t", "-e", relay.endpoint, "-s", "a..b", stdin="x\n", code=USAGE, says="subject")


def test_queue_is_no_topic():
    relay = Relay()
    relay.yam("push", "c", stdin="x\n")
    refused("yam", "sub", "c", "-e", relay.endpoint, "--wait", "100ms", code=DATAERR, says="the channel is a queue")


def test_sub_without_a_relay_says_so():
    refused("yam", "sub", "t", "-e", "tcp://127.0.0.1:1?grade=sure&connect-timeout=300ms", code=UNAVAILABLE,
            says="127.0.0.1:1")


def test_fast_push_that_nobody_takes_fails_and_says_how_many():
    for endpoint in "tcp://127.0.0.1:1", "@tcp://127.0.0.1:*", "@ipc://" + folder("s"):
        refused("yam", "push", "q", "-e", endpoint, "--fast", "--timeout", "300ms", stdin="1\n2\n3\n", code=UNAVAILABLE,
                says=f"3 of 3 messages not taken by anybody at {endpoint} (")
    refused("yam", "push", "q", "-e", "tcp://127.0.0.1:1?framing=raw", "--fast", "--timeout", "300ms", stdin="1\n2\n",
            code=UNAVAILABLE, says="1 of 1 messages not taken by anybody")  # it reads no more


def test_fast_push_waits_for_who_comes_later():
    endpoint = "ipc://" + folder("later")
    with socket.socket(socket.AF_UNIX) as nobody:
        nobody.bind(folder("later"))
        nobody.listen()
        nobody.settimeout(TIMEOUT)
        push = spawn("yam", "push", "q", "-e", endpoint, "--fast", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        push.stdin.write(b"1\n2\n3\n")
        push.stdin.close()
        nobody.accept()[0].close()  # it looked for somebody
    os.unlink(folder("later"))
    pull = spawn("yam", "pull", "q", "-e", "@" + endpoint, "--fast", "-n3", stdout=subprocess.PIPE)
    assert pull.communicate(timeout=TIMEOUT)[0] == b"1\n2\n3\n"
    assert push.stdout.read().startswith(b"3 sent") and push.wait(TIMEOUT) == 0


def test_fast_grade_needs_no_relay():
    relay = Relay(store=None)  # only for a free port
    endpoint = relay.endpoint
    relay.stop()
    pull = spawn("yam", "pull", "q", "-e", "@" + endpoint, "--fast", "-n2", stdout=subprocess.PIPE)
    from yamd_support import yam
    assert yam("push", "q", "-e", endpoint, "--fast", stdin="1\n2\n")[0].startswith("2 sent")
    assert pull.communicate(timeout=TIMEOUT)[0] == b"1\n2\n"


main(globals())
