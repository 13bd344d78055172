#!/usr/bin/env python3
"""tests/tools/coverage: which files it wants explained, and which explanations it calls stale."""

import os
import shutil
import subprocess

from yamd_support import IS_SANITIZED, folder, leave, main, write

TOOL = os.path.abspath("tests/tools/coverage")
SOURCES = {"lib/wire/frame.c": "int frame(int a)\n{\n    if (a > 1) {\n        return 7;\n    }\n    return 1;\n}\n",
           "lib/store/disk.c": "int disk(void)\n{\n    return 1;\n}\n",
           "lib/net/window.c": "int window(void)\n{\n    return 1;\n}\n",
           "patterns/relay/relay_map.c": "int map(void)\n{\n    return 1;\n}\n",
           "main.c": "int frame(int a), disk(void), window(void), map(void);\n"
                     "int main(int count, char **words)\n{\n    (void) words;\n"
                     "    return frame(count) + frame(0) + disk() + window() + map() == 0;\n}\n"}
MANY = "".join(f"    a += {number};\n" for number in range(40))  # lines that are run, so that those left are few
LEFT = "| `lib/wire/frame.c` | {} |\n"


def built(*words):
    """Compiles the tree for coverage and runs it once; with a word, all lines are reached."""
    for name, text in SOURCES.items():
        os.makedirs(os.path.dirname(folder(name)), exist_ok=True)
        write(name, text.replace("    if (a", MANY + "    if (a").replace("a > 1", "a > 781"))
    objects = []
    for name in SOURCES:
        objects.append("build/obj/" + name.replace(".c", ".o"))
        os.makedirs(os.path.dirname(folder(objects[-1])), exist_ok=True)
        subprocess.run(("cc", "-O0", "-g", "--coverage", "-c", name, "-o", objects[-1]), cwd=folder(), check=True)
    subprocess.run(("cc", "--coverage", *objects, "-o", "program"), cwd=folder(), check=True)
    subprocess.run((folder("program"), *words), cwd=folder(), check=True)
    os.makedirs(folder("tests"))


def errors(*rows):
    """What the tool complains of, with a page of these rows."""
    write("tests/COVERAGE.md", "# Coverage\n\n| file | left |\n|---|---|\n" + "".join(rows))
    done = subprocess.run((TOOL, "build"), stdout=subprocess.PIPE, cwd=folder(), check=False, text=True)
    said = [line for line in done.stdout.splitlines() if line.startswith("error: ")]
    assert done.returncode == (1 if said else 0), done.stdout
    assert "lib/wire/frame.c" in done.stdout, done.stdout
    return said


def test_file_with_lines_left_needs_a_row_that_says_why():
    built()
    unexplained = ["error: lib/wire/frame.c: tests/COVERAGE.md does not say why lines are left"]
    assert errors() == unexplained
    assert errors("Or `lib/wire/frame.c` elsewhere on the page.\n") == unexplained
    assert errors(LEFT.format("")) == unexplained
    assert errors(LEFT.format("a limit")) == []


def test_row_of_a_file_without_lines_left_is_stale():
    built("more")
    stale = "error: {}: tests/COVERAGE.md has a row, and no line is left"
    assert errors() == []
    assert errors(LEFT.format("a limit")) == [stale.format("lib/wire/frame.c")]
    assert errors(LEFT.format("a race, at times")) == []
    assert errors("| `lib/wire/gone.c` | a race, at times |\n") == [stale.format("lib/wire/gone.c")]
    assert errors("| `main.c` | of no group |\n") == [stale.format("main.c")]


def test_object_that_no_test_has_counts_as_not_run():
    built("more")
    write("lib/store/unused.c", "int unused(void)\n{\n    return 1;\n}\n")
    subprocess.run(("cc", "-O0", "-g", "--coverage", "-c", "lib/store/unused.c", "-o", "build/obj/lib/store/unused.o"),
                   cwd=folder(), check=True)
    assert errors("| `lib/store/unused.c` | nobody needs it |\n") == ["error: lib/store: 50.0 %, at least 90 wanted"]


if IS_SANITIZED:
    leave("not here: the plain build does it, and once is enough")
if not shutil.which("gcov"):
    leave("needs gcov")
main(globals())
