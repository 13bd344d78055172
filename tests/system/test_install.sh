#!/usr/bin/env bash
#   test_install.sh - what `make install` gives is whole and works for C, for C++ and linked statically, and `make uninstall`
#   leaves nothing of it. On a copy of the staged install, so not for builds with sanitizers. TAP.
set -u

root=$(cd "$(dirname "$0")/../.." && pwd)
stage=$TMPDIR/stage
cases=0
failed=0
relay=
trap 'kill -9 $relay 2> /dev/null' EXIT

[[ $YAM_BUILD != */san-* ]] || { echo "# not here: a build with sanitizers has no shared libraries"; exit 77; }
[ -e "$YAM_BUILD/stage/.done" ] || { echo "# needs examples: make examples"; exit 77; }
cp -a "$YAM_BUILD/stage" "$stage" && rm "$stage/.done"

#   Runs FUNCTION ARGUMENT... as one case.
judge() { #  NAME FUNCTION...
    local name=$1
    shift
    cases=$((cases + 1))
    if "$@" > "$TMPDIR/output" 2>&1; then
        echo "ok $cases - $name"
    else
        echo "not ok $cases - $name"
        sed 's/^/#   /' "$TMPDIR/output"
        failed=$((failed + 1))
    fi
}

staged() {
    PKG_CONFIG_SYSROOT_DIR=$stage PKG_CONFIG_PATH=$stage/usr/lib/pkgconfig PKG_CONFIG_ALLOW_SYSTEM_LIBS=1 pkg-config "$@"
}

libraries_show_only_their_names() {
    local library
    for library in "$stage"/usr/lib/*.so.*; do
        readelf -d "$library" | grep -q "soname: \[${library##*/}\]" || { echo "$library: no such soname"; return 1; }
        nm -D --defined-only "$library" | awk '$3 !~ /^yam_/ {print; bad = 1} END {exit bad}' || return 1
    done
}

only_libraries_of_their_own_need_a_server() {
    local needed
    needed=$(cd "$stage/usr/lib" && readelf -d libyam.so.0 libyam-postgres.so.0 libyam-redis.so.0 |
        sed -n 's/^File: //p; s/.*(NEEDED).*\[\(libpq\|libhiredis\).*/\1/p' | tr '\n' ' ')
    [[ $needed == 'libyam.so.0 libyam-postgres.so.0 libpq libyam-redis.so.0 libhiredis ' ]] || { echo "$needed"; return 1; }
}

programs_have_man_pages_and_units_their_programs() {
    local program unit
    for program in "$stage"/usr/bin/*; do
        compgen -G "$stage/usr/share/man/man*/${program##*/}.[18]" || { echo "$program: no man page"; return 1; }
    done
    for unit in "$stage"/usr/lib/systemd/system/*.service; do
        program=$(sed -n 's/^ExecStart=\([^ ]*\).*/\1/p' "$unit")
        [[ $program == /* && -x $stage$program ]] || { echo "$unit: no program $program"; return 1; }
    done
}

#   The program in README, with the port that this yamd got.
readme_program() { #  COMPILER ARGUMENT...
    sed -n '/^```c$/,/^```$/p' "$root/README.md" | sed '/^```/d' | sed "s|tcp://127.0.0.1:9260|$endpoint|" > "$TMPDIR/readme.c"
    "$@" -o "$TMPDIR/readme" && timeout 60 "$TMPDIR/readme"
}

in_c() {
    # shellcheck disable=SC2046 # flags are words
    LD_LIBRARY_PATH=$stage/usr/lib readme_program cc -std=c11 -Wall -Werror "$TMPDIR/readme.c" $(staged --cflags --libs yam)
}

in_cxx() {
    # shellcheck disable=SC2046
    LD_LIBRARY_PATH=$stage/usr/lib readme_program c++ -std=c++17 -Wall -Wextra -Werror -x c++ "$TMPDIR/readme.c" \
        -x none $(staged --cflags --libs yam)
}

linked_statically() {
    # shellcheck disable=SC2046
    readme_program cc -std=c11 "$TMPDIR/readme.c" $(staged --cflags yam) $(staged --static --libs yam | sed 's/-lyam\b/-l:libyam.a/') &&
        ! ldd "$TMPDIR/readme" | grep libyam
}

uninstall_leaves_nothing() {
    env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL -u BUILD make -s -C "$root" uninstall DEPS=no PREFIX=/usr DESTDIR="$stage" &&
        ! find "$stage" ! -type d | grep .
}

exec 3< <(exec "$YAM_BIN/yamd" --listen 'tcp://127.0.0.1:*' --memory 2> "$TMPDIR/log")
relay=$!
read -r _ endpoint <&3 || { cat "$TMPDIR/log"; exit 1; }

judge 'libraries have their sonames and show only names of Yam' libraries_show_only_their_names
judge 'libpq and hiredis are needed by libraries of their own only' only_libraries_of_their_own_need_a_server
judge 'programs have man pages, units have their programs' programs_have_man_pages_and_units_their_programs
judge 'the program in README, in C11' in_c
judge 'the program in README, in C++17' in_cxx
judge 'the program in README, linked statically' linked_statically
judge 'uninstall leaves no file' uninstall_leaves_nothing
echo "1..$cases"
exit $((failed > 0))
