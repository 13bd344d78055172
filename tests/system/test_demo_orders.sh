#!/usr/bin/env bash
#   The demo of orders, shortened: three services and the relay killed at random, the books balance. Counted as one.
set -u
cd "$(dirname "$0")/../.." || exit 1
if [[ ! -x $YAM_BUILD/examples/demo_orders/shop ]]; then
    [[ $YAM_BUILD != */san-* ]] && echo "# needs examples: make examples" || echo "# not here: make check's second half builds no examples"
    exit 77
fi
output=$(KILLING=8 examples/demo_orders/run.sh) || { echo "$output"; exit 1; }
last=$(tail -n 1 <<< "$output")
pattern='^demo-orders: [1-9][0-9]* orders, [1-9][0-9]* paid, [0-9]+ declined, [1-9][0-9]* cents moved, books balance, [1-9][0-9]* kills$'
[[ $last =~ $pattern ]] || { echo "last line: $last"; exit 1; }
