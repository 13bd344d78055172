#!/usr/bin/env bash
#   The tests are worth something: each bug of lib/base/yami_planted.h, put in on purpose, makes one fail.
set -u
cd "$(dirname "$0")/../.." || exit 1
build=${YAM_BUILD:-build}
if grep -q fsanitize "$build/flags"; then
    exit 77 #   once is enough
fi
exec tests/tools/planted "$build"
