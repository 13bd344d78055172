#!/usr/bin/python3
"""Somebody on the way who has recorded a client of a relay with CURVE, and says it all again: to new connections, and
within one that lives. Nobody is let in for it, and nothing is stored twice.
"""

import time

import yamd_support as support
from replay_support import Plain, Scene

GREETING = 10  # seconds; patterns/relay/SPEC.md, section 12
COPIES = 20
PATIENT = GREETING + support.TIMEOUT / 3  # seconds until those who greet in vain have been ended, on a busy machine
HEARTBEAT = ("--heartbeat", "200ms")  # so is the client's: who was cut off within a session notices it by that


def read_until(peer, text, timeout=support.TIMEOUT):
    """What the relay says until it says that, or ends the connection; whether it does one of them in time."""
    heard, deadline = b"", time.monotonic() + timeout
    try:
        while text not in heard:
            peer.settimeout(max(0.001, deadline - time.monotonic()))
            more = peer.recv(65536)
            if not more:
                break
            heard += more
    except ConnectionError:
        pass
    except TimeoutError:
        return heard, False
    return heard, True


def replay(scene, patience):
    """Says all of it again; what is wrong, as a list of sentences."""
    greeting, frames = scene.record()
    before = scene.look()
    peers, wrong = [], []
    for copy in range(COPIES):  # at once: all of it, or as far as each of its frames
        peers.append(scene.connect(greeting + b"".join(frames[:copy % len(frames) + 1])))
    for _ in range(COPIES):  # step by step, as if it had the keys
        peers.append(scene.connect(greeting + frames[0]))
        read_until(peers[-1], b"\x07WELCOME" if scene.keys else b"READY")
        peers[-1].sendall(b"".join(frames[1:]))
    deadline = time.monotonic() + patience
    for peer in peers:
        heard, is_ended = read_until(peer, b"READY", deadline - time.monotonic())
        wrong += [] if is_ended else ["it was not ended in time"]
        wrong += ["it was let in"] if b"READY" in heard else []
    for peer in peers:
        peer.close()
    row = scene.look()
    failed = row["handshakes-failed"] - before["handshakes-failed"]
    wrong += [] if failed == 2 * COPIES else [f"{failed} are counted"]
    wrong += [f"{name} is {row[name]}, was {before[name]}" for name in ("sessions", "peers", "errors", "messages-in")
              if row[name] > before[name]]
    scene.serve()
    return wrong


def test_recorded_handshakes_let_nobody_in():
    wrong = replay(Scene(), PATIENT)
    assert not wrong, wrong


def test_check_sees_recordings_that_are_let_in():
    wrong = replay(Plain(), patience=1)  # without CURVE that is so, and nobody is ended
    assert "it was let in" in wrong and any("peers" in what for what in wrong), wrong


def maltreat(scene, fault, chunks):
    """Twenty thousand messages, of which a chunk comes twice or behind the next one: each is stored once, in its order."""
    lines = "".join(f"{number}\n" for number in range(1, 20001))
    for chunk in chunks:
        setattr(scene.proxy, fault, chunk)
        before = len(scene.proxy.connections)
        output, _ = support.yam("push", "q", *scene.options, stdin=lines)
        assert output == "20000 confirmed (synced)\n", output
        assert getattr(scene.proxy, fault) is None, "it was not done"
        assert len(scene.proxy.connections) >= before + 2, "it was taken"
        assert support.yam("pull", "q", *scene.options, "-n", "20000")[0] == lines
        assert scene.look("q")["messages"] == 0
    assert scene.look()["messages-in"] == len(chunks) * 20000, scene.look()
    scene.serve()


def test_frames_of_curve_that_come_twice_end_their_connection_and_store_nothing_twice():
    maltreat(Scene(*HEARTBEAT), "repeat", range(8))  # of the greeting, of the handshake, of messages


def test_frames_of_curve_that_come_in_another_order_end_their_connection_and_lose_nothing():
    maltreat(Scene(*HEARTBEAT), "swap", range(4, 8))  # of messages: before them there is no next one until the relay answers


if __name__ == "__main__":
    support.main(globals())
