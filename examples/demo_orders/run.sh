#!/usr/bin/env bash
#   run.sh - three services and their relay are killed at random for KILLING [30] seconds; then the books must balance.
set -euo pipefail

seconds=${KILLING:-30}
bin=$YAM_BUILD/examples
work=$(mktemp -d)
declare -A pid command kills=([relay]=0 [shop]=0 [pay]=0 [points]=0)
trap '{ kill -9 "${pid[@]}"; wait; } 2> /dev/null || true; rm -rf "$work"' EXIT
RANDOM=${SEED:-$$}

start() { #  NAME
    ${command[$1]} >> "$work/$1.out" 2>> "$work/log" &
    pid[$1]=$!
}

#   The relay says where it listens; after a kill it listens there again.
exec 3< <(exec "$YAM_BIN/yamd" --listen '@tcp://127.0.0.1:*' --store "$work/store" 2>> "$work/log")
pid[relay]=$!
read -r _ endpoint <&3 || { cat "$work/log" >&2; exit 1; }
endpoint=${endpoint#@}
sure=">$endpoint?grade=sure"
command[relay]="$YAM_BIN/yamd --listen @$endpoint --store $work/store"
command[shop]="$bin/demo_orders/shop $work/shop.db $sure $seconds"
command[pay]="$bin/demo_orders/pay $work/pay.db $sure"
command[points]="$bin/demo_orders/points $work/points.db $sure"

#   Who starts to listen after the first message has left a topic does not get it: so first of all those who listen.
start shop
start points
until groups=$("$YAM_BIN/yam" stat payments.made --json -e ">$endpoint" 2>&1) && [[ $groups == *points* && $groups == *shop* ]]; do
    read -r -t 0.1 <> <(:) || true
done
start pay

echo "Orders, payments and points at $endpoint; killing at random for $seconds seconds:"
names=(relay shop pay points)
end=$((EPOCHSECONDS + seconds))
while ((EPOCHSECONDS < end)); do
    read -r -t "0.$((RANDOM % 9 + 1))" <> <(:) || true
    for name in "${names[@]}"; do
        kill -0 "${pid[$name]}" 2> /dev/null || start "$name" #  it found no relay, and gave up
    done
    name=${names[RANDOM % 4]}
    kill -9 "${pid[$name]}" 2> /dev/null || true
    wait "${pid[$name]}" 2> /dev/null || true
    kills[$name]=$((kills[$name] + 1))
    start "$name"
done
echo "  killed: relay ${kills[relay]}, shop ${kills[shop]}, payments ${kills[pay]}, points ${kills[points]} times"
command[shop]="$bin/demo_orders/shop $work/shop.db $sure 0" #  no more orders: only settle
kill -9 "${pid[shop]}" 2> /dev/null || true
until wait "${pid[shop]}" 2> /dev/null; do
    ((EPOCHSECONDS < end + 60)) || { tail -n 20 "$work/log" >&2; echo "orders do not settle" >&2; exit 1; }
    for name in "${names[@]}"; do
        kill -0 "${pid[$name]}" 2> /dev/null || start "$name"
    done
done
audit=$("$bin/demo_orders/audit" "$work/shop.db" "$work/pay.db" "$work/points.db") || { tail -n 20 "$work/log" >&2; echo "$audit"; exit 1; }
echo "demo-orders: $audit, $((kills[relay] + kills[shop] + kills[pay] + kills[points])) kills"
