#   support.bash - what the interop tests share: a relay, orders, cases. TAP. Sourced; needs YAM_BIN, YAM_BUILD, TMPDIR.
#   Nothing sleeps; a deadline only ends what hangs.
set -u

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
python=/usr/bin/python3
py=("$python" "$root/examples/orders.py")
js=(node "$root/examples/orders.js")
relay=
cases=0
failed=0
: > "$TMPDIR/log"
trap 'kill -9 $relay 2> /dev/null; kill $(jobs -p) 2> /dev/null; wait' EXIT

skip() { #  REASON
    echo "# $1"
    exit 77
}

#   Starts yamd at ENDPOINT and waits until it says that it is ready; sets relay and endpoint. Its queues take 1500
#   messages.
start_relay() { #  ENDPOINT
    exec 3< <(exec "$YAM_BIN/yamd" --listen "$1" --store "$TMPDIR/store" --channel-messages 1500 2>> "$TMPDIR/log")
    relay=$!
    read -r -t 60 -u 3 _ endpoint || { echo "Bail out! no yamd"; cat "$TMPDIR/log"; exit 1; }
    endpoint=${endpoint%%,*}
}

py() { timeout 300 "${py[@]}" "$endpoint" "$@"; }
js() { timeout 300 "${js[@]}" "$endpoint" "$@"; }

#   The bodies of orders 1 to COUNT, as both examples write them.
orders() { #  COUNT
    seq -f '{"order":%.0f}' "$1"
}

#   Whether what was received, in order, is what was expected.
same() { #  EXPECTED RECEIVED
    cmp "$1" "$2" || { diff "$1" "$2" | head -n 5; false; }
}

#   One client publishes COUNT orders to QUEUE, more than it takes at a time, while another consumes them; the relay is
#   killed and started anew where a third and two thirds of them have arrived. All arrive, and each is printed once.
#   PUBLISHER and CONSUMER are py or js.
through_crashes() { #  PUBLISHER CONSUMER QUEUE COUNT
    local -n publish=$1 consume=$2
    local publisher consumer line count=0
    orders "$4" > "$TMPDIR/expected"
    mkfifo "$TMPDIR/$3"
    timeout 300 "${publish[@]}" "$endpoint" publish "$3" "$4" &
    publisher=$!
    timeout 300 "${consume[@]}" "$endpoint" consume "$3" "$4" > "$TMPDIR/$3" &
    consumer=$!
    while read -r line; do
        echo "$line"
        count=$((count + 1))
        if ((count % ($4 / 3) == 0 && count < $4 * 9 / 10)); then
            kill -9 "$relay"
            wait "$relay" 2> /dev/null
            start_relay "@$endpoint"
        fi
    done < "$TMPDIR/$3" > "$TMPDIR/received"
    wait "$publisher" && wait "$consumer" && same "$TMPDIR/expected" "$TMPDIR/received"
}

#   Runs FUNCTION ARGUMENT... as one case.
judge() { #  NAME FUNCTION...
    local name=$1
    shift
    cases=$((cases + 1))
    if "$@" > "$TMPDIR/output" 2>&1; then
        echo "ok $cases - $name"
    else
        echo "not ok $cases - $name"
        sed 's/^/#   /' "$TMPDIR/output" "$TMPDIR/log"
        failed=$((failed + 1))
    fi
}

finish() {
    echo "1..$cases"
    exit $((failed > 0))
}
