"""fault_proxy - a TCP proxy that delays, stalls, swaps and repeats chunks, cuts in the middle of a frame, or resets; each at the test's word.

What it does to one connection is a matter of that connection: who connects anew begins with a sound one.
"""

import random
import select
import socket
import struct
import threading
import time

CHUNK = 65536
SWAP_WAIT = 0.3  # seconds; who says nothing more for so long waits for an answer to this chunk
NO_LINGER = struct.pack("ii", 1, 0)  # closing then sends RST
UP, DOWN = "up", "down"  # to the relay, from it


class _Connection:
    """A pair of sockets, and a thread for each direction."""

    def __init__(self, proxy, client, relay):
        self.proxy, self.sockets = proxy, {UP: (client, relay), DOWN: (relay, client)}
        self.flows = {UP: threading.Event(), DOWN: threading.Event()}
        self.held = {UP: 0, DOWN: 0}  # bytes taken and not yet forwarded
        self.budget = proxy.next_budget()
        self.chunks = 0  # from the client, so far
        self.said = bytearray()  # by the client, if the proxy records
        for direction, flows in self.flows.items():
            flows.set()
            threading.Thread(target=self._pump, args=(direction,), daemon=True).start()

    def _pump(self, direction):
        source, target = self.sockets[direction]
        try:
            while True:
                data = source.recv(CHUNK)
                if direction == UP:
                    data = self._maltreat(source, data)
                time.sleep(self.proxy.delay)  # this is the fault, not a wait
                self.held[direction] = len(data)
                self.flows[direction].wait()
                self.held[direction] = 0
                if self.budget is not None and len(data) >= self.budget:
                    target.sendall(data[:self.budget])
                    self.proxy.cuts += 1
                    break
                self.budget = None if self.budget is None else self.budget - len(data)
                target.sendall(data)
                if not data:
                    break
        except OSError:
            pass  # the other direction has ended it
        self.reset()

    def _maltreat(self, source, data):
        """What goes on to the relay of a chunk: it, twice it, or behind the next one."""
        self.said += data if self.proxy.records else b""
        number, self.chunks = self.chunks, self.chunks + 1
        if number == self.proxy.repeat:
            self.proxy.repeat = None
            return data + data
        swap = self.proxy.swap
        if swap is not None and number >= swap and select.select([source], [], [], SWAP_WAIT)[0]:
            self.proxy.swap = None
            return source.recv(CHUNK) + data
        return data

    def reset(self):
        for one in self.sockets[UP]:
            try:
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER)
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            one.close()
        for flows in self.flows.values():
            flows.set()


class FaultProxy:
    """Listens at .endpoint for a relay at tcp://host:port."""

    def __init__(self, endpoint):
        host, port = endpoint[len("tcp://"):].split(":")
        self.target = host, int(port)
        self.delay = 0  # seconds, of each chunk
        self.cuts = 0  # so far
        self.records = False  # what clients say is kept
        self.repeat = None  # once: the chunk, counted from 0, of what one of them says that comes twice
        self.swap = None  # once: that one, or the first after it that has a next one, comes behind the next one
        self.limits = None  # bytes after which connections are cut, until so many were: (least, most, how many)
        self.random = random.Random(1)
        self.connections = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = "tcp://127.0.0.1:%d" % self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            client, _ = self.listener.accept()
            try:
                self.connections.append(_Connection(self, client, socket.create_connection(self.target)))
            except OSError:
                client.close()  # the relay is not there

    def next_budget(self):
        if self.limits is None or self.cuts >= self.limits[2]:
            return None
        least, most, _ = self.limits
        return self.random.randint(least, most)

    def reset(self):
        """RST to both ends of all connections."""
        for connection in list(self.connections):
            connection.reset()

    def stall(self, *directions):
        """What is connected now forwards no more in these directions, and stays open."""
        for connection in list(self.connections):
            for direction in directions:
                connection.flows[direction].clear()

    def holds(self, direction):
        """Whether something has come that a stalled connection keeps."""
        return any(connection.held[direction] and not connection.flows[direction].is_set()
                   for connection in list(self.connections))
