#!/usr/bin/env python3
"""yamd starting: what it says when it is ready, and why it is not; F14: another has its directory."""

import glob
import os
import re
import shutil
import socket
import struct
import subprocess
import tempfile

from yamd_support import (BIN, CANTCREAT, CONFIG, DATAERR, NOPERM, OK, TIMEOUT, UNAVAILABLE, Relay, folder,
                          main, read_line, refused, run, spawn, yam)


def test_ready_line_has_the_real_port():
    relay = Relay(store=None)
    assert re.fullmatch(r"tcp://127\.0\.0\.1:[1-9]\d*", relay.endpoint), relay.endpoint
    relay.yam("stat")


def test_all_addresses_are_told():
    process = spawn("yamd", "--memory", "--listen", f"tcp://127.0.0.1:*,ipc://{folder('s')}",
                    stdout=subprocess.PIPE, bufsize=0)
    _, endpoints = read_line(process.stdout).decode().split()
    first, second = endpoints.split(",")
    assert second == f"ipc://{folder('s')}"
    yam("push", "q", "-e", first, stdin="x\n")
    assert yam("pull", "q", "-e", second, "-n1")[0] == "x\n"


def test_store_is_made_and_kept():
    relay = Relay()
    relay.yam("push", "q", stdin="kept\n")
    assert relay.stop() == OK
    relay = Relay()
    assert relay.yam("pull", "q", "-n1")[0] == "kept\n"


def test_directory_in_use_names_the_holder():
    relay = Relay()
    refused("yamd", "--store", folder("store"), "--listen", "tcp://127.0.0.1:*", code=UNAVAILABLE,
            says=["store", str(relay.process.pid)])
    relay.yam("stat")


def test_port_in_use_is_named():
    relay = Relay(store=None)
    refused("yamd", "--memory", "--listen", relay.endpoint, code=UNAVAILABLE,
            says=relay.endpoint.split("//")[1])


def test_address_of_another_host_is_refused():
    refused("yamd", "--memory", "--insecure", "--listen", "tcp://192.0.2.1:9260", code=UNAVAILABLE,
            says="192.0.2.1")


def test_beyond_loopback_needs_curve():
    refused("yamd", "--memory", "--listen", "tcp://*:9260", code=NOPERM, says=["CURVE", "insecure"])
    Relay("--insecure", store=None, listen="tcp://*:*")


def test_certificate_that_is_not_there_is_named():
    refused("yamd", "--memory", "--listen", "tcp://127.0.0.1:*", "--certificate", folder("none"),
            code=CONFIG, says="none")


def as_nobody(*arguments):
    """Runs yamd without the rights of root: a copy, since the build tree may be closed to others."""
    if os.getuid() != 0:
        return run("yamd", *arguments, code=NOPERM)[1]
    with tempfile.TemporaryDirectory(dir="/tmp") as public:
        os.chmod(public, 0o755)
        program = shutil.copy(os.path.join(BIN, "yamd"), public)
        os.chmod(program, 0o755)
        process = spawn(program, *arguments, stderr=subprocess.PIPE, user=65534, group=65534, extra_groups=[])
        _, errors = process.communicate(timeout=TIMEOUT)
    assert process.returncode == NOPERM, (process.returncode, errors)
    return errors.decode()


def test_directory_without_permission_is_named():
    os.mkdir(folder("store"), 0o555)
    errors = as_nobody("--store", folder("store"), "--listen", "tcp://127.0.0.1:*")
    assert "store" in errors and "ermission" in errors, errors


def test_directory_that_is_a_file_is_refused():
    with open(folder("store"), "w", encoding="ascii"):
        pass
    refused("yamd", "--store", folder("store"), "--listen", "tcp://127.0.0.1:*", code=CANTCREAT, says="store")


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def test_store_of_another_version_is_refused_and_untouched():
    relay = Relay()
    relay.yam("push", "q", stdin="x\n")
    assert relay.stop() == OK
    segments = sorted(glob.glob(folder("store/[0-9a-f]*.seg")))
    before = []
    for path in segments:
        with open(path, "r+b") as file:
            header = bytearray(file.read(64))
            assert header[:4] == b"YAMS"
            header[4:6] = struct.pack("<H", 99)
            header[60:64] = struct.pack("<I", crc32c(header[:60]))
            file.seek(0)
            file.write(header)
            file.seek(0)
            before.append(file.read())
    refused("yamd", "--store", folder("store"), "--listen", "tcp://127.0.0.1:*", code=DATAERR, says="version")
    for path, content in zip(segments, before):
        with open(path, "rb") as file:
            assert file.read() == content
    refused("yam", "verify", folder("store"), code=DATAERR, says="version")


def test_check_config_binds_and_opens_nothing():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        listen = f"tcp://127.0.0.1:{other.getsockname()[1]}"
        run("yamd", "--store", folder("store"), "--listen", listen, "--check-config", code=OK)
    assert not os.path.exists(folder("store"))


def test_check_config_finds_a_missing_certificate():
    refused("yamd", "--memory", "--certificate", folder("none"), "--check-config", code=CONFIG, says="none")


main(globals())
