#!/usr/bin/env python3
"""yamd's command line and file: what is wrong is told, with what is allowed, and the file's line."""

from yamd_support import CONFIG, OK, UNAVAILABLE, USAGE, folder, main, refused, run, write

PEACE = ("--memory", "--listen", "tcp://127.0.0.1:*", "--check-config")


def config(text, says, code=CONFIG):
    write("yamd.conf", text)
    refused("yamd", "--config", "yamd.conf", *PEACE, code=code, says=says)


def test_help_and_version_go_to_stdout():
    output, errors = run("yamd", "--help")
    assert "--store=DIR" in output and "[tcp://127.0.0.1:9260]" in output and not errors
    assert run("yamd", "--version")[0].startswith("yamd 0.")


def test_unknown_option_is_refused_with_the_nearest():
    refused("yamd", "--sotre", "x", code=USAGE, says="did you mean '--store'?")
    refused("yamd", "-z", code=USAGE, says="unknown option '-z'")


def test_option_without_value_is_refused():
    refused("yamd", "--store", code=USAGE, says="needs a value")


def test_value_out_of_range_is_refused_with_the_range():
    refused("yamd", "--memory", "--delivery-limit", "0", code=USAGE, says=["delivery-limit", "1 to 1000000"])
    refused("yamd", "--memory", "--lease", "5d", code=USAGE, says=["lease", "ms"])
    refused("yamd", "--memory", "--log-level", "loud", code=USAGE, says="error|warn|info|debug")


def test_sizes_take_either_case_and_say_what_they_take():
    for size in ["64k", "64K", "1m", "1M", "64KiB", "1MiB", "1G"]:
        run("yamd", *PEACE, "--segment-size", size, code=OK)
    refused("yamd", *PEACE, "--segment-size", "64KB", code=USAGE,
            says=["segment-size", "'64KB'", "65536 to", "bytes", "k, M, G or KiB, MiB, GiB"])


def test_store_is_needed_and_not_with_memory():
    refused("yamd", code=USAGE, says="--store DIR")
    refused("yamd", "--memory", "--store", folder("x"), code=USAGE, says="choose one")


def test_operand_is_refused():
    refused("yamd", "--memory", "here", code=USAGE, says="'here'")


def test_malformed_endpoint_is_refused_with_its_column():
    refused("yamd", "--memory", "--listen", "tpc://127.0.0.1:1", code=USAGE, says=["tpc", "column 1"])
    refused("yamd", "--memory", "--listen", "tcp://127.0.0.1:1,,", code=USAGE, says="column")
    refused("yamd", "--memory", "--listen", "tcp://127.0.0.1:1?grate=sure", code=USAGE, says="grate")


def test_listening_at_a_port_that_is_none_is_refused():
    for port in ("99999", "-5", "65536", "http", ""):
        refused("yamd", "--memory", "--listen", f"tcp://127.0.0.1:{port}", code=USAGE, says="1 to 65535 at column 17")
    refused("yamd", "--memory", "--listen", "tcp://127.0.0.1", code=USAGE, says="the port is missing")


def test_what_start_would_refuse_the_check_refuses():
    check = ("--memory", "--check-config", "--listen")
    refused("yamd", *check, "tcp://0.0.0.0:9557", code=CONFIG, says=["0.0.0.0", "CURVE", "insecure"])
    run("yamd", *check, "tcp://0.0.0.0:9557", "--insecure", code=OK)
    for transport in ("norm", "pgm", "epgm"):
        refused("yamd", *check, f"{transport}://127.0.0.1:9557", code=USAGE, says="tcp, ipc, ws or tipc")
    refused("yamd", *check, "inproc://x", code=USAGE, says="no other process")
    refused("yamd", *check, ">tcp://127.0.0.1:9557", code=USAGE, says="a relay binds")
    refused("yamd", *check, "tcp://127.0.0.1:9557?hwm=5", code=USAGE, says="takes no options")
    refused("yamd", "--memory", "--listen", "tcp://127.0.0.1:*?grade=sure", code=USAGE, says="takes no options")


def test_clients_without_a_certificate_are_refused():
    refused("yamd", *PEACE, "--clients", folder(), code=CONFIG, says="clients= needs certificate=")
    refused("yamd", *PEACE[:-1], "--clients", folder(), code=CONFIG, says="clients= needs certificate=")


def test_certificates_that_are_not_there_are_a_mistake_of_the_configuration():
    run("yam", "keygen", "key")
    refused("yamd", *PEACE[:-1], "--certificate", "nosuch", code=CONFIG, says="nosuch")
    refused("yamd", *PEACE[:-1], "--certificate", "key_secret", "--clients", "nosuch", code=CONFIG, says="nosuch")


def test_listening_at_a_name_says_what_libzmq_takes():
    refused("yamd", "--memory", "--listen", "tcp://localhost:*", code=UNAVAILABLE, says=["localhost", "127.0.0.1"])


def test_bad_backoff_is_refused_by_the_check():
    refused("yamd", *PEACE, "--backoff", "1s:soon", code=CONFIG, says="backoff")


def test_good_config_passes_the_check():
    write("yamd.conf", "#  all is well\nlease = 10s\nlisten = \"tcp://127.0.0.1:*\" # here\n\n")
    output, _ = run("yamd", "--config", "yamd.conf", "--memory", "--check-config", code=OK)
    assert "right" in output


def test_config_that_is_not_there_is_named():
    refused("yamd", "--config", "nowhere.conf", *PEACE, code=CONFIG, says="nowhere.conf")


def test_unknown_key_is_told_with_its_line():
    config("lease = 1s\n\n# lines count\nlaese = 1s\n", ["yamd.conf:4:", "did you mean 'lease'?"])


def test_value_out_of_range_is_told_with_its_line():
    config("lease = 1s\ndelivery-limit = 0\n", ["yamd.conf:2:", "1 to 1000000"])


def test_indented_line_is_told_with_its_line():
    config("lease = 1s\n  heartbeat = 1s\n", ["yamd.conf:2:", "indented"])


def test_line_that_is_no_option_is_told_with_its_line():
    config("lease 1s\n", ["yamd.conf:1:", "name = value"])
    config("listen = \"tcp://127.0.0.1:*\n", ["yamd.conf:1:", "quote"])
    config("clients = \"/x\" y\n", ["yamd.conf:1:", "behind"])


def test_key_given_twice_is_told_with_its_line():
    config("lease = 1s\nlease = 2s\n", ["yamd.conf:2:", "twice"])


def test_command_line_options_are_no_keys():
    config("config = x\n", ["yamd.conf:1:", "unknown"])


def test_binary_config_is_refused():
    config(b"\x00" * 5000, "yamd.conf:1:")
    config(bytes(range(1, 256)) * 40, "yamd.conf:1:")
    config(b"\x00\x01\xff", ["yamd.conf:1:", "byte 1 is 0x00, and no text"])
    config(b"lease = 10s\n\x00bogus = 1\n", ["yamd.conf:2:", "byte 1 is 0x00"])
    config(b"# a\nlease = 1\x1b[2Js\n", ["yamd.conf:2:", "byte 10 is 0x1b"])
    config(b"#" * 5000, ["yamd.conf:1:", "longer than 4095 bytes"])


def test_config_may_end_without_a_newline_and_come_from_elsewhere():
    write("yamd.conf", b"\r\n# \xc3\xa4\tb\r\nlease = 10s\r\nheartbeat = 2s")
    dump, _ = run("yamd", "--config", "yamd.conf", *PEACE, "--dump-config")
    assert "lease = 10000\n" in dump and "heartbeat = 2000\n" in dump


def test_dump_is_a_config_that_gives_the_same_dump():
    dump, _ = run("yamd", "--dump-config", "--lease", "7s", "--clients", "/a b#c")
    write("yamd.conf", dump)
    assert "lease = 7000\n" in dump
    assert run("yamd", "--config", "yamd.conf", "--dump-config")[0] == dump


def test_command_line_beats_the_file():
    write("yamd.conf", "lease = 1s\nheartbeat = 2s\n")
    dump, _ = run("yamd", "--config", "yamd.conf", "--lease", "3s", "--dump-config")
    assert "lease = 3000\n" in dump and "heartbeat = 2000\n" in dump


def test_relay_takes_all_options_with_their_defaults():
    dump, _ = run("yamd", "--dump-config", "--memory")
    write("yamd.conf", dump)
    run("yamd", "--config", "yamd.conf", "--check-config", code=OK)


main(globals())
