#!/usr/bin/python3
"""What `make demo` ends with is found wrong when it is: journals of three orders, each broken in one way."""

import os
import struct

from yamd_support import folder, main, need_example, run, write

CHECK = os.path.join(os.path.abspath(os.environ.get("YAM_BUILD") or "build"), "examples", "demo", "check")
HASHES = (71, 72, 73)
ONCE = tuple((hash_of_body, 1, 0) for hash_of_body in HASHES)


def journal(name, orders, strays=0):
    """As examples/demo/journal.h: how many are distinct; then for each number from 0 hash, count, wrong."""
    write(name, struct.pack("=Q", 0) + b"".join(struct.pack("=QII", *order) for order in ((0, strays, 0), *orders)))


def check(code, sent=ONCE, received=ONCE, dead=0, strays=0, says=""):
    journal("sent", sent)
    journal("received", received, strays)
    said, _ = run(CHECK, "sent", "received", "3", "2", str(dead), "1", code=code)
    last = said.splitlines()[-1]
    assert last.startswith("demo: 3 sent, ") and "relay killed 2 times" in last, said
    assert says in said, said
    assert os.path.getsize(folder("sent")) == 8 + 4 * 16, "the journal's layout is another"


def test_orders_that_all_came_once_or_again_are_right():
    check(0, says="3 confirmed, relay killed 2 times, 3 received, 0 lost, 0 duplicates, 0 dead letters")
    check(0, received=(ONCE[0], (72, 4, 0), ONCE[2]), says="3 duplicates")


def test_confirmed_order_that_did_not_come_is_lost():
    check(1, received=(ONCE[0], (0, 0, 0), ONCE[2]), says="2 received, 1 lost")


def test_order_that_was_not_confirmed_is_told():
    check(1, sent=(*ONCE[:2], (73, 0, 0)), says="2 confirmed")


def test_order_with_another_body_is_found():
    check(1, received=(ONCE[0], (99, 1, 0), ONCE[2]), says="1 orders came with another body")
    check(1, received=(ONCE[0], (72, 2, 1), ONCE[2]), says="1 orders came with another body")


def test_body_without_a_number_is_found():
    check(1, strays=1, says="1 orders came with another body")


def test_dead_letters_that_are_not_the_rejected_ones_are_told():
    check(1, dead=1, says="0 dead letters would be right")


need_example(CHECK)
main(globals())
