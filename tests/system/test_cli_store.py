#!/usr/bin/python3
"""yam verify, dump and keygen; CURVE from end to end."""

import glob
import json
import os
import shutil
import stat
import subprocess

from fault_support import strace
from yamd_support import (BIN, CANTCREAT, DATAERR, NOINPUT, OK, TEMPFAIL, TIMEOUT, UNAVAILABLE, Relay, folder, main,
                          needs, refused, rows, spawn, until, write, yam)


def filled_store():
    relay = Relay()
    relay.yam("push", "orders", stdin="".join(f"order {number}\n" for number in range(100)))
    relay.yam("pull", "orders", "-n10")
    assert relay.stop() == OK


def content():
    return {path: open(path, "rb").read() for path in glob.glob(folder("store/*.seg"))}


def test_sound_store_verifies_and_is_not_changed():
    filled_store()
    before = content()
    output, _ = yam("verify", folder("store"))
    assert "0 damaged ranges" in output and "100 messages" in output, output
    found = rows(yam("verify", folder("store"), "--json")[0])
    assert found["messages"] == 100 and found["damaged-ranges"] == found["torn-bytes"] == 0, found
    assert found["damages"] == [] and found["entries"] > 0 and found["bytes"] > 0, found
    assert content() == before


def test_damage_is_reported_with_its_range():
    filled_store()
    path, data = next((path, data) for path, data in content().items() if b"order 50" in data)
    at = data.index(b"order 50")
    with open(path, "r+b") as file:
        file.seek(at)
        file.write(b"O")
    output, _ = yam("verify", folder("store"), code=DATAERR)
    assert "1 damaged ranges" in output, output
    found = rows(yam("verify", folder("store"), "--json", code=DATAERR)[0])
    damage = found["damages"]
    assert found["damaged-ranges"] == 1, found
    assert len(damage) == 1 and damage[0]["offset"] <= at < damage[0]["offset"] + damage[0]["bytes"], damage
    assert not damage[0]["torn-tail"], damage
    _, errors = yam("dump", folder("store"), code=DATAERR)
    assert "offset" in errors


def test_missing_segments_that_follow_each_other_are_one_range():
    relay = Relay("--segment-size", "1M")
    relay.yam("push", "orders", stdin="".join(f"order {number} {'x' * 20000}\n" for number in range(300)))
    assert relay.stop() == OK
    whole = [json.loads(line) for line in yam("dump", folder("store"), "--json")[0].splitlines()]
    paths = sorted(path for path in content() if "spare" not in path)
    numbers = [int(os.path.basename(path).split(".")[0], 16) for path in paths]
    for path in paths[2:4]:
        os.unlink(path)
    found = rows(yam("verify", folder("store"), "--json", code=DATAERR)[0])
    there = {entry["lsn"] for line in yam("dump", folder("store"), "--json", code=DATAERR)[0].splitlines()
             for entry in [json.loads(line)]}
    lost = [entry for entry in whole if entry["lsn"] not in there]
    messages = [entry for entry in lost if entry["last"] > 0]
    assert found["damaged-ranges"] == 1 and len(found["damages"]) == 1, found
    damage = found["damages"][0]
    assert (damage["what"], damage["segment"], damage["last-segment"]) == ("missing segments", *numbers[2:4]), damage
    assert (damage["first-lsn"], damage["last-lsn"]) == (lost[0]["lsn"], lost[-1]["lsn"]), damage
    assert (damage["first"], damage["last"]) == (messages[0]["first"], messages[-1]["last"]), damage
    assert "missing segments" in yam("verify", folder("store"), code=DATAERR)[0]


def damaged_orders(*queues):
    """A store whose queue of orders is damaged, beside settled invoices and a message of each of these queues. Returns the
    damage, as verify tells it, and the bytes there."""
    relay = Relay()
    relay.yam("push", "orders", stdin="".join(f"order {number}\n" for number in range(10)))
    relay.yam("push", "invoices", stdin="invoice\n" * 5)
    relay.yam("pull", "invoices", "-n5")
    for queue in queues:
        relay.yam("push", queue, stdin="kept\n")
    assert relay.stop() == OK
    path, data = next((path, data) for path, data in content().items() if b"order 5" in data)
    write(path, data.replace(b"order 5", b"Order 5"))
    damage = rows(yam("verify", folder("store"), "--json", code=DATAERR)[0])["damages"]
    assert [(row["channel"], row["first"], row["last"]) for row in damage] == [(1, 1, 10)], damage
    return damage, content()[path][damage[0]["offset"]:][:damage[0]["bytes"]]


def test_damage_beside_a_settled_queue_is_named_the_same_after_each_start():
    damage, _ = damaged_orders("bills")  # a bill waits: the segment stays
    for _ in range(2):
        assert Relay().stop() == OK
        assert rows(yam("verify", folder("store"), "--json", code=DATAERR)[0])["damages"] == damage
    output, _ = yam("verify", folder("store"), code=DATAERR)
    assert "1 damaged ranges, torn" in output, output


def test_damaged_segment_in_which_nothing_is_left_is_given_back_and_its_bytes_stay_aside():
    _, lost = damaged_orders()
    relay = Relay()
    relay.wait_for_log("store.damaged")
    until(lambda: not os.path.exists(folder("store/0000000000000001.seg")), "it is not given back")
    assert relay.stop() == OK
    assert "0 damaged ranges" in yam("verify", folder("store"))[0]
    kept, = glob.glob(folder("store/lost-*"))
    with open(kept, "rb") as file:
        assert file.read() == lost and b"Order 5" in lost, kept


def test_dump_shows_entries_and_bodies():
    filled_store()
    entries = [json.loads(line) for line in yam("dump", folder("store"), "--json")[0].splitlines()]
    kinds = {entry["kind"] for entry in entries}
    assert {"channel", "data", "settle"} <= kinds, kinds
    data = [entry for entry in entries if entry["kind"] == "data"]
    assert data[0]["first"] == 1 and data[-1]["last"] == 100 and len(data[0]["producer"]) == 32, data
    assert [entry["lsn"] for entry in entries] == sorted(entry["lsn"] for entry in entries)
    assert any("orders" in entry.get("meta", "") for entry in entries if entry["kind"] == "channel")
    bodies = [json.loads(line) for line in yam("dump", folder("store"), "--bodies", "--json")[0].splitlines()]
    assert [row["body"] for row in bodies] == [f"order {number}" for number in range(100)]
    assert "data" in yam("dump", folder("store"))[0]


def traced(*arguments, injections=()):
    """A command of yam with signals at its calls of pread64; returns its exit code, what it said, and how many there were."""
    process = spawn(*strace(folder("strace.log"), ["pread64"], *injections), os.path.join(BIN, "yam"), *arguments,
                    environment={"ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0"},
                    stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    output, errors = process.communicate(timeout=TIMEOUT)
    with open(folder("strace.log"), encoding="ascii", errors="replace") as log:
        return process.returncode, output.decode(), errors.decode(), sum("pread64(" in line for line in log)


def test_interrupted_look_at_a_store_says_so_with_the_damage_found_so_far():
    needs(os.access("/usr/bin/strace", os.X_OK), "strace")
    relay = Relay("--segment-size", "64k")
    for body in ("first", "second", "third", "fourth"):
        relay.yam("push", "q", stdin=f"{body}\n" + "x" * 80000)  # each in a segment of its own
    assert relay.stop() == OK
    for is_damaged in (False, True):
        if is_damaged:
            path, data = next((path, data) for path, data in content().items() if b"second" in data)
            with open(path, "r+b") as file:
                file.seek(data.index(b"second"))
                file.write(b"S")
        code, *_, calls = traced("verify", folder("store"))
        assert code == (DATAERR if is_damaged else OK), code
        for command in ("verify", "dump"):
            for number in ("SIGINT", "SIGTERM"):  # in the last segment
                code, output, errors, _ = traced(command, folder("store"),
                                                 injections=[f"pread64:signal={number}:when={calls - 1}"])
                assert code == (DATAERR if is_damaged else TEMPFAIL), (code, output, errors)
                assert f"yam {command}: interrupted" in errors and output, (output, errors)
                if command == "verify":
                    assert f", {int(is_damaged)} damaged ranges" in output, output
                elif is_damaged:
                    assert "segment 000000000000000" in errors, errors


def test_store_whose_only_segment_is_lost_is_refused_and_not_started_empty():
    for loss in (lambda path: os.truncate(path, 0), os.remove, lambda path: os.truncate(path, 100),
                 lambda path: write(path, bytes(os.path.getsize(path)))):
        shutil.rmtree(folder("store"), ignore_errors=True)
        relay = Relay()
        relay.yam("push", "orders", stdin="".join(f"order {number}\n" for number in range(10)))
        relay.kill()
        loss(folder("store/0000000000000001.seg"))
        for _ in range(2):
            refused("yam", "verify", folder("store"), code=DATAERR, says="segment files can be read")
            refused("yamd", "--store", folder("store"), "--listen", "tcp://127.0.0.1:*", code=DATAERR,
                    says="segment files can be read")


def test_what_is_no_store_is_refused():
    refused("yam", "verify", folder("none"), code=NOINPUT, says="none")
    with open(folder("file"), "w", encoding="ascii"):
        pass
    refused("yam", "dump", folder("file"), code=NOINPUT, says="not a directory")
    assert not os.path.exists(folder("none"))
    for command in ("verify", "dump"):
        refused("yam", command, "/etc", code=NOINPUT, says="no store there")
        os.mkdir(folder(command))
        refused("yam", command, folder(command), code=NOINPUT, says="no store there")
        assert os.listdir(folder(command)) == []


def test_keygen_writes_a_private_secret_once():
    key = yam("keygen", folder("key"))[0].strip()
    assert len(key) == 40
    assert stat.S_IMODE(os.stat(folder("key_secret")).st_mode) == 0o600
    refused("yam", "keygen", folder("key"), code=CANTCREAT, says="exists")
    assert yam("keygen", folder("key"), "--force")[0].strip() != key
    refused("yam", "keygen", folder("none/key"), code=CANTCREAT, says="none/key")


def test_curve_from_end_to_end():
    server_key = yam("keygen", folder("relay"))[0].strip()
    yam("keygen", folder("friend"))
    yam("keygen", folder("stranger"))
    os.mkdir(folder("clients"))
    os.rename(folder("friend"), folder("clients/friend"))
    os.rename(folder("friend_secret"), folder("friend"))  # a file with both keys
    relay = Relay("--certificate", folder("relay"), "--clients", folder("clients"), listen="tcp://*:*")
    port = relay.endpoint.rsplit(":", 1)[1]
    endpoint = f"tcp://127.0.0.1:{port}?grade=sure&connect-timeout=5s&server-key={server_key}"
    friend = ("-e", endpoint, "--certificate", folder("friend"))
    assert yam("push", "q", *friend, stdin="secret\n")[0] == "1 confirmed (synced)\n"
    assert yam("pull", "q", *friend, "-n1")[0] == "secret\n"
    assert rows(yam("stat", *friend, "--json")[0])[0]["channel"] == "q"
    short = endpoint.replace("5s", "500ms")
    refused("yam", "stat", "-e", short, "--certificate", folder("stranger"), code=UNAVAILABLE, says="no relay answers")
    refused("yam", "stat", "-e", f"tcp://127.0.0.1:{port}?connect-timeout=500ms", code=UNAVAILABLE,
            says="no relay answers")


main(globals())
