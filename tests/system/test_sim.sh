#!/usr/bin/env bash
#   The simulator: thousands of seeds are clean; a seed has one trace; a lie of the disk is found, shrunk
#   to few faults, and replayed by the command that is printed.
set -u
cd "$(dirname "$0")/../.." || exit 1
sim=${YAM_BUILD:-build}/sim/sim
seeds=${YAM_SEEDS:-2000}
case ${YAM_BUILD:-} in */san-*) seeds=${YAM_SEEDS:-300} ;; esac
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
number=0
failed=0
verdict() { #  NAME STATUS [FILE to show]
    number=$((number + 1))
    if [[ $2 == 0 ]]; then
        echo "ok $number - $1"
    else
        echo "not ok $number - $1"
        [[ -z ${3:-} ]] || tail -n 30 "$3"
        failed=1
    fi
}

test_seeds_are_clean() {
    "$sim" --seeds "$seeds" > "$out/seeds" 2>&1
}
test_every_fault_comes() {
    local counts
    "$sim" --seeds 300 > "$out/seeds" 2>&1
    counts=$(sed -n 's/^faults: //p' "$out/seeds")
    [[ -n $counts ]] && ! grep -qE '(^|, )0 ' <<< "$counts" &&
        grep -qE '^[1-9][0-9]* steps without memory .* of which [1-9]' "$out/seeds"
}
test_a_seed_has_one_trace() {
    local seed
    for seed in 3 14 159; do
        "$sim" --seed $seed --trace > "$out/first" && "$sim" --seed $seed --trace > "$out/second" &&
            cmp "$out/first" "$out/second" && [[ $(wc -l < "$out/first") -gt 200 ]] || return 1
    done
}
test_lie_of_the_disk_is_found_shrunk_and_replayed() {
    "$sim" --lying-disk --scenario relay-crashes --seeds 50 > "$out/lie" 2>&1
    [[ $? == 1 ]] || return 1
    local left replay
    left=$(sed -n 's/^ *\([0-9]*\) of [0-9]* faults left.*/\1/p' "$out/lie" | head -n 1)
    replay=$(sed -n 's/^ *replay: //p' "$out/lie" | head -n 1)
    [[ -n $replay && $left -ge 1 && $left -le 4 ]] || return 1
    $replay > "$out/replay" 2>&1
    [[ $? == 1 ]] && grep -qF "$(grep '^seed ' "$out/lie" | head -n 1)" "$out/replay"
}
test_help_and_wrong_options_say_so() {
    "$sim" --help | grep -q -- --lying-disk && ! "$sim" --seeds none 2> "$out/usage" &&
        grep -q -- "--seeds none" "$out/usage"
}

for name in test_seeds_are_clean test_every_fault_comes test_a_seed_has_one_trace \
    test_lie_of_the_disk_is_found_shrunk_and_replayed test_help_and_wrong_options_say_so; do
    : > "$out/seeds"
    $name
    verdict $name $? "$out/seeds"
done
exit $failed
