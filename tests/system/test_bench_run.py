#!/usr/bin/python3
"""What `make bench` gives its programs and says of their results: programs that only write down what they got."""

import json
import os
import subprocess

from yamd_support import IS_SANITIZED, folder, leave, main

RUN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "bench", "run")


def program(name, *results):
    """One that notes the sizes it was given, and prints these results."""
    path = folder(os.path.join("bench", name))
    os.makedirs(os.path.dirname(path), exist_ok=True)
    lines = "".join(json.dumps(result) + "\n" for result in results)
    with open(path, "w", encoding="utf-8") as file:
        file.write(f"#!/bin/sh\necho \"$SIZES\" >> {path}.sizes\ncat <<'END'\n{lines}END\n")
    os.chmod(path, 0o755)


def bench(workload, sizes=""):
    """What it said."""
    environment = dict(os.environ, YAM_BUILD=folder("."), WORKLOAD=workload, SIZES=sizes, QUICK="1")
    done = subprocess.run([RUN], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stderr


def sizes_of(name):
    with open(folder(os.path.join("bench", name + ".sizes")), encoding="utf-8") as file:
        return file.read().splitlines()


def rate(system, phase, per_second):
    return {"size": 128, "phase": phase, "system": system, "msgs_per_s": per_second, "mb_per_s": 1, "p50_us": 1,
            "p99_us": 1, "syncs": 0, "cpu_us_per_msg": 1, "rss_mb": 1}


def test_sizes_of_bodies_are_no_groups_of_the_store():
    for name in ("store", "fast", "durable_1x1", "ceiling"):
        program(name)
    bench("store,fast,durable-1x1", "128,256")
    assert sizes_of("store") == [""], sizes_of("store")
    assert sizes_of("fast") == ["128,256"], sizes_of("fast")
    assert sizes_of("durable_1x1") == ["128", "256"], sizes_of("durable_1x1")


def test_topics_and_curve_are_compared_without_a_target():
    program("fast", *(rate(system, phase, per_second)
                      for phase in ("push-tcp-rate", "pub-tcp-rate", "push-tcp-curve-rate")
                      for system, per_second in (("libzmq", 10), ("yam", 38), ("czmq-zframe", 5))))
    said = bench("fast")
    assert "128 bytes, push-tcp-rate, times libzmq: 3.80 (3.80 - 3.80), target >= 4.00 missed" in said, said
    assert "128 bytes, pub-tcp-rate, times libzmq: 3.80 (3.80 - 3.80)\n" in said, said
    assert "128 bytes, push-tcp-curve-rate, times czmq-zframe: 7.60 (7.60 - 7.60)\n" in said, said


if IS_SANITIZED:
    leave("not here: the plain build does it, and once is enough")
main(globals())
