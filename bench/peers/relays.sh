#!/usr/bin/env bash
# An unpaced publisher through a relay to one subscriber, both aiomoqt's (PyPI): our relay and aiomoqt's by turns, with the
# same bytes. Ours must lose nothing, deliver at least 0.9 of what theirs does, and stay under 64 MiB.
#
#   bench/peers/relays.sh [MOQT] [OPTION ...]      MOQT is the built binary; default target/release/moqt
#
# Options: --object-size BYTES (4096) --streams N (4: subgroup streams of one track that are open at once)
#          --duration SECONDS (30) --rounds N (1) --transport quic|webtransport (quic) --draft 14|16 (16)
#
# Each object carries a timestamp in an extension header (LOC), of which the subscriber makes its latency; it ends the
# subscription if one is not as it was sent. One line a run on stdout and one with the verdict; exit 1 if it is not met.
# Logs stay in target/peers/relays.
#
# Needs Python 3.12 (see interop/peers/python.sh) and openssl.
set -uo pipefail
set -m # every background job in a process group of its own, so that cleanup reaches what it started

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
target=${CARGO_TARGET_DIR:-$root/target}
moqt=$target/release/moqt size=4096 streams=4 duration=30 rounds=1 transport=quic draft=16
if (($#)) && [[ $1 != --* ]]; then
    moqt=$1
    shift
fi
while (($#)); do
    case $1 in
        --object-size) size=$2 ;;
        --streams) streams=$2 ;;
        --duration) duration=$2 ;;
        --rounds) rounds=$2 ;;
        --transport) transport=$2 ;;
        --draft) draft=$2 ;;
        *) echo "$1: no such option; see the top of $0" >&2; exit 2 ;;
    esac
    shift 2
done
[[ -x $moqt ]] || { echo "$moqt is no program: build it with 'cargo build --release -p moqingbird-cli'" >&2; exit 2; }
python=$("$root/interop/peers/python.sh") || { echo "$python" >&2; exit 77; }
bin=${python%/python}
log=$target/peers/relays
rm -rf "$log"
mkdir -p "$log"

groups=()
cleanup() {
    local group
    for group in "${groups[@]}"; do kill -- "-$group" 2>/dev/null; done
}
trap cleanup EXIT
trap 'exit 130' INT TERM

# Waits until a file has a line with this; 20 s.
await() { # TEXT FILE
    local end=$((SECONDS + 20))
    until grep -q -- "$1" "$2" 2>/dev/null; do
        ((SECONDS < end)) || { echo "no '$1' in $2: $(tail -n 1 "$2" 2>/dev/null)" >&2; return 1; }
        sleep 0.1
    done
}

free_port() {
    "$python" -c 'import socket; s = socket.socket(type=socket.SOCK_DGRAM); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

relay_of_ours() { # PORT
    exec "$moqt" relay --bind "127.0.0.1:$1"
}

relay_of_theirs() { # PORT
    exec "$python" -m aiomoqt.tools.moq_interop_relay --bind 127.0.0.1 --port "$1" --cert "$log/cert.pem" \
        --key "$log/key.pem" --dual --draft "$draft"
}

# One run: sets `delivered` (Mbit/s of payload), `lost` and `memory` (KiB), and prints them.
measure() { # ours|theirs KEY
    local port relay ready=listening publisher url figures scheme=moqt status
    port=$(free_port)
    [[ $1 == theirs ]] && ready="Listening on"
    [[ $transport == webtransport ]] && scheme=https
    url=$scheme://127.0.0.1:$port/
    PYTHONUNBUFFERED=1 "relay_of_$1" "$port" >"$log/$2.relay" 2>&1 &
    relay=$!
    groups+=("$relay")
    await "$ready" "$log/$2.relay" || return
    # It ends after the subscriber, so that what is in flight then is no loss.
    PYTHONUNBUFFERED=1 timeout $((duration + 40)) "$bin/moq-pub-bench" -N relays/bench -T track -s "$size" -P "$streams" \
        -t $((duration + 10)) --draft "$draft" -k "$url" >"$log/$2.publisher" 2>&1 &
    publisher=$!
    groups+=("$publisher")
    await "waiting for subscriber" "$log/$2.publisher" || return
    timeout $((duration + 40)) "$bin/moq-sub-bench" -N relays/bench -T track -t "$duration" --draft "$draft" -k "$url" \
        >"$log/$2.subscriber" 2>&1
    status=$?
    memory=$(awk '/^VmHWM:/ { print $2 }' "/proc/$relay/status")
    kill -- "-$publisher" "-$relay" 2>/dev/null
    wait "$publisher" "$relay" 2>/dev/null
    ((status == 0)) || { echo "moq-sub-bench ended with $status: $(tail -n 1 "$log/$2.subscriber")" >&2; return 1; }
    figures=$(awk -v size="$size" '
        /Lost:/ { gsub(",", "", $2); lost = $2 }
        /ObjRate:/ { rate = $2 }
        /p50=/ { late = 1 }
        END { if (rate == "" || !late) exit 1; printf "%.1f %d\n", rate * size * 8 / 1e6, lost }' "$log/$2.subscriber") ||
        { echo "no figures, or no timestamps, in $log/$2.subscriber" >&2; return 1; }
    read -r delivered lost <<<"$figures"
    echo "$1: $delivered Mbit/s, lost $lost, relay at most $((memory / 1024)) MiB"
}

openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 10 -subj /CN=localhost \
    -addext subjectAltName=DNS:localhost,IP:127.0.0.1 -keyout "$log/key.pem" -out "$log/cert.pem" 2>/dev/null

ours=() theirs=() gone=0 most=0
for ((round = 1; round <= rounds; round++)); do
    measure ours "$round-ours" || exit 1
    ours+=("$delivered")
    gone=$((gone + lost))
    ((memory > most)) && most=$memory
    measure theirs "$round-theirs" || exit 1
    theirs+=("$delivered")
done

ratio=$(paste <(printf '%s\n' "${ours[@]}") <(printf '%s\n' "${theirs[@]}") | awk '{ print $1 / $2 }' | sort -n |
    awk '{ all[NR] = $1 } END { print (all[int((NR + 1) / 2)] + all[int(NR / 2) + 1]) / 2 }')
met=$(awk -v ratio="$ratio" -v lost="$gone" -v memory="$most" \
    'BEGIN { print (ratio >= 0.9 && lost == 0 && memory < 65536) ? "met" : "not met" }')
echo "$met: $ratio of theirs, lost $gone, at most $((most / 1024)) MiB"
[[ $met == met ]]
