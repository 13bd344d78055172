#!/usr/bin/env bash
#   The tests are worth something: each bug of lib/base/yami_planted.h, put in on purpose, makes one fail.
set -u
cd "$(dirname "$0")/../.." || exit 1
build=${YAM_BUILD:-build}
if grep -q fsanitize "$build/flags"; then
    echo "# not here: the plain build does it, and once is enough"
    exit 77
fi
exec tests/tools/planted "$build"
