#!/usr/bin/env bash
#   test_examples.sh - every example of examples/NN_*.c runs as its comment says and prints what it should. TAP.
#   Examples are built against the staged install; make check's second half builds none, make examples SAN=... does.
set -u

root=$(cd "$(dirname "$0")/../.." && pwd)
examples=$YAM_BUILD/examples
work=$(mktemp -d)
relay=
count=0
failed=0
trap 'kill -9 $relay 2> /dev/null; rm -rf "$work"' EXIT

if [ ! -x "$examples/01_queue" ]; then
    [[ $YAM_BUILD != */san-* ]] && echo "# needs examples: make examples" || echo "# not here: make check's second half builds no examples"
    exit 77
fi

#   judge NAME STATUS: one TAP line; what was printed is in $work/output.
judge() {
    count=$((count + 1))
    if [ "$2" -eq 0 ]; then
        echo "ok $count - $1"
    else
        echo "not ok $count - $1"
        sed 's/^/#   /' "$work/output"
        failed=$((failed + 1))
    fi
}

#   run NAME PATTERN ARGUMENT...: exits 0, and its whole output matches the pattern. The deadline only ends what hangs.
run() {
    local name=$1 pattern=$2 code output
    shift 2
    timeout 60 "$examples/$name" "$@" > "$work/output" 2>&1
    code=$?
    output=$(< "$work/output")
    [[ $code -eq 0 && $output =~ ^$pattern$ ]]
    judge "$name${1:+ ${1%%:*}}" $?
    ran+=("$name")
}

ran=()
newline=$'\n'

exec 3< <(exec "$YAM_BIN/yamd" --listen 'tcp://127.0.0.1:*' --store "$work/store" 2> "$work/log")
relay=$!
read -r _ endpoint <&3 || { cat "$work/log"; exit 1; }
sure=">${endpoint#@}?grade=sure"

run 01_queue hello '>inproc://q' '@inproc://q'
run 01_queue hello ">ipc://$work/q" "@ipc://$work/q"
run 01_queue hello "$sure" "$sure"
run 01_queue hello '@inproc://q?relay=memory' '>inproc://q?grade=sure'
run 02_topic "all: eu.berlin${newline}all: us.boston${newline}all: eu.paris${newline}europe: eu.berlin${newline}europe: eu.paris"
run 03_durable_queue '1000 confirmed, 1000 done' "$sure"
run 04_retry_dead_letter '(flaky, delivery [123].|broken, delivery 1.){4}dead letter: unknown customer' "$sure"
run 05_durable_topic "order.de -> order 0${newline}order.fr -> order 1${newline}order.de -> order 2${newline}order.de -> order 0${newline}order.de -> order 2" "$sure"
run 06_relay_in_producer "stored, 0 missing; listening on .*${newline}10 done" "$work/inside"
run 07_event_loop "tick 1${newline}tick 2${newline}tick 3${newline}tick 4${newline}tick 5"
run 09_raw_framing 'both ways'
run 10_outbox "nuts${newline}bolts" "$work/orders.db" "$sure"
run 11_inbox "500 new${newline}70 new${newline}500 duplicate${newline}7000 conflict" "$work/bank.db"
run 11_inbox "500 duplicate${newline}70 duplicate${newline}500 duplicate${newline}7000 conflict" "$work/bank.db"
run 12_rpc "nuts: 42${newline}bolts: unknown \(no such thing\)" '@inproc://stock' '>inproc://stock'
run 12_rpc "nuts: 42${newline}bolts: unknown \(no such thing\)" "@ipc://$work/stock" ">ipc://$work/stock"
run 12_rpc "nuts: 42${newline}bolts: unknown \(no such thing\)" "$sure" "$sure"

run 13_second_check "lost: order-7${newline}done: order-7, round 1"

#   14: a thousand cents change their bank.
run 14_money_give '' "$work/give.db" "$sure"
run 14_money_take '' "$work/take.db" "$sure"

#   08: as its comment says.
mkdir "$work/clients"
"$YAM_BIN/yam" keygen "$work/relay.cert" > "$work/output" 2>&1 &&
    "$YAM_BIN/yam" keygen "$work/client.cert" >> "$work/output" 2>&1 && cp "$work/client.cert" "$work/clients/"
judge 'keys for 08_curve' $?
public=$(sed -n 's/^ *public-key *= *"\(.*\)"$/\1/p' "$work/relay.cert")
run 08_curve '0 not confirmed' "$work/relay.cert_secret" "$work/clients" "$work/client.cert_secret" "$public"

#   A client that the relay does not know gets nothing through.
"$YAM_BIN/yam" keygen "$work/stranger.cert" > /dev/null 2>&1
timeout 60 "$examples/08_curve" "$work/relay.cert_secret" "$work/clients" "$work/stranger.cert_secret" "$public" \
    > "$work/output" 2>&1
code=$?
[[ $code -eq 1 && $(tail -n 1 "$work/output") == '1 not confirmed' ]]
judge '08_curve with a stranger' $?

#   Wrong use is told, and a wrong endpoint with its column.
timeout 60 "$examples/01_queue" > "$work/output" 2>&1
[ $? -eq 64 ]
judge '01_queue without arguments' $?
timeout 60 "$examples/01_queue" '>tpc://x' '@tpc://x' > "$work/output" 2>&1
code=$?
[[ $code -eq 1 && $(< "$work/output") == *'unknown transport "tpc"'*'at column 2'* ]]
judge '01_queue with a malformed endpoint' $?

#   None was forgotten, and no file is long, those of the demos included.
for source in "$root"/examples/[0-9][0-9]_*.c; do
    name=$(basename "$source" .c)
    [[ " ${ran[*]} " == *" $name "* ]]
    judge "$name was run" $?
done
while IFS= read -r source; do
    case $source in
    *.py | *.js) most=100 ;;
    *) most=60 ;;
    esac
    lines=$(wc -l < "$source")
    echo "$lines lines" > "$work/output"
    [ "$lines" -le "$most" ]
    judge "${source#"$root"/examples/} has at most $most lines" $?
done < <(find "$root/examples" -type f | sort)

kill -TERM "$relay"
wait "$relay" 2> /dev/null
echo "1..$count"
[ "$failed" -eq 0 ]
