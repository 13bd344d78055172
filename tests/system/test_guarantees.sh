#!/usr/bin/env bash
#   Every test that GUARANTEES.md or COVERAGE.md names is one that run_tests --test finds, and is in a program of its promise's
#   row; the source of every program in its commands exists; each kind of fault has a row. Every file and folder of this tree
#   that any page names exists.
set -u
cd "$(dirname "$0")/../.." || exit 1
passed=0
failed=0
check() { #  WHAT COMMAND...
    if "${@:2}" > /dev/null; then
        passed=$((passed + 1))
    else
        echo "$1 is not there"
        failed=$((failed + 1))
    fi
}
while read -r name; do
    if [[ $name == test_guarantees ]]; then
        continue
    fi
    check "$name" grep -qw "$name" tests/*/test_* tests/support/*_cases.h
done < <(grep -oh '`test_[a-z0-9_]*`' tests/GUARANTEES.md tests/COVERAGE.md | tr -d '`' | sort -u)
#   A program has its own tests, and by a macro, X_CASES, those of tests/support/x_cases.h.
declare -A has
while IFS=: read -r file name; do
    has[$file $name]=yes
done < <(grep -oHE '\b(test_[a-z0-9_]+|[A-Z]+_CASES)\b' tests/{unit,system,interop}/test_* tests/support/*_cases.h | sort -u)
is_in_one() { #  TEST PROGRAM...
    local program cases macro
    for program in "${@:2}"; do
        [[ -v has[$program\ $1] ]] && return
        for cases in tests/support/*_cases.h; do
            macro=${cases##*/}
            macro=${macro%.h}
            [[ -v has[$cases\ $1] && -v has[$program\ ${macro^^}] ]] && return
        done
    done
    return 1
}
programs() { #  reads commands, and says whose source it is
    grep -oE '`(build|tests)/(unit|system|interop)/test_[a-z_0-9.]+' | tr -d '`' | sed -E 's|^build/(.*)|tests/\1.c|'
}
while IFS=$'\t' read -r tests commands; do
    mapfile -t row < <(programs <<< "$commands")
    for name in $(grep -oE '`test_[a-z0-9_]+`' <<< "$tests" | tr -d '`'); do
        check "$name in ${row[*]:-its row}" is_in_one "$name" "${row[@]}"
    done
done < <(awk -F ' [|] ' -v OFS='\t' '/^## Bugs/ { exit } /^[|] / { print $2, $NF }' tests/GUARANTEES.md)
for fault in F{1..15}; do
    check "$fault" grep -qE "^\| ([0-9] )?$fault: " tests/GUARANTEES.md
done
while read -r path; do
    check "$path" test -e "$path"
done < <(grep -oE '`(build|tests)/[a-z]+/[a-z_0-9.]+`' tests/GUARANTEES.md | tr -d '`' |
    sed -E 's|^build/(.*)|tests/\1.c|' | sort -u)
#   Names with a place in them (NN, X, NAME) stand for many; what make builds is not there yet.
while read -r page path; do
    test -e "$path" || test -e "$(dirname "$page")/$path"
    check "$page: $path" test $? = 0
done < <(find . -name '*.md' -not -path './build*' |
    xargs grep -oHE '`(lib|patterns|daemons|examples|tests)/[a-zA-Z0-9_./-]+`' | tr -d '`' | sed 's|^./||; s|:| |' | grep -vE 'NN|/(X|NAME)\b' | sort -u)
echo "$passed passed, $failed failed"
[[ $failed == 0 ]]
