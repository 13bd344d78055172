#!/usr/bin/env python3
"""yam's command line: help for everything, and typos answered with what was meant."""

import subprocess

from yamd_support import IOERR, TIMEOUT, USAGE, main, refused, run, spawn, yam

COMMANDS = ("push", "pull", "pub", "sub", "stat", "peek", "dead", "redrive", "purge", "remove", "cancel",
            "verify", "dump", "keygen", "call")


def test_every_command_has_help_and_is_listed():
    overview, _ = yam("--help")
    for command in COMMANDS:
        assert f"\n  {command} " in overview
        output, errors = yam(command, "--help")
        assert output.startswith(f"Usage: yam {command} ") and not errors
        assert output.splitlines()[1][0].isupper() and "[-1]" not in output, output
        assert yam("help", command)[0] == output
    assert yam("--version")[0].startswith("yam 0.")


def test_what_lists_can_do_json():
    for command in ("pull", "sub", "stat", "peek", "dead", "redrive", "purge", "cancel", "verify", "dump",
                    "call"):
        assert "--json" in yam(command, "--help")[0], command


def test_options_of_endpoints_are_listed_and_in_the_man_page():
    output, errors = yam("help", "endpoint")
    assert "[5s] how long destroy" in output, "a default with a unit of its own is not given another"
    names = [line.split()[0] for line in output.splitlines() if "[" in line and not line.startswith("[")]
    assert "send-timeout" in names and len(names) > 15 and not errors, output
    with open(f"{__file__.rsplit('/', 3)[0]}/daemons/yam/yam.1.scd", encoding="utf-8") as file:
        text = file.read()
    assert [name for name in names if f"*{name}*" not in text] == []


def test_typos_are_answered_with_the_nearest():
    refused("yam", "psuh", code=USAGE, says="did you mean 'push'?")
    refused("yam", "help", "stta", code=USAGE, says="did you mean 'stat'?")
    refused("yam", "pull", "q", "--formta=x", code=USAGE, says="did you mean '--format'?")
    refused("yam", "xyzzy", code=USAGE, says="yam --help")
    refused("yam", code=USAGE, says="yam --help")


def test_operands_are_counted():
    refused("yam", "push", code=USAGE, says="QUEUE is missing")
    refused("yam", "push", "a", "b", code=USAGE, says="'b'")


def test_values_are_checked():
    refused("yam", "pull", "q", "-n", "x", code=USAGE, says="count")
    refused("yam", "pull", "q", "-n", code=USAGE, says="needs a value")
    refused("yam", "pull", "q", "--json=1", code=USAGE, says="takes no value")
    refused("yam", "pull", "q", "-z", code=USAGE, says="-z")
    refused("yam", "pull", "q", "--nack", "--reject", code=USAGE, says="exclude")
    refused("yam", "pull", "q", "--reason", "x", code=USAGE, says="--nack")
    refused("yam", "pull", "q", "--delay", "1s", "--reject", code=USAGE, says="--nack")
    for two in (("--json", "--null"), ("--json", "--format", "%b"), ("--null", "--format", "%b")):
        refused("yam", "pull", "q", *two, code=USAGE, says="exclude")
    refused("yam", "stat", "q", "--relay", code=USAGE, says="--relay")


def test_endpoints_are_checked_and_shown_as_they_were_given():
    for command in ("push", "pull", "pub", "sub", "stat"):
        for endpoint in ("tcp://127.0.0.1:99999", "tcp://127.0.0.1:*?grade=sure", "tcp://127.0.0.1:0?grade=sure"):
            operands = () if command == "stat" else ("x",)
            errors = refused("yam", command, *operands, "-e", endpoint, code=USAGE, says="column 17")
            assert f'"{endpoint}"' in errors, errors
    errors = refused("yam", "push", "q", "-e", "@tcp://127.0.0.1:9", code=USAGE, says="use '>'")
    assert "send-timeout" not in errors, errors
    errors = refused("yam", "sub", "t", "-g", "x y", code=USAGE, says="group: byte 1 of the name is 0x20")
    assert "endpoint" not in errors, errors
    refused("yam", "sub", "t", "--from", "yesterday", code=USAGE, says="start=yesterday is neither")


def test_formats_are_checked_with_the_column():
    for text, column in (("%z", 1), ("ab%", 3), ("a\\q", 2), ("%{", 1), ("%{}", 1), ("x%{abc", 2)):
        refused("yam", "pull", "q", "--format", text, code=USAGE, says=f"column {column}")


def test_help_on_a_full_device_is_an_error():
    with open("/dev/full", "wb") as full:
        process = spawn("yam", "pull", "--help", stdout=full, stderr=subprocess.DEVNULL)
        assert process.wait(TIMEOUT) == IOERR


def test_man_pages_name_every_option():
    for program, page in (("yam", "daemons/yam/yam.1.scd"), ("yamd", "daemons/yamd/yamd.8.scd")):
        with open(f"{__file__.rsplit('/', 3)[0]}/{page}", encoding="utf-8") as file:
            text = file.read()
        helps = [run(program, "--help")[0]] if program == "yamd" else [yam(name, "--help")[0] for name in COMMANDS]
        for line in "\n".join(helps).splitlines():
            name = line.strip().partition("--")[2].partition("=")[0].split(" ")[0]
            if line.startswith("  ") and line.strip().startswith("-") and name:
                assert f"--{name}*" in text or name == "help", (page, name)


main(globals())
