#!/usr/bin/env bash
# aiomoqt's benches (PyPI) with the workloads of `moqt bench`: prints one JSON object with the same keys.
#
#   bench/peers/aiomoqt.sh loopback [OPTION ...]        its publisher and subscriber, nothing between them
#   bench/peers/aiomoqt.sh pub URL [OPTION ...]         its publisher, through any relay (its own report, no JSON)
#   bench/peers/aiomoqt.sh sub URL [OPTION ...]         its subscriber, through any relay
#   bench/peers/aiomoqt.sh load URL [OPTION ...]        its load simulator (its own report, no JSON)
#
# Options: --object-size BYTES --group-size OBJECTS --streams N --rate OBJECTS/S --duration SECONDS
#          --transport quic|webtransport --draft 14|16 --datagrams --no-latency
#
# Needs Python 3.12 (see interop/peers/python.sh) and openssl.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
python=$("$root/interop/peers/python.sh") || { echo "$python" >&2; exit 77; }
bin=${python%/python}
what=${1:?loopback, pub, sub or load}
shift
url=()
if [[ $what != loopback ]]; then
    url=("${1:?a URL}")
    shift
fi

size=1200 group=200 streams=1 rate=0 duration=5 transport=quic draft=16 extra=()
while (($#)); do
    case $1 in
        --object-size) size=$2; shift 2 ;;
        --group-size) group=$2; shift 2 ;;
        --streams) streams=$2; shift 2 ;;
        --rate) rate=$2; shift 2 ;;
        --duration) duration=$2; shift 2 ;;
        --transport) transport=$2; shift 2 ;;
        --draft) draft=$2; shift 2 ;;
        --datagrams) extra+=(-D); shift ;;
        --no-latency) extra+=(--no-stats); shift ;;
        *) echo "$1: no such option; see the top of $0" >&2; exit 2 ;;
    esac
done
seconds=$(printf '%.0f' "$duration")

# What its benches print of a run, as JSON. Throughput is of payload alone, as everywhere here.
as_json() {
    awk -v size="$size" '
        /Lost:/ { gsub(",", "", $2); lost = $2 }
        /Objects:/ { gsub(",", "", $2); objects = $2 }
        /ObjRate:/ { rate = $2 }
        /p50=/ {
            match($0, /p50=[0-9.]+/); p50 = substr($0, RSTART + 4, RLENGTH - 4) * 1000
            match($0, /p95=[0-9.]+/); p95 = substr($0, RSTART + 4, RLENGTH - 4) * 1000
            match($0, /p99=[0-9.]+/); p99 = substr($0, RSTART + 4, RLENGTH - 4) * 1000
        }
        END {
            if (rate == "") { print "no figures in its report" > "/dev/stderr"; exit 1 }
            printf "{\"objects\":%d,\"objects_per_s\":%s,\"payload_mbit_per_s\":%f,\"lost\":%d,", \
                objects, rate, rate * size * 8 / 1e6, lost
            if (p50 == "") printf "\"latency_us\":null}\n"
            else printf "\"latency_us\":{\"p50\":%f,\"p95\":%f,\"p99\":%f}}\n", p50, p95, p99
        }'
}

case $what in
    loopback)
        state=$(mktemp -d)
        trap 'rm -rf "$state"' EXIT
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 10 -subj /CN=localhost \
            -addext subjectAltName=DNS:localhost,IP:127.0.0.1 \
            -keyout "$state/key.pem" -out "$state/cert.pem" 2>/dev/null
        port=$("$python" -c 'import socket; s = socket.socket(type=socket.SOCK_DGRAM); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
        [[ $transport == quic ]] && extra+=(-Q)
        "$bin/moq-loopback-bench" -s "$size" -g "$group" -P "$streams" -r "$rate" -t "$seconds" --draft "$draft" \
            --cert "$state/cert.pem" --key "$state/key.pem" -p "$port" "${extra[@]}" 2>&1 | as_json
        ;;
    sub) "$bin/moq-sub-bench" -t "$seconds" --draft "$draft" -k "${url[@]}" 2>&1 | as_json ;;
    pub)
        "$bin/moq-pub-bench" -s "$size" -g "$group" -P "$streams" -r "$rate" -t "$seconds" --draft "$draft" -k \
            "${extra[@]}" "${url[@]}"
        ;;
    load) "$bin/moq-load-sim" -s "$size" -g "$group" -r "$rate" -t "$seconds" --draft "$draft" -k "${url[@]}" ;;
    *) echo "$what: loopback, pub, sub or load" >&2; exit 2 ;;
esac
