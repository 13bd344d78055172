#!/usr/bin/env python3
"""F15: stores of each format that a release wrote: read back by content, or refused in plain words and left as they are.

stores/generate makes the folder of the format of this build.
"""

import glob
import json
import os
import re
import shutil

from yamd_support import DATAERR, OK, TIMEOUT, Relay, folder, main, refused, rows, yam

STORES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "stores")


def version_of(path):
    with open(path, "rb") as file:
        return int.from_bytes(file.read(6)[4:], "little")


def written_here():
    """The version that this build writes."""
    relay = Relay("--reserve", "0", "--segment-size", "64k", store="new")
    relay.yam("push", "q", stdin="x\n")
    assert relay.stop() == OK
    return version_of(glob.glob(folder("new/[0-9a-f]*.seg"))[0])


def copy_of(path, name="copy"):
    """A store may be changed by whoever opens it: only a copy is."""
    if path.endswith(".tar.gz"):
        shutil.unpack_archive(path, folder(name))
        return folder(name)
    return shutil.copytree(path, folder(name))


def pull(relay, count, command, channel, *options):
    """So many messages, and there are no others."""
    output, _ = relay.yam(command, channel, *options, "--json", "-n", str(count), "-w", f"{TIMEOUT}s")
    assert rows(relay.yam("stat", channel, "--json")[0])[0]["messages"] == 0
    return [json.loads(line) for line in output.splitlines()]


def check(path, has_marker):
    """The store that `generate` has made, by content."""
    assert os.path.exists(path), f"{path} is missing: run tests/system/stores/generate with this build"
    name = os.path.basename(copy_of(path))
    yam("verify", folder(name))
    assert os.path.exists(folder(f"{name}/store")) == has_marker
    relay = Relay("--reserve", "0", "--segment-size", "64k", "--topic-age", "0", store=name)
    assert os.path.exists(folder(f"{name}/store"))
    dead = rows(relay.yam("dead", "orders", "--json")[0])
    assert len(dead) == 1 and "unwanted" in str(dead), dead
    orders = pull(relay, 3, "pull", "orders")
    assert sorted((order["body"], order["failures"]) for order in orders) in (
        [("order 3", 1), ("order 5", 0), ("order 6", 0)], [("order 4", 0), ("order 5", 0), ("order 6", 0)]), orders
    assert all(order["key"] == "customer 7" for order in orders), orders
    news = pull(relay, 2, "sub", "news", "-g", "readers")
    assert [item["body"] for item in news] == ["news 1", "news 2"] and news[0]["subject"] == "eu.de", news
    assert [invoice["body"] for invoice in pull(relay, 1, "pull", "invoices")] == ["invoice 4"]  # overdue by now
    delayed = rows(relay.yam("peek", "invoices.delayed", "--json")[0])
    assert [invoice["body"] for invoice in delayed] == ["invoice 1", "invoice 3"], delayed
    assert [invoice["due-time"] for invoice in delayed] == [4102444800000, 4102358400000], delayed
    assert rows(relay.yam("cancel", "invoices", "id 3", "--json")[0]) == [{"messages": 1}]
    assert rows(relay.yam("cancel", "invoices", "id 2", "--json")[0]) == [{"messages": 0}]
    assert relay.stop() == OK


def test_store_of_this_format_is_read_back_by_content():
    check(os.path.join(STORES, f"format-{written_here()}"), has_marker=False)  # of a version without


def test_store_with_each_file_of_this_build_is_read_back_by_content():
    check(os.path.join(STORES, f"format-{written_here()}.tar.gz"), has_marker=True)


def test_stores_of_other_formats_are_read_or_refused_in_plain_words():
    current = written_here()
    for path in glob.glob(os.path.join(STORES, "format-*")):
        version = int(re.search(r"format-(\d+)", path).group(1))
        original = copy_of(path, os.path.basename(path))
        segments = glob.glob(original + "/[0-9a-f]*.seg")
        assert segments and all(version_of(segment) == version for segment in segments), path
        if version != current:
            copy = copy_of(path, os.path.basename(path) + "-copy")
            refused("yamd", "--store", copy, "--listen", "tcp://127.0.0.1:*", code=DATAERR, says=["version", str(version)])
            for segment in segments:
                with open(segment, "rb") as old, open(os.path.join(copy, os.path.basename(segment)), "rb") as new:
                    assert old.read() == new.read(), "it is changed"


main(globals())
