"""vectors.py - the golden bytes of tests/vectors are what sections 3 to 5 of patterns/relay/SPEC.md say, and what
examples/orders.py writes and reads. Knows nothing of the library. Prints what differs; exit code 1 if anything does."""

import os
import re
import struct
import sys

import msgpack

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")
sys.path.insert(0, os.path.join(ROOT, "examples"))
sys.dont_write_bytecode = True
import orders  # noqa: E402

PRODUCER = bytes(range(0x10, 0x20))
MIDNIGHT, DAY = 1767225600000, 86400000
#   NAME: type, handle and fields, in the order of the file's pairs.
FRAMES = {
    "hello": (1, 0, {"session": 0x0102030405060708, "name": "billing", "max-frame": 20971520, "heartbeat-ms": 1000}),
    "welcome": (2, 0, {"session": 0x0102030405060708, "name": "relay-1", "max-frame": 20971520, "heartbeat-ms": 1000,
                       "level": 3}),
    "attach-producer": (3, 1, {"role": 1, "kind": 1, "channel": "orders", "producer": PRODUCER, "epoch": 0,
                               "first": 1}),
    "attach-consumer": (3, 2, {"role": 2, "kind": 2, "channel": "prices", "group": "archive", "durable": True,
                               "start": 2, "sequence": 1000, "filter": "eu.*.spot.>", "lease-ms": 30000}),
    "attached": (4, 1, {"level": 3, "epoch": 3, "sequence": 0, "messages": 65536, "bytes": 8388608}),
    "detach": (5, 2, {}),
    "detached": (6, 2, {"status": 5, "text": "orders is a queue"}),
    "confirm": (7, 1, {"level": 3, "epoch": 3, "sequence": 3}),
    "refuse": (8, 1, {"epoch": 3, "first": 6, "last": 9, "status": 1, "text": "orders holds 1000000 messages"}),
    "credit": (9, 2, {"messages": 1000, "bytes": 1048576}),
    "deliver": (10, 2, {"first": 1, "last": 3, "token": 70000, "base": 1, "deliveries": 1, "failures": 0,
                       "time": MIDNIGHT}),
    "ack": (11, 2, {"serial": 1, "ranges": [70000, 1, 3, 70001, 300, 300]}),
    "nack": (12, 2, {"text": "database is away", "serial": 2, "ranges": [70000, 1, 3], "delay-ms": 5000}),
    "extend": (13, 2, {"serial": 3, "ranges": [70000, 1, 3]}),
    "reject": (14, 2, {"text": "no such customer", "serial": 4, "ranges": [70000, 1, 3]}),
    "release": (15, 2, {"serial": 5, "ranges": [70000, 1, 3]}),
    "acked": (16, 2, {"serial": 5}),
    "heartbeat": (17, 0, {}),
    "admin": (18, 0, {"channel": "orders.dead", "start": 1, "serial": 1, "command": "redrive", "target": "orders"}),
    "cancel": (18, 0, {"channel": "orders", "serial": 2, "command": "cancel", "id": "invoice-7"}),
    "reply": (19, 0, {"status": 0, "text": "17 messages would move", "serial": 1,
                      "rows": msgpack.packb([{"channel": "orders.dead", "messages": 17}])}),
    "error": (20, 0, {"status": 13, "text": "say HELLO first"}),
    "goodbye": (21, 0, {}),
}


def record(body, properties=None, priority=4, due=None, expiry=None):
    """Section 3.2."""
    packed = msgpack.packb(properties) if properties else b""
    key = (properties or {}).get("key")
    key_hash = 0 if key is None else orders.crc32c(key.encode()) or 1
    flags = (due is not None) | (expiry is not None) << 1
    times = b"".join(struct.pack("<q", time) for time in (due, expiry) if time is not None)
    return struct.pack("<IHBBI", len(body), len(packed), flags, priority, key_hash) + times + packed + body


def batch(first, records):
    """Section 3.1, with the payload's checksum."""
    payload = b"".join(records)
    header = struct.pack("<IBBHIIII16sQI", 0x424D4159, 1, 0, 0, len(payload), len(records), 1, 3, PRODUCER, first,
                         orders.crc32c(payload))
    return header + struct.pack("<I", orders.crc32c(header)) + payload


#   NAME: frame and its bodies.
BATCHES = {
    "batch-plain": (
        batch(1, [record(b"first"), record(b"second, urgent", priority=9), record(b"")]),
        [b"first", b"second, urgent", b""]),
    "batch-properties": (
        batch(4, [record(b'{"order": 1}', {"key": "customer-7", "tag": "new", "attempt": -1, "paid": True})]),
        [b'{"order": 1}']),
    "batch-due-expiry": (
        batch(5, [record(b"later", due=MIDNIGHT, expiry=MIDNIGHT + DAY), record(b"tomorrow", due=MIDNIGHT),
                  record(b"soon", priority=0, expiry=MIDNIGHT + DAY)]),
        [b"later", b"tomorrow", b"soon"]),
    "batch-no-crc": (orders.batch(1, PRODUCER, 3, 8, [b"hello"]), [b"hello"]),
}


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        return file.read()


def vector(name):
    return bytes.fromhex(re.sub(r"#.*", "", read(f"tests/vectors/{name}.hex")))


def frame_types():
    """Section 5.2 as {type: (required, optional)}, each a set of fields."""
    fields = lambda cell: set(re.findall(r"`([a-z-]+)`", cell))
    row = re.compile(r"^\| (\d+) \| [A-Z]+ \|[^|]*\|[^|]*\|([^|]*)\|([^|]*)\|$", re.MULTILINE)
    rows = row.findall(read("patterns/relay/SPEC.md"))
    return {int(number): (fields(required), fields(optional)) for number, required, optional in rows}


def findings():
    if orders.crc32c(b"123456789") != 0xE3069283:
        yield "CRC32C of 123456789"
    types = frame_types()
    if sorted(types) != list(range(1, 22)):
        yield f"section 5.2 has the types {sorted(types)}"
    for name, (number, handle, fields) in FRAMES.items():
        if orders.control(number, handle, **fields) != vector(name):
            yield f"{name}: {orders.control(number, handle, **fields).hex(' ')}"
        required, optional = types[number]
        if not required <= set(fields) <= required | optional:
            yield f"{name}: fields {sorted(fields)}, required {sorted(required)}, optional {sorted(optional)}"
    for name, (frame, bodies) in BATCHES.items():
        if frame != vector(name):
            yield f"{name}: {frame.hex(' ')}"
        if list(orders.bodies(vector(name))) != bodies:
            yield f"{name}: bodies {list(orders.bodies(vector(name)))}"
    files = {file[:-4] for file in os.listdir(os.path.join(ROOT, "tests/vectors")) if file.endswith(".hex")}
    if files != FRAMES.keys() | BATCHES.keys():
        yield f"not compared, or not there: {sorted(files ^ (FRAMES.keys() | BATCHES.keys()))}"


found = list(findings())
print("\n".join(found))
sys.exit(1 if found else 0)
