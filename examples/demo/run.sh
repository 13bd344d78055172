#!/usr/bin/env bash
#   run.sh - a million orders survive a relay that is killed again and again. Run by `make demo`.
set -euo pipefail

count=${COUNT:-1000000}
orders=${ORDERS:-/var/lib/dpkg/status}
bin=$YAM_BUILD/examples
work=$(mktemp -d)
relay=
trap 'kill -9 $relay $(jobs -p) 2> /dev/null || true; rm -rf "$work"' EXIT

#   Starts yamd and waits until it says that it is ready; sets relay and endpoint.
start_relay() { #  LISTEN
    exec 3< <(exec "$YAM_BIN/yamd" --listen "$1" --store "$work/store" 2>> "$work/log")
    relay=$!
    read -r _ endpoint <&3 || { cat "$work/log" >&2; exit 1; }
    endpoint=${endpoint#@}
}

echo "One program, six strings:"
start_relay '@tcp://127.0.0.1:*'
port=$((20000 + $$ % 12000)) #  below those that connections take
while read -r what push pull; do
    said=$("$bin/01_queue" "$push" "$pull") && [[ $said == hello ]] || { echo "$what: the message was lost" >&2; exit 1; }
    printf '  %-24s %s\n' "$what" "$said"
done << END
inproc >inproc://demo @inproc://demo
ipc >ipc://$work/socket @ipc://$work/socket
tcp >tcp://127.0.0.1:$port @tcp://127.0.0.1:$port
relay-in-the-producer @tcp://127.0.0.1:$((port + 1))?relay=$work/a >tcp://127.0.0.1:$((port + 1))?grade=sure
relay-in-the-consumer >tcp://127.0.0.1:$((port + 2))?grade=sure @tcp://127.0.0.1:$((port + 2))?relay=$work/b
yamd >$endpoint?grade=sure >$endpoint?grade=sure
END

echo "$count orders through yamd at $endpoint, killed three times on the way:"
begin=$EPOCHREALTIME
"$bin/demo/receive" ">$endpoint?grade=sure" "$count" "$work/received" &
first=$!
"$bin/demo/receive" ">$endpoint?grade=sure" "$count" "$work/received" &
second=$!
exec 4< <(exec "$bin/demo/send" ">$endpoint?grade=sure&name=shop" "$orders" "$count" "$work/sent")
send=$!
kills=0
while read -r _ confirmed <&4; do
    if ((kills < 3 && confirmed * 4 >= count * (kills + 1))); then
        kill -9 "$relay"
        wait "$relay" 2> /dev/null || true
        kills=$((kills + 1))
        echo "  $confirmed confirmed: relay killed, and started again"
        start_relay "@$endpoint"
    fi
done
failed=0
wait "$send" || failed=1
wait "$first" || failed=1
wait "$second" || failed=1
seconds=$(awk "BEGIN {print $EPOCHREALTIME - $begin - 0.5}") #  the consumers' last half second is silence
dead=$("$YAM_BIN/yam" pull orders.dead -e ">$endpoint" -n 100 --wait 1000 --no-ack | grep -c '^Order: ' || true)
"$bin/demo/check" "$work/sent" "$work/received" "$count" "$kills" "$dead" "$seconds" || failed=1
exit "$failed"
