#!/usr/bin/env bash
#   The demo, shortened: three kills, every body compared; and over a program that loses messages. Counted as one.
set -u
cd "$(dirname "$0")/../.." || exit 1
if [[ ! -x $YAM_BUILD/examples/demo/send ]]; then
    [[ $YAM_BUILD != */san-* ]] && echo "# needs examples: make examples" || echo "# not here: make check's second half builds no examples"
    exit 77
fi
output=$(COUNT=150000 examples/demo/run.sh) || { echo "$output"; exit 1; }
last=$(tail -n 1 <<< "$output")
pattern='^demo: 150000 sent, 150000 confirmed, relay killed 3 times, 150000 received, 0 lost, [0-9]+ duplicates, 1 dead letters, [0-9]+ msg/s$'
[[ $last =~ $pattern ]] || { echo "last line: $last"; exit 1; }

#   A message that the same program loses ends the demo.
mkdir -p "$TMPDIR/examples"
ln -s "$(command -v true)" "$TMPDIR/examples/01_queue"
if said=$(YAM_BUILD=$TMPDIR examples/demo/run.sh 2>&1); then
    echo "a lost message went unnoticed"
    exit 1
fi
[[ $said == *"inproc: the message was lost"* ]] || { echo "$said"; exit 1; }
