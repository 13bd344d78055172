#!/usr/bin/python3
"""orders.py ENDPOINT publish|consume QUEUE COUNT: publishes COUNT orders to a Yam relay until all are confirmed, or
prints and acknowledges as many. Written from patterns/relay/SPEC.md alone; the numbers below are its sections."""
import os, random, struct, sys, time
import msgpack, zmq

(HELLO, WELCOME, ATTACH, ATTACHED, DETACH, DETACHED, CONFIRM, REFUSE, CREDIT, DELIVER, ACK, NACK, EXTEND, REJECT,
 RELEASE, ACKED, HEARTBEAT, ADMIN, REPLY, ERROR, GOODBYE) = range(1, 22)  # 5.2
LATER, STORAGE_FAILED, GAP = (1, 3, 6, 14), 7, 8  # 11.1

TABLE = list(range(256))
for _ in range(8):
    TABLE = [entry >> 1 ^ (0x82F63B78 if entry & 1 else 0) for entry in TABLE]
def crc32c(data, crc=0xFFFFFFFF):  # 1.4
    for byte in data:
        crc = crc >> 8 ^ TABLE[crc & 0xFF ^ byte]
    return crc ^ 0xFFFFFFFF

def control(code, handle=1, **fields):  # 5
    body = msgpack.packb({key.replace("_", "-"): value for key, value in fields.items()})
    return struct.pack("<IBBHII", 0x4C4D4159, 1, code, 0, handle, len(body)) + body
def batch(handle, producer, epoch, first, orders):  # 3; flag bit 0: no checksum of the payload
    data = b"".join(struct.pack("<IHBBI", len(order), 0, 0, 4, 0) + order for order in orders)
    head = struct.pack("<IBBHIIII16sQI", 0x424D4159, 1, 1, 0, len(data), len(orders), handle, epoch, producer, first, 0)
    return head + struct.pack("<I", crc32c(head)) + data
def bodies(frame, at=56):  # 3.2
    for _ in range(struct.unpack_from("<I", frame, 12)[0]):
        size, properties_size, flags = struct.unpack_from("<IHB", frame, at)
        at += 12 + 8 * (flags & 1) + 8 * (flags >> 1 & 1) + properties_size + size
        yield frame[at - size:at]

def receive(socket, wanted=None):  # 6: the next frame, or the next of that type; heartbeats until it comes
    if not any(socket.poll(200) or socket.send(control(HEARTBEAT, 0)) for _ in range(socket.rcvtimeo // 200)):
        raise ConnectionError("silence")
    head, *rest = socket.recv_multipart()
    code, fields = head[5], msgpack.unpackb(head[16:])
    status = fields.get("status", 0)
    if code in (ERROR, GOODBYE) or status == STORAGE_FAILED or code == DETACHED and status in LATER:
        raise ConnectionError(fields)
    if code in (REFUSE, DETACHED) and status not in (0, GAP, *LATER):
        sys.exit(f"orders.py: {fields}")
    return (code, fields, b"".join(rest)) if wanted in (None, code) else receive(socket, wanted)
def attach(endpoint, queue, **fields):  # a new socket each time, so that nothing of an older session comes in
    socket, session = zmq.Context.instance().socket(zmq.DEALER), random.randrange(1, 1 << 64)
    socket.rcvtimeo = 3000
    socket.connect(endpoint)
    socket.send(control(HELLO, 0, session=session, name="orders.py", max_frame=20971520, heartbeat_ms=1000))
    socket.rcvtimeo = 3 * receive(socket, WELCOME)[1]["heartbeat-ms"]
    socket.send(control(ATTACH, kind=1, channel=queue, **fields))
    return socket, receive(socket, ATTACHED)[1]

def publish(endpoint, queue, count, mine={"producer": os.urandom(16), "epoch": 0, "first": 1}):  # 7; mine is kept
    socket, credit = attach(endpoint, queue, role=1, **mine)
    mine.update(epoch=credit["epoch"], first=max(mine["first"], credit["sequence"] + 1))
    at, messages, size, pause, resume = mine["first"], 0, 0, 0.05, 0
    while mine["first"] <= count:
        n = min(100, count + 1 - at, credit["messages"] - messages, (credit["bytes"] - size) // 100)
        if n > 0 and time.monotonic() > resume:
            orders = [b'{"order":%d}' % number for number in range(at, at + n)]
            frame = batch(1, mine["producer"], mine["epoch"], at, orders)
            socket.send(frame)
            at, messages, size = at + n, messages + n, size + len(frame)
        code, fields, _ = receive(socket)
        credit = fields if code == CREDIT else credit
        if code == CONFIRM:
            mine["first"], pause = fields["sequence"] + 1, 0.05
        elif code == REFUSE or code == HEARTBEAT and at > mine["first"]:  # or no answer comes: again
            at, resume, pause = mine["first"], time.monotonic() + pause, min(2 * pause, 4)
    return socket

def consume(endpoint, queue, count, seen=set()):  # 8; seen is kept: after a lost session messages may come again
    (socket, _), taken, size, serial, acked = attach(endpoint, queue, role=2), 0, 0, 0, 0
    while len(seen) < count or acked < serial:
        socket.send(control(CREDIT, messages=taken + min(1000, count - len(seen)), bytes=size + (8 << 20)))
        code, fields, frame = receive(socket)
        acked = fields.get("serial", acked)
        if code == DELIVER:
            first, last, serial = fields["first"], fields["last"], serial + 1
            for sequence, body in enumerate(bodies(frame), fields["base"]):
                if first <= sequence <= last and sequence not in seen:
                    seen.add(sequence)
                    print(body.decode(), flush=True)
            socket.send(control(ACK, serial=serial, ranges=[fields["token"], first, last]))
            taken, size = taken + last - first + 1, size + len(frame)
    return socket

while __name__ == "__main__":
    try:
        socket = {"publish": publish, "consume": consume}[sys.argv[2]](sys.argv[1], sys.argv[3], int(sys.argv[4]))
        socket.send(control(DETACH))
        receive(socket, DETACHED)
        sys.exit(socket.send(control(GOODBYE, 0)))
    except ConnectionError as why:
        print(f"orders.py begins anew: {why}", file=sys.stderr)
        time.sleep(0.25)
    finally:
        zmq.Context.instance().destroy(1000)
