"""outbox_support - an application's database with an outbox in it, written as SPEC.md says, without the library."""

import select
import sqlite3
import struct
import time

from yamd_support import TIMEOUT, folder, yam


def record(body):
    """A message without properties, as section 2 of SPEC.md has it."""
    return struct.pack("<IHBBI", len(body), 0, 0, 4, 0) + body


class Database:
    """The file app.db of the running case; the outbox's tables are made by `yam outbox list`."""

    def __init__(self, name="app.db"):
        self.path = folder(name)
        self.connection = sqlite3.connect(self.path, timeout=TIMEOUT, isolation_level=None)
        self.run("PRAGMA journal_mode = WAL")
        yam("outbox", "list", "--db", self.path)

    def run(self, text, values=()):
        return self.connection.execute(text, values).fetchall()

    def number(self, text, values=()):
        return self.run(text, values)[0][0]

    def lane(self, channel):
        self.run("INSERT OR IGNORE INTO yam_outbox_lane (kind, channel, epoch, next, assigned, owner, beat) "
                 "VALUES (1, ?, 1, 1, 0, 0, 0)", (channel,))
        return self.number("SELECT lane FROM yam_outbox_lane WHERE kind = 1 AND channel = ?", (channel,))

    def put(self, channel, bodies, rolls_back=False):
        """Puts messages on a queue in one transaction."""
        self.run("BEGIN IMMEDIATE")
        lane = self.lane(channel)
        self.connection.executemany("INSERT INTO yam_outbox (lane, state, time_ms, record) VALUES (?, 0, ?, ?)",
                                    [(lane, int(time.time() * 1000), record(body)) for body in bodies])
        self.run("ROLLBACK" if rolls_back else "COMMIT")

    def producer(self):
        halves = [self.number("SELECT value FROM yam_outbox_meta WHERE name = ?", (name,))
                  for name in ("producer-1", "producer-2")]
        return struct.pack("<qq", *halves).hex()

    def wait(self, query, wanted):
        """Waits until the query gives that number."""
        deadline = time.monotonic() + TIMEOUT
        while (number := self.number(query)) != wanted:
            assert time.monotonic() < deadline, f"{query}: {number}, not {wanted}"
            select.select([], [], [], 0.005)
