#!/usr/bin/env python3
"""yam push and pull: what goes in comes out, and what was not printed is not lost."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess

from yamd_support import (DATAERR, IOERR, NOINPUT, NOPERM, TEMPFAIL, TIMEOUT, UNAVAILABLE, USAGE, Relay, awaits, folder,
                          main, read_line, refused, rows, spawn, until, write)

LINES = "".join(f"line {number} of a thousand\n" for number in range(1000))


def test_thousand_lines_come_out_as_they_went_in():
    relay = Relay()
    path = write("lines", LINES)
    output, _ = relay.yam("push", "q", "-f", path)
    assert output == "1000 confirmed (synced)\n", output
    assert relay.yam("pull", "q", "-n", "1000")[0] == LINES
    relay.yam("pull", "q", "--wait", "100ms", code=TEMPFAIL)


def test_push_that_gives_up_with_a_full_window_may_be_tried_again():
    refused("yam", "push", "q", "-e", "tcp://127.0.0.1:1?grade=sure&window=1", "--timeout", "300ms", stdin="1\n2\n3\n",
            code=TEMPFAIL, says="not confirmed by tcp://127.0.0.1:1 (")


def push_at_a_terminal(relay, *options):
    """What yam push says there, with as many lines as take one look at the progress at least."""
    terminal, errors = os.openpty()
    pusher = spawn("yam", "push", "q", "-e", relay.endpoint, *options, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                   stderr=errors)
    os.close(errors)
    pusher.communicate(b"x\n" * 1024, TIMEOUT)
    assert pusher.returncode == 0
    said = b""
    with contextlib.suppress(OSError):  # EIO: all was read
        while more := os.read(terminal, 4096):
            said += more
    os.close(terminal)
    return said


def test_progress_line_is_for_terminals_and_leaves_nothing():
    relay = Relay(store=None)
    said = push_at_a_terminal(relay)
    assert re.fullmatch(rb"(\r\d+ sent, \d+ confirmed, \d+ msg/s )+\r\x1b\[K", said), said
    assert push_at_a_terminal(relay, "--quiet") == b""
    assert relay.yam("push", "q", stdin="x\n" * 1024) == ("1024 confirmed (received)\n", "")


def test_restart_between_push_and_pull_changes_nothing():
    relay = Relay()
    relay.yam("push", "q", stdin=LINES)
    relay.process.kill()
    relay.process.wait()
    relay = Relay()
    assert relay.yam("pull", "q", "-n", "1000")[0] == LINES


def test_memory_relay_confirms_what_it_does():
    assert Relay(store=None).yam("push", "q", stdin="x\n")[0] == "1 confirmed (received)\n"


def test_nul_and_whole_input():
    relay = Relay(store=None)
    relay.yam("push", "q", "--null", stdin=b"a\nb\0c\0")
    assert relay.yam("pull", "q", "--null", "-n2")[0] == "a\nb\0c\0"
    relay.yam("push", "q", "--whole", stdin="all\nof it\n")
    assert relay.yam("pull", "q", "-n1", "--format", "%b")[0] == "all\nof it\n"
    relay.yam("push", "q", "--whole", stdin="")
    assert relay.yam("pull", "q", "-n1", "--format", "<%b>")[0] == "<>"


def test_last_line_needs_no_newline_and_empty_lines_count():
    relay = Relay(store=None)
    assert relay.yam("push", "q", stdin="a\n\nb")[0].startswith("3 ")
    assert relay.yam("pull", "q", "-n3")[0] == "a\n\nb\n"
    assert relay.yam("push", "q", stdin="")[0].startswith("0 ")


def test_count_limits_and_makes_messages():
    relay = Relay(store=None)
    assert relay.yam("push", "q", "-n2", stdin=LINES)[0].startswith("2 ")
    assert relay.yam("push", "q", "-n3", "--size", "100")[0].startswith("3 ")
    made = relay.yam("pull", "q", "-n5")[0].splitlines()[2:]
    assert [len(body) for body in made] == [100] * 3 and made[2].startswith("3 ")


def test_format_and_json():
    relay = Relay(store=None)
    relay.yam("push", "q", "--key", "k1", stdin="x\ny\n")
    assert relay.yam("pull", "q", "-n1", "--format", r"%n|%k|%b|%d|%f|%%|%{key}|%{none}\t\\\n")[0] == \
        "1|k1|x|1|0|%|k1|\t\\\n"
    message = json.loads(relay.yam("pull", "q", "-n1", "--json")[0])
    assert message["body"] == "y" and message["sequence"] == 2 and message["key"] == "k1", message


def test_bytes_that_are_no_text_are_base64_in_json():
    relay = Relay(store=None)
    relay.yam("push", "q", stdin=b"\xff\xfe\n")
    assert json.loads(relay.yam("pull", "q", "-n1", "--json")[0])["body-base64"] == "//4="


def test_nack_makes_a_dead_letter_and_redrive_brings_it_back():
    relay = Relay("--delivery-limit", "2", "--backoff", "1ms")
    relay.yam("push", "q", stdin="poison\n")
    relay.yam("pull", "q", "-n1", "--nack", "--reason", "no such customer")
    relay.yam("pull", "q", "-n1", "--nack", "--reason", "no such customer")
    relay.yam("pull", "q", "--wait", "100ms", code=TEMPFAIL)
    letters = rows(relay.yam("dead", "q", "--json")[0])
    assert len(letters) == 1 and letters[0]["body"] == "poison", letters
    assert letters[0]["reason"] == "no such customer" and letters[0]["origin"] == "q", letters
    assert letters[0]["failures"] == 2, letters
    assert "no such customer" in relay.yam("dead", "q")[0]
    assert rows(relay.yam("redrive", "q", "--dry-run", "--json")[0])[0]["messages"] == 1
    assert len(rows(relay.yam("dead", "q", "--json")[0])) == 1
    assert rows(relay.yam("redrive", "q", "--json")[0])[0]["messages"] == 1
    assert relay.yam("pull", "q", "-n1")[0] == "poison\n"
    assert rows(relay.yam("dead", "q", "--json")[0]) == []


def test_reject_goes_straight_to_the_dead_letters():
    relay = Relay()
    relay.yam("push", "q", stdin="bad\n")
    relay.yam("pull", "q", "-n1", "--reject", "--reason", "unreadable")
    letters = rows(relay.yam("dead", "q", "--json")[0])
    assert [letter["reason"] for letter in letters] == ["unreadable"], letters
    refused("yam", "redrive", "q", "--to", "other", "-e", relay.endpoint, code=UNAVAILABLE, says="target")
    relay.yam("pull", "other", "--wait", "10ms", code=TEMPFAIL)
    relay.yam("redrive", "q", "--to", "other")
    assert relay.yam("pull", "other", "-n1")[0] == "bad\n"


def test_no_ack_gives_back_in_order():
    relay = Relay()
    relay.yam("push", "q", stdin="1\n2\n3\n")
    assert relay.yam("pull", "q", "--no-ack", "-n2")[0] == "1\n2\n"
    assert relay.yam("pull", "q", "-n3", "--format", r"%b %f\n")[0] == "1 0\n2 0\n3 0\n"


def test_count_takes_no_more_than_it_wants():
    relay = Relay()
    relay.yam("push", "q", stdin=LINES)
    relay.yam("pull", "q", "-n3")
    assert relay.yam("pull", "q", "-n1", "--format", r"%n %f\n")[0] == "4 0\n"


def test_count_never_leases_more_than_it_wants():
    relay = Relay()
    relay.yam("push", "q", stdin="1\n2\n")
    puller = spawn("yam", "pull", "q", "-n3", "-e", relay.endpoint, stdout=subprocess.PIPE, bufsize=0)
    assert [read_line(puller.stdout), read_line(puller.stdout)] == [b"1\n", b"2\n"]
    while rows(relay.yam("stat", "q", "--json")[0])[0]["messages"] > 0:
        assert puller.poll() is None  # soon both are settled, and their credit has come back
    relay.yam("push", "q", stdin="".join(f"{number}\n" for number in range(3, 11)))
    assert read_line(puller.stdout) == b"3\n" and puller.wait(TIMEOUT) == 0
    assert relay.yam("pull", "q", "-n7", "--format", r"%b %d\n")[0] == \
        "".join(f"{number} 1\n" for number in range(4, 11))


def test_interrupted_pull_ends_cleanly():
    relay = Relay()
    puller = spawn("yam", "pull", "q", "-e", relay.endpoint, stdout=subprocess.PIPE, bufsize=0)
    relay.yam("push", "q", stdin="x\n")
    assert read_line(puller.stdout) == b"x\n"
    puller.send_signal(signal.SIGINT)
    assert puller.wait(TIMEOUT) == 0
    relay.yam("pull", "q", "--wait", "100ms", code=TEMPFAIL)


def interrupted(process, number, output=None):
    """Ends it by a signal; what it said. It must not look as if all had been done."""
    process.send_signal(number)
    process.wait(TIMEOUT)  # its input ends after it
    said, errors = process.communicate()
    assert process.returncode == TEMPFAIL and b"interrupted" in errors, (process.returncode, said, errors)
    assert output is None or said == output, said
    return errors


def test_interrupted_push_says_that_what_came_then_was_not_sent():
    relay = Relay(store=None)  # so what it counts is confirmed
    os.mkfifo(folder("fifo"))
    sent = 0
    for options in ([], ["-f", folder("fifo")], ["-n", "9"], ["--quiet"]):
        for number in (signal.SIGINT, signal.SIGTERM):
            pusher = spawn("yam", "push", "q", "-e", relay.endpoint, *options, stdin=subprocess.PIPE,
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            with open(folder("fifo"), "wb") if "-f" in options else pusher.stdin as source:
                source.write(b"1\n2\nhalf of")
                source.flush()
                sent += 2
                until(lambda: [row["messages"] for row in rows(relay.yam("stat", "--json")[0])] == [sent], "not sent")
                errors = interrupted(pusher, number)
                assert b"after 2 messages: what came then was not sent" in errors, errors
    assert rows(relay.yam("stat", "--json")[0])[0]["messages"] == sent


def test_interrupted_push_of_messages_made_up_does_not_look_complete():
    relay = Relay(store=None)
    pusher = spawn("yam", "push", "q", "-e", relay.endpoint + "?grade=sure&window=1", "-n", "1000000000", "--size", "9",
                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    until(lambda: rows(relay.yam("stat", "--json")[0]), "nothing is sent")
    interrupted(pusher, signal.SIGTERM)


def test_interrupted_call_sends_no_half_of_a_request():
    relay = Relay(store=None)
    call = spawn("yam", "call", "q", "-e", relay.endpoint, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                 stderr=subprocess.PIPE)
    with call.stdin as source:
        source.write(b"half of")
        source.flush()
        until(lambda: awaits(call, signal.SIGINT), "it never waits for the other half")
        assert b"the request was not sent" in interrupted(call, signal.SIGINT, b"")
    assert rows(relay.yam("stat", "--json")[0]) == []


def test_interrupted_pull_of_a_count_does_not_look_complete():
    relay = Relay()
    puller = spawn("yam", "pull", "q", "-n3", "-e", relay.endpoint, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                   bufsize=0)
    relay.yam("push", "q", stdin="x\n")
    assert read_line(puller.stdout) == b"x\n"
    assert b"after 1 of 3 messages" in interrupted(puller, signal.SIGINT, b"")


def test_interrupted_wait_for_a_message_does_not_look_as_if_one_had_come():
    relay = Relay()
    relay.yam("push", "q", stdin="x\n")
    relay.yam("pull", "q", "-n1")
    puller = spawn("yam", "pull", "q", "--wait", "1h", "-e", relay.endpoint, stdout=subprocess.PIPE,
                   stderr=subprocess.PIPE)
    until(lambda: rows(relay.yam("stat", "--json")[0])[0]["consumers"] == 1, "it does not come")
    assert b"before a message came" in interrupted(puller, signal.SIGTERM, b"")


def test_reader_that_goes_away_loses_nothing():
    relay = Relay()
    puller = spawn("yam", "pull", "q", "-e", relay.endpoint, stdout=subprocess.PIPE, bufsize=0)
    relay.yam("push", "q", stdin="first\n")
    assert read_line(puller.stdout) == b"first\n"
    puller.stdout.close()
    assert puller.wait(TIMEOUT) == IOERR  # noticed without a message
    relay.yam("push", "q", stdin=LINES)
    assert relay.yam("pull", "q", "-n1000")[0] == LINES


def test_full_device_loses_nothing():
    relay = Relay()
    relay.yam("push", "q", stdin=LINES)
    with open("/dev/full", "wb") as full:
        puller = spawn("yam", "pull", "q", "-e", relay.endpoint, "-n1000", stdout=full, stderr=subprocess.PIPE)
        assert b"stays in the relay" in puller.communicate(timeout=TIMEOUT)[1]
    assert puller.returncode == IOERR
    assert relay.yam("pull", "q", "-n1000")[0] == LINES


def test_wait_ends_with_success_when_something_came():
    relay = Relay()
    relay.yam("push", "q", stdin="x\n")
    assert relay.yam("pull", "q", "--wait", "5s")[0] == "x\n"


def test_pull_without_a_relay_says_so():
    refused("yam", "pull", "q", "-e", "tcp://127.0.0.1:1", "--wait", "10ms", code=UNAVAILABLE,
            says=["127.0.0.1:1", "is yamd running"])


def test_push_without_a_relay_gives_up_and_says_so():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))  # bound, but nobody listens
        endpoint = f"tcp://127.0.0.1:{other.getsockname()[1]}"
        refused("yam", "push", "q", "-e", endpoint, "--timeout", "500ms", stdin="x\n", code=TEMPFAIL,
                says=["1 of 1", endpoint, "is yamd running"])


def test_killed_relay_does_not_count_as_confirmed():
    relay = Relay()
    endpoint = relay.endpoint
    relay.process.kill()
    relay.process.wait()
    _, errors = relay.yam("push", "q", "--timeout", "300ms", "--quiet", stdin="x\ny\n", code=TEMPFAIL)
    assert "2 of 2" in errors and endpoint in errors, errors


def test_push_survives_a_restart_of_the_relay():
    relay = Relay()
    reader, writer = os.pipe()
    pusher = spawn("yam", "push", "q", "-e", relay.endpoint, stdin=reader, stdout=subprocess.PIPE)
    os.close(reader)
    os.write(writer, b"before\n")
    assert relay.yam("pull", "q", "-n1")[0] == "before\n"
    relay.process.kill()
    relay.process.wait()
    os.write(writer, b"after\n")
    os.close(writer)
    relay = Relay(listen=relay.endpoint)
    assert pusher.communicate(timeout=TIMEOUT)[0] == b"2 confirmed (synced)\n"
    assert relay.yam("pull", "q", "-n1")[0] == "after\n"


def test_input_errors():
    refused("yam", "push", "q", "-f", "nowhere", code=NOINPUT, says="nowhere")
    refused("yam", "push", "q", "-f", folder(), code=NOINPUT, says="Is a directory")
    refused("yam", "push", "q", "--certificate", "nowhere", code=NOINPUT, says="nowhere")
    refused("yam", "push", "q", "--size", "5", code=USAGE, says="--count")
    refused("yam", "push", "q", "-n1", "--size", "5", "-f", "x", code=USAGE, says="--size")
    relay = Relay(store=None)
    path = write("big", b"x" * (16 * 1024 * 1024 + 1))
    relay_options = ("-e", relay.endpoint)
    refused("yam", "push", "q", *relay_options, "-f", path, code=DATAERR, says="16 MiB")
    os.remove(folder("big"))


def test_newer_sender_of_a_name_takes_over_and_the_older_one_says_so():
    relay = Relay()
    older = spawn("yam", "push", "q", "-e", relay.endpoint, "--name", "p", stdin=subprocess.PIPE,
                  stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    older.stdin.write(b"1\n")
    older.stdin.flush()
    while not rows(relay.yam("stat", "--json")[0]):
        pass
    relay.yam("push", "q", "--name", "p", stdin="2\n")
    _, errors = older.communicate(b"3\n", TIMEOUT)
    assert older.returncode == UNAVAILABLE and b"a newer producer of this name took over" in errors, errors


def test_group_is_of_topics_and_touches_no_queue():
    relay = Relay()
    relay.yam("push", "q", stdin="1\n2\n")
    refused("yam", "pull", "q", "-g", "other", "-e", relay.endpoint, "--wait", "10ms", code=DATAERR,
            says="the channel is a queue")
    refused("yam", "pull", "q", "-g", "other", "--fast", code=USAGE, says="--group")
    for option in ("group=g", "start=new", "subject=a"):
        refused("yam", "pull", "q", "-e", f"{relay.endpoint}?grade=sure&{option}", code=USAGE,
                says="a queue has one group")
    assert relay.yam("pull", "q", "-n2")[0] == "1\n2\n"
    relay.yam("sub", "t", "-g", "g", "--wait", "10ms", code=TEMPFAIL)
    relay.yam("pub", "t", stdin="a\nb\n")
    assert relay.yam("pull", "t", "-g", "g", "-n2")[0] == "a\nb\n"


def test_channel_of_another_kind_is_told_at_once():
    relay = Relay()
    relay.yam("push", "q", stdin="1\n")
    relay.yam("pub", "t", stdin="1\n")
    where = ("-e", relay.endpoint, "--timeout", "0")
    for command, channel, code, says in (
            ("push", "t", DATAERR, "the channel is a topic"), ("pub", "q", DATAERR, "the channel is a queue"),
            ("push", "q.dead", NOPERM, "only relays write dead letters"),
            ("push", "q.delayed", NOPERM, "through the channel they were sent to")):
        begun = os.times()
        refused("yam", command, channel, *where, stdin="2\n3\n", code=code, says=says)
        ended = os.times()
        assert ended.children_user - begun.children_user < 1, (begun, ended)
    refused("yam", "pull", "t", "-e", relay.endpoint, code=DATAERR, says="conflict: the channel is a topic")
    refused("yam", "sub", "q", "-e", relay.endpoint, code=DATAERR, says="conflict: the channel is a queue")
    relay.yam("sub", "t", "-g", "g", "-s", "a", "--wait", "1ms", code=TEMPFAIL)
    refused("yam", "sub", "t", "-g", "g", "-s", "b", "-e", relay.endpoint, code=DATAERR,
            says="the group has another filter")


def test_another_run_of_a_name_sends_new_messages():
    relay = Relay()
    for _ in range(2):
        relay.yam("push", "q", "--name", "p", stdin="the same line\n")
    row = rows(relay.yam("stat", "--json")[0])[0]
    assert (row["published"], row["duplicates"]) == (2, 0), row


def test_bad_names_and_endpoints_are_refused():
    refused("yam", "push", "a b", code=USAGE, says="0x20", stdin="x\n")
    refused("yam", "push", "q" * 193, "--delay", "1h", code=USAGE, says="NAME.delayed", stdin="x\n")
    refused("yam", "push", "q", "-e", "tcp://", code=USAGE, says="column", stdin="x\n")
    refused("yam", "push", "q", "-e", "tcp://h:1?window=x", code=USAGE, says="window", stdin="x\n")
    refused("yam", "pull", "q", "-e", "tpc://h:1", code=USAGE, says="tpc")
    refused("yam", "pull", "q", "-g", "a&b", code=USAGE, says="'&'")


main(globals())
