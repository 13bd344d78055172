#!/usr/bin/env python3
"""tests/tools/run_tests: what it counts and says, of what fails and of what is skipped."""

import os
import subprocess

from yamd_support import folder, main, write

TOOL = os.path.abspath("tests/tools/run_tests")
CASES = """
echo 'ok 1 - test_good'
echo '# needs a miracle'
echo 'ok 2 - test_python # SKIP'
echo '# not here: no wonder'
echo 'not ok 3 # SKIP test_cmocka'
"""


def run(*words, code, ci="", where=None):
    """Runs the tool; its lines."""
    done = subprocess.run([TOOL, *words], stdout=subprocess.PIPE, env=dict(os.environ, CI=ci), cwd=where, check=False, text=True)
    assert done.returncode == code, done.stdout
    return done.stdout.splitlines()


def program(name, text):
    path = write(name, "#!/bin/sh\n" + text)
    os.chmod(path, 0o755)
    return path


def test_all_that_passes_is_counted_in_the_last_line():
    lines = run(program("cases", "echo 'ok 1 - a'\necho 'ok 2 - b'\n"), program("one", "exit 0\n"), "step=true", code=0)
    assert lines[-1] == "4 passed, 0 failed" and "ok (2)" in lines[0], lines


def test_programs_run_under_the_words_that_are_said_and_steps_do_not():
    under = program("under", 'echo "ok 1 - $1"\nexec "$2"\n')
    lines = run("--under", f"{under} words", program("cases", "echo 'ok 2 - b'\n"), "step=true", code=0)
    assert lines[-1] == "3 passed, 0 failed", lines


def test_failures_are_named_at_the_end():
    lines = run(program("cases", "echo 'ok 1 - a'\necho 'not ok 2 - b'\nexit 1\n"), program("crash", "kill -9 $$\n"),
                "step=false", code=1)
    assert lines[-1] == "1 passed, 3 failed", lines
    failed = [line.split(": ")[-1] for line in lines if line.startswith("failed: ")]
    assert failed == ["b", "SIGKILL", "exit code 1"], lines


def test_failure_is_named_with_what_was_said_of_it_and_not_with_the_end_of_all():
    cases = "echo 'ok 1 - a'\necho 'wanted 7'\necho 'not ok 2 - b'\necho '# behind'\n"
    others = "".join(f"echo 'ok {number} - of many'\n" for number in range(3, 99))
    lines = run(program("cases", cases + others + "exit 1\n"), program("crash", "echo last\nkill -9 $$\n"), code=1)
    at = lines.index(f"failed: {folder('cases')} (build): b")
    assert lines[at + 1:at + 4] == ["    | wanted 7", "    | not ok 2 - b", "    | # behind"], lines[at:]
    assert lines[at + 4:] == [f"failed: {folder('crash')} (build): SIGKILL", "    | last", "97 passed, 2 failed"], lines[at:]


def test_skips_are_counted_apart_and_say_why():
    lines = run(program("cases", CASES), program("whole", "echo '# needs root'\nexit 77\n"), code=0)
    assert lines[-2:] == ["3 skipped", "1 passed, 0 failed"], lines
    assert lines[0].endswith("ok, 2 skipped: needs a miracle; not here: no wonder"), lines
    assert lines[1].endswith("1 skipped: needs root"), lines


def test_what_is_missing_in_ci_is_a_failure():
    lines = run(program("cases", CASES), program("whole", "echo '# needs root'\nexit 77\n"), program("mute", "exit 77\n"),
                program("other", "echo '# not here: once is enough'\nexit 77\n"), code=1, ci="true")
    assert lines[-2:] == ["2 skipped", "1 passed, 3 failed"], lines
    failed = [line.split(": ", 2)[-1] for line in lines if line.startswith("failed: ")]
    assert failed == ["test_python: skipped: needs a miracle", "all: skipped: needs root",
                      "all: skipped: without a reason"], lines


def test_one_test_is_found_by_its_name_whatever_its_kind():
    for kind in ("support", "unit", "system"):
        os.makedirs(folder(f"tests/{kind}"))
        os.makedirs(folder(f"build/{kind}"))
    write("tests/support/shared_cases.h", "void\ntest_shared(void **state);\n")
    write("tests/unit/test_c.c", "void test_of_c(void **state)\n{ SHARED_CASES, }\n")
    program("build/unit/test_c", "echo 'ok 1 - test_shared'\necho 'not ok 2 - test_of_c'\nexit 1\n")
    program("tests/system/test_shell.sh", "echo 'ok 1 - test_of_shell'\n")
    program("tests/system/test_python.py", "echo \"ok 1 - $1\" # test_of_python\n")
    for name in ("test_shared", "test_of_shell", "test_of_python"):
        assert run("--test", name, code=0, where=folder())[-1] == "1 passed, 0 failed", name
    assert run("--test", "test_of_c", code=1, where=folder())[-1] == "0 passed, 1 failed"
    assert run("--test", "test_of", code=1, where=folder()) == []


def test_test_that_is_named_and_does_not_run_fails():
    os.makedirs(folder("tests/system"))
    program("tests/system/test_shell.sh", "echo 'ok 1 - another' # test_named\n")
    assert run("--test", "test_named", code=1, where=folder())[-1] == "0 passed, 1 failed"


main(globals())
