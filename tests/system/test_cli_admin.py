#!/usr/bin/python3
"""yam stat, peek, purge and redrive; and relays that are none."""

import os
import signal
import socket
import subprocess
import threading

import msgpack
import zmq

from relay_client import ADMIN, ERROR, GOODBYE, HEARTBEAT, HELLO, NO_SESSION, REPLY, WELCOME, control
from yamd_support import (DATAERR, TEMPFAIL, TIMEOUT, UNAVAILABLE, USAGE, Relay, main, read_line, refused, rows,
                          spawn)


def row_of(relay, channel):
    return next(row for row in rows(relay.yam("stat", "--json")[0]) if row["channel"] == channel)


def test_stat_shows_channels_groups_and_the_relay():
    relay = Relay()
    relay.yam("push", "orders", stdin="1\n2\n3\n")
    relay.yam("pull", "orders", "-n1")
    assert row_of(relay, "orders")["messages"] == 2
    table, _ = relay.yam("stat")
    assert table.splitlines()[0].split()[0] == "channel" and "orders" in table, table
    groups = rows(relay.yam("stat", "orders", "--json")[0])
    assert len(groups) == 1 and groups[0]["messages"] == 2, groups
    counters = rows(relay.yam("stat", "--relay", "--json")[0])
    assert len(counters) == 1 and counters[0]["channels"] >= 1, counters
    assert "channels" in relay.yam("stat", "--relay")[0]


def test_stat_says_how_much_is_in_flight_how_old_how_fast_and_what_was_synced():
    relay = Relay()
    relay.yam("push", "q", stdin="1\n2\n3\n")
    pull = spawn("yam", "pull", "q", "-e", relay.endpoint, "--no-ack", stdout=subprocess.PIPE, bufsize=0)
    for _ in range(3):
        read_line(pull.stdout)
    row = row_of(relay, "q")
    assert row["messages"] == row["leased"] == 3 and row["dead"] == row["redelivered"] == row["dropped"] == 0, row
    assert row["in-per-s"] >= 1 and row["out-per-s"] >= 1 and row["oldest-ms"] >= 0, row
    assert row["syncs"] >= 1, row
    relay.yam("push", "other", stdin="1\n")
    assert row_of(relay, "other")["syncs"] == 1 and row_of(relay, "q")["syncs"] == row["syncs"]
    group = rows(relay.yam("stat", "q", "--json")[0])[0]
    assert group["leased"] == 3 and group["in-per-s"] >= 1 and group["out-per-s"] >= 1, group
    assert group["syncs"] == row["syncs"], group
    store = rows(relay.yam("stat", "--relay", "--json")[0])[0]
    assert store["syncs"] >= 1 and 0 < store["sync-mean-us"] <= store["sync-max-us"], store
    assert store["segments"] == 1 and store["disk-bytes"] > 0, store
    pull.send_signal(signal.SIGINT)
    assert pull.wait(TIMEOUT) == 0
    relay.yam("pull", "q", "-n1")
    assert row_of(relay, "q")["redelivered"] >= 1


def test_stat_fits_a_terminal_and_wide_has_everything():
    relay = Relay()
    relay.yam("push", "orders", stdin="1\n" * 2000)
    relay.yam("pull", "orders", "-n", "1000", "--reject")
    relay.yam("push", "orders", "--delay", "1h", stdin="2\n")
    first_look = ["messages", "leased", "dead", "oldest", "in/s", "out/s", "redelivered"]
    for words, heading, more in ((["stat"], ["channel", "kind"], ["syncs"]),
                                 (["stat", "orders"], ["channel", "group"], ["dropped", "syncs"])):
        lines = relay.yam(*words)[0].splitlines()
        assert lines[0].split() == heading + first_look + more, lines
        assert max(map(len, lines)) <= 80, lines
        wide = relay.yam(*words, "--wide")[0].splitlines()[0].split()
        assert len(wide) == len(set().union(*rows(relay.yam(*words, "--json")[0]))), wide
    assert row_of(relay, "orders")["dead"] == 1000
    assert "late-max" in relay.yam("stat", "--wide", "orders.delayed")[0]


def test_stat_of_a_channel_or_all_ends_with_a_line_of_the_relay():
    """What no channel tells; programs read --json, which has no such line."""
    relay = Relay()
    for number in range(5):
        relay.yam("push", f"q{number}", stdin="1\n")
    counters, = rows(relay.yam("stat", "--relay", "--json")[0])
    assert counters["channels"] == 5 and counters["dropped"] == 0 and counters["syncs"] > 1, counters
    for words in ["stat"], ["stat", "--wide"], ["stat", "q1"], ["stat", "q1", "--wide"]:
        last = relay.yam(*words)[0].splitlines()[-1]
        assert last == f"relay: 5 channels, 1 session, 0 dropped, 0 damaged, {counters['syncs']} syncs", last
    for words in ["stat", "q1", "--json"], ["stat", "--relay"], ["stat", "--json"]:
        assert "relay:" not in relay.yam(*words)[0], words


def test_stat_of_a_topic_without_a_group_shows_what_it_keeps():
    relay = Relay()
    relay.yam("sub", "t", "-g", "gone", "--wait", "1ms", code=TEMPFAIL)
    relay.yam("pub", "t", stdin="1\n2\n")
    relay.yam("remove", "t", "gone", "--yes")
    row, = rows(relay.yam("stat", "t", "--json")[0])
    kept = len(rows(relay.yam("peek", "t", "--json")[0]))
    assert row["channel"] == "t" and row["group"] == "" and row["groups"] == 0, row
    assert row["messages"] == kept and row["published"] == 2 and row["leased"] == 0, (row, kept)
    assert relay.yam("stat", "t")[0].splitlines()[1].split()[:2] == ["t", str(kept)]


def test_no_table_has_blanks_at_the_end_of_a_line():
    relay = Relay()
    relay.yam("push", "q", stdin="1\n2\n3\n")
    relay.yam("push", "q", "--delay", "1h", stdin="4\n")
    relay.yam("pull", "q", "-n1", "--reject", "--reason", "why")
    relay.yam("pull", "q", "-n1", "--reject")
    for words in (["stat"], ["stat", "q"], ["stat", "--wide"], ["stat", "--relay"], ["peek", "q"], ["dead", "q"],
                  ["redrive", "q", "--dry-run"], ["purge", "q", "--dry-run"]):
        table = relay.yam(*words)[0]
        assert table and not [line for line in table.splitlines() if line != line.rstrip()], table


def test_empty_relay_lists_nothing():
    relay = Relay(store=None)
    assert rows(relay.yam("stat", "--json")[0]) == []
    assert relay.yam("stat")[0] == "relay: 0 channels, 1 session, 0 dropped, 0 damaged, 0 syncs\n"


def test_channel_in_memory_has_no_syncs():
    relay = Relay(store=None)
    relay.yam("push", "q", stdin="1\n")
    assert row_of(relay, "q")["messages"] == 1 and row_of(relay, "q")["syncs"] == 0


def test_watch_prints_until_interrupted():
    relay = Relay(store=None)
    relay.yam("push", "q", stdin="1\n")
    watch = spawn("yam", "stat", "-e", relay.endpoint, "--watch", "--json", "--interval", "100ms",
                  stdout=subprocess.PIPE, bufsize=0)
    for _ in range(3):
        assert b'"channel":"q"' in read_line(watch.stdout)
    watch.send_signal(signal.SIGINT)
    assert watch.wait(TIMEOUT) == 0


def test_watch_survives_a_restart_of_the_relay():
    relay = Relay()
    relay.yam("push", "q", stdin="1\n")
    watch = spawn("yam", "stat", "-e", relay.endpoint + "?connect-timeout=20s", "--watch", "--json", "--interval",
                  "100ms", stdout=subprocess.PIPE, bufsize=0)
    read_line(watch.stdout)
    relay.process.kill()
    relay.process.wait()
    relay = Relay(listen=relay.endpoint)
    relay.yam("push", "r", stdin="1\n")
    while b'"r"' not in (line := read_line(watch.stdout)):
        assert line, "the watch has ended"
    watch.kill()


def test_peek_leaves_messages_there():
    relay = Relay()
    relay.yam("push", "q", "--key", "k", stdin="1\n2\n3\n")
    peeked = rows(relay.yam("peek", "q", "--json", "-n2")[0])
    assert [row["body"] for row in peeked] == ["1", "2"], peeked
    assert peeked[0]["properties"] == {"key": "k"}, peeked
    assert rows(relay.yam("peek", "q", "--json", "--from", "3")[0])[0]["body"] == "3"
    assert "key=k" in relay.yam("peek", "q")[0]
    assert relay.yam("pull", "q", "-n3", "--format", "%b%d ")[0] == "11 21 31 "


def test_peek_shows_only_what_waits():
    relay = Relay("--backoff", "1h")
    relay.yam("push", "q", stdin="".join(f"{number}\n" for number in range(1, 11)))
    for options in (["-n2"], ["-n2", "--nack"], ["-n2"], ["-n2", "--reject"]):
        relay.yam("pull", "q", *options)
    assert [row["body"] for row in rows(relay.yam("peek", "q", "--json")[0])] == ["3", "4", "9", "10"]
    assert [row["body"] for row in rows(relay.yam("peek", "q", "--json", "-n2", "--from", "4")[0])] == ["4", "9"]
    refused("yam", "peek", "q", "-g", "other", "-e", relay.endpoint, code=UNAVAILABLE, says="no such group")


def test_peek_of_a_group_shows_what_waits_for_it():
    relay = Relay()
    for group, subject in (("all", ">"), ("eu", "eu.>"), ("late", ">")):
        relay.yam("sub", "t", "-g", group, "-s", subject, "--wait", "1ms", code=TEMPFAIL)
    for subject in ("eu.a", "us.a", "eu.b"):
        relay.yam("pub", "t", "-s", subject, stdin=subject + "\n")
    relay.yam("sub", "t", "-g", "all", "-s", ">", "-n2")

    def peek(*options):
        return [row["body"] for row in rows(relay.yam("peek", "t", "--json", *options)[0])]
    assert peek("-g", "all") == ["eu.b"]
    assert peek("-g", "eu") == ["eu.a", "eu.b"]
    assert peek("-g", "late") == peek() == ["eu.a", "us.a", "eu.b"]
    assert "what the topic keeps" in relay.yam("peek", "t")[0]
    refused("yam", "peek", "t", "-g", "nosuch", "-e", relay.endpoint, code=UNAVAILABLE, says="no such group")


def test_remove_ends_a_forgotten_group_and_dry_run_only_counts():
    relay = Relay()
    relay.yam("sub", "t", "-g", "forgotten", "--wait", "1ms", code=TEMPFAIL)
    relay.yam("pub", "t", stdin="1\n2\n")
    refused("yam", "remove", "t", "forgotten", "-e", relay.endpoint, code=USAGE, says="--yes")
    assert rows(relay.yam("remove", "t", "forgotten", "--dry-run", "--json")[0]) == [{"messages": 2}]
    assert rows(relay.yam("remove", "t", "forgotten", "--yes", "--json")[0]) == [{"messages": 2}]
    assert [row["group"] for row in rows(relay.yam("stat", "t", "--json")[0])] == [""]
    refused("yam", "remove", "t", "forgotten", "--yes", "-e", relay.endpoint, code=UNAVAILABLE,
            says="no such durable group")


def test_purge_needs_yes_and_dry_run_only_counts():
    relay = Relay()
    relay.yam("push", "q", stdin="1\n2\n")
    refused("yam", "purge", "q", "-e", relay.endpoint, code=USAGE, says=["--yes", "--dry-run"])
    assert rows(relay.yam("purge", "q", "--dry-run", "--json")[0])[0]["messages"] == 2
    assert row_of(relay, "q")["messages"] == 2
    assert rows(relay.yam("purge", "q", "--yes", "--json")[0])[0]["messages"] == 2
    assert row_of(relay, "q")["messages"] == 0


def test_unknown_channel_is_named():
    relay = Relay(store=None)
    for command in (["stat"], ["peek"], ["purge", "--yes"], ["dead"], ["redrive"]):
        refused("yam", *command, "nope", "-e", relay.endpoint, code=UNAVAILABLE, says="nope")


def test_no_relay_is_told_with_address_and_time():
    refused("yam", "stat", "-e", "tcp://127.0.0.1:1?connect-timeout=200ms", code=UNAVAILABLE,
            says=["tcp://127.0.0.1:1", "200 ms", "is yamd running"])


def test_endpoint_from_the_environment():
    relay = Relay(store=None)
    from yamd_support import yam
    yam("stat", environment={"YAM_ENDPOINT": relay.endpoint})


def answer(reply):
    """A peer that answers the first frame with reply; returns its endpoint."""
    router = zmq.Context.instance().socket(zmq.ROUTER)
    router.linger = 0
    endpoint = f"tcp://127.0.0.1:{router.bind_to_random_port('tcp://127.0.0.1')}"

    def serve():
        if router.poll(TIMEOUT * 1000):
            sender = router.recv_multipart()[0]
            router.send_multipart([sender, reply])
            router.poll(2000)
        router.close()

    threading.Thread(target=serve, daemon=True).start()
    return endpoint


def test_relay_that_leaves_before_it_answers_is_asked_once_only():
    """Whether it dropped the messages nobody knows: asking its successor would drop what came since."""
    router = zmq.Context.instance().socket(zmq.ROUTER)
    router.linger = 0
    endpoint = f"tcp://127.0.0.1:{router.bind_to_random_port('tcp://127.0.0.1')}"
    for command, asked in ((("purge", "q", "--yes"), 1), (("stat", "q"), 3)):
        seen = []
        purge = spawn("yam", *command, "-e", endpoint, stderr=subprocess.PIPE)
        while purge.poll() is None:
            if not router.poll(100):
                continue
            sender, frame = router.recv_multipart()
            seen.append(frame[5])
            if frame[5] == HELLO:
                session = msgpack.unpackb(frame[16:])["session"]
                router.send_multipart([sender, control(WELCOME, session=session, name="r", level=3,
                                                       max_frame=20971520, heartbeat_ms=1000)])
            elif frame[5] == ADMIN:
                router.send_multipart([sender, control(GOODBYE)])
        errors = purge.stderr.read().decode()
        assert purge.returncode == UNAVAILABLE and "did not say whether it did" in errors, errors
        assert seen.count(ADMIN) == asked, seen
    router.close()


def ask_a_relay_that_loses(losses, *command):
    """Runs command against a relay on whose way each of these frames is lost once, as with a connection, and which is
    another one when it hears a HEARTBEAT; returns (exit code, output, what it said, the frames that were sent)."""
    router = zmq.Context.instance().socket(zmq.ROUTER)
    router.linger = 0
    endpoint = f"tcp://127.0.0.1:{router.bind_to_random_port('tcp://127.0.0.1')}"
    process = spawn("yam", *command, "-e", endpoint + f"?connect-timeout={TIMEOUT}s", stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE)
    seen = []
    while process.poll() is None:
        if not router.poll(100):
            continue
        sender, frame = router.recv_multipart()
        code, fields = frame[5], msgpack.unpackb(frame[16:])
        seen.append(code)
        if code in losses:
            losses.remove(code)
        elif code == HELLO:
            router.send_multipart([sender, control(WELCOME, session=fields["session"], name="r", level=3,
                                                   max_frame=20971520, heartbeat_ms=60000)])
        elif code == ADMIN:
            router.send_multipart([sender, control(REPLY, serial=fields["serial"], status=0, text="", rows=b"")])
        elif code == HEARTBEAT:
            router.send_multipart([sender, control(ERROR, status=NO_SESSION)])
    router.close()
    return process.returncode, process.stdout.read().decode(), process.stderr.read().decode(), seen


def test_question_lost_with_its_connection_is_asked_again():
    code, output, errors, seen = ask_a_relay_that_loses([HELLO, ADMIN], "stat", "--json")
    assert code == 0 and rows(output) == [], (code, output, errors)
    assert seen.count(ADMIN) > 1, seen


def test_command_lost_with_its_connection_is_not_given_again():
    """The relay may have done it, and its answer be lost."""
    code, _, errors, seen = ask_a_relay_that_loses([ADMIN], "purge", "q", "--yes")
    assert code == UNAVAILABLE and "did not say whether it did" in errors, (code, errors)
    assert seen.count(ADMIN) == 1, seen


def test_garbage_from_the_other_side_is_an_error():
    for reply in (b"", b"HTTP/1.1 200 OK\r\n", os.urandom(100)):
        refused("yam", "stat", "-e", answer(reply), code=DATAERR, says="protocol")


def test_other_protocol_version_is_an_error():
    welcome = b"YAML" + bytes([99, 2, 0, 0]) + bytes(4) + (1).to_bytes(4, "little") + b"\x80"
    refused("yam", "stat", "-e", answer(welcome), code=DATAERR, says="version")


def test_port_of_another_service_is_no_relay():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        refused("yam", "stat", "-e", f"tcp://127.0.0.1:{other.getsockname()[1]}?connect-timeout=300ms",
                code=UNAVAILABLE, says="no relay answers")


main(globals())
