#!/usr/bin/env bash
# Checks with real peers: aiomoqt's interop client against our relay, our interop client against aiomoqt's relay, and
# 1,000 objects from a publisher written with its library to our subscriber and back, through our relay. Each in
# draft-14 and draft-16, over raw QUIC and WebTransport.
#
#   interop/peers/check.sh [MOQT]      MOQT is the built binary; default target/debug/moqt
#
# Needs Python 3.12 (see python.sh) and openssl. Where Python is missing it prints SKIP and passes, unless CI is set.
# One line a check on stdout, exit 1 if any failed; logs stay in target/peers/log.
set -uo pipefail
set -m # every background job in a process group of its own, so that cleanup reaches what it started
export PYTHONDONTWRITEBYTECODE=1

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
programs=$root/interop/peers/aiomoqt
log=${CARGO_TARGET_DIR:-$root/target}/peers/log
moqt=${1:-${CARGO_TARGET_DIR:-$root/target}/debug/moqt}

objects=1000
drafts=(14 16)
schemes=(moqt https)
limit=(timeout --foreground --kill-after=2)
six=(setup-only announce-only publish-namespace-done subscribe-error announce-subscribe subscribe-before-announce)
eight=("${six[@]}" data-subgroup-basic namespace-discovery)

groups=() # process groups to end at exit
names=()  # running checks, by index
pids=()
passed=0
failed=0

main() {
    local python status=0
    python=$("$root/interop/peers/python.sh") || status=$?
    if [[ $status != 0 ]]; then
        echo "$python"
        [[ $status == 77 ]] # skipped
        return
    fi
    venv=${python%/bin/python}
    [[ -x $moqt ]] || die "$moqt is no program: build it with 'cargo build -p moqingbird-cli', or name another"
    trap cleanup EXIT
    trap 'exit 130' INT TERM
    rm -rf "$log"
    mkdir -p "$log" || die "cannot write to $log"
    "$venv/bin/python" "$programs/objects.py" $objects >"$log/expected" || die "no objects to send"

    start_our_relay
    start_their_relay
    each their_client "aiomoqt client" "$ours"
    collect
    each our_client "our client, aiomoqt relay" "$theirs" collect
    each their_objects "$objects objects from aiomoqt" "$ours"
    each our_objects "$objects objects to aiomoqt" "$ours"
    collect

    echo "$passed passed, $failed failed"
    [[ $failed == 0 ]]
}

# --- the checks: their output is the detail of their line, their status the verdict -----------------------------------

# aiomoqt's client passes every case against our relay. Its namespaces hold only the time of day: the prefix keeps
# those of the runs at the same time apart.
their_client() { # DRAFT URL KEY
    "${limit[@]}" 60 "$venv/bin/moq-interop-client" -r "$2" --draft "$1" --tls-disable-verify \
        --namespace-prefix "$3" >"$log/$3.tap"
    tally "$log/$3.tap" "${eight[@]}" # its exit code also covers cases that are not ours
}

# Our client passes the six standard cases against aiomoqt's relay.
our_client() { # DRAFT URL KEY
    local status=0
    "${limit[@]}" 40 "$moqt" interop -r "$2" --draft "$1" --tls-disable-verify >"$log/$3.tap" || status=$?
    tally "$log/$3.tap" "${six[@]}" || return 1
    [[ $status == 0 ]] || fail "exit $status"
}

# Every object of aiomoqt's publisher reaches our subscriber.
their_objects() { # DRAFT URL KEY
    local publisher
    "${limit[@]}" 40 "$venv/bin/python" "$programs/publish.py" --url "$2" --draft "$1" --namespace "peers/$3" \
        --track lines --objects $objects 2>"$log/$3.publisher" &
    publisher=$!
    await announced "$log/$3.publisher" || fail "publish.py was not accepted: $(tail -n 1 "$log/$3.publisher")" || return
    "${limit[@]}" 30 "$moqt" sub "$2" "peers/$3" lines --draft "$1" --insecure >"$log/$3.received" ||
        fail "moqt sub ended with exit $?" || return
    kill "$publisher"
    wait "$publisher" || fail "publish.py failed: $(tail -n 1 "$log/$3.publisher")" || return
    # Groups travel on streams of their own: only within a group is the order given.
    compare <(sort "$log/expected") <(sort "$log/$3.received")
}

# Every line of our publisher reaches aiomoqt's subscriber. The lines are held back until its SUBSCRIBE was accepted.
our_objects() { # DRAFT URL KEY
    local subscriber status
    "${limit[@]}" 40 "$venv/bin/python" "$programs/subscribe.py" --url "$2" --draft "$1" --namespace "peers/$3" \
        --track lines --objects $objects >"$log/$3.received" 2>"$log/$3.subscriber" &
    subscriber=$!
    { await subscribed "$log/$3.subscriber" && cat "$log/expected"; } |
        "${limit[@]}" 40 "$moqt" pub "$2" "peers/$3" lines --draft "$1" --insecure >"$log/$3.publisher"
    status=${PIPESTATUS[1]}
    [[ $status == 0 ]] || fail "moqt pub ended with exit $status" || return
    wait "$subscriber" || fail "subscribe.py failed: $(tail -n 1 "$log/$3.subscriber")" || return
    compare "$log/expected" "$log/$3.received"
}

# --- the two relays ---------------------------------------------------------------------------------------------------

start_our_relay() { # sets ours=HOST:PORT
    "${limit[@]}" 300 "$moqt" relay --bind 127.0.0.1:0 >"$log/our-relay.out" 2>"$log/our-relay.err" &
    groups+=($!)
    await 'listening .*' "$log/our-relay.out" || die "moqt relay does not listen, see $log/our-relay.err"
    read -r _ ours _ <"$log/our-relay.out"
}

start_their_relay() { # sets theirs=HOST:PORT
    local port
    port=$("$venv/bin/python" -c 'import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("0.0.0.0", 0))
print(s.getsockname()[1])') || die "no free UDP port"
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 10 -subj /CN=localhost \
        -addext subjectAltName=DNS:localhost,IP:127.0.0.1 -keyout "$log/key.pem" -out "$log/cert.pem" \
        2>"$log/openssl.err" || die "openssl made no certificate, see $log/openssl.err"
    PYTHONUNBUFFERED=1 "${limit[@]}" 300 "$venv/bin/moq-interop-relay" --bind 127.0.0.1 --port "$port" \
        --cert "$log/cert.pem" --key "$log/key.pem" --dual --draft 16,14 >"$log/their-relay.out" 2>&1 &
    groups+=($!)
    await 'Listening on .*' "$log/their-relay.out" || die "aiomoqt's relay does not listen, see $log/their-relay.out"
    theirs=127.0.0.1:$port
}

# --- running and counting ---------------------------------------------------------------------------------------------

# Start a check in every combination of draft and transport; with a fourth argument run it after each start.
each() { # CHECK NAME HOST:PORT [AFTER]
    local draft scheme transport
    for draft in "${drafts[@]}"; do
        for scheme in "${schemes[@]}"; do
            transport=${scheme/moqt/quic}
            transport=${transport/https/webtransport}
            start "$2, draft-$draft, $transport" "$1" "$draft" "$scheme://$3/" "${1//_/-}-$draft-$transport"
            ${4:-true}
        done
    done
}

start() { # NAME CHECK DRAFT URL KEY
    { set +m && "${@:2}"; } >"$log/$5.detail" 2>"$log/$5.err" &
    pids+=($!)
    groups+=($!)
    names+=("$1|$log/$5")
}

# Wait for the checks that were started; one line each, in the order of their start.
collect() {
    local i name files
    for i in "${!names[@]}"; do
        name=${names[i]%|*}
        files=${names[i]#*|}
        if wait "${pids[i]}"; then
            passed=$((passed + 1))
            echo "ok - $name: $(<"$files.detail")"
        else
            failed=$((failed + 1))
            echo "not ok - $name: $(<"$files.detail")"
            grep -v '\[PASS\]' "$files.err" | tail -n 5 | sed 's/^ */#   /'
        fi
    done
    names=()
    pids=()
}

# Count the cases that are plainly `ok` in a TAP file: a SKIP, a TODO or aiomoqt's COMPAT is none.
tally() { # FILE CASE...
    local case ok=0 missing=
    for case in "${@:2}"; do
        if grep -qxE "ok [0-9]+ - $case" "$1"; then
            ok=$((ok + 1))
        else
            missing+=" $case"
        fi
    done
    echo "$ok/$(($# - 1))${missing:+, not ok:$missing}"
    [[ -z $missing ]]
}

compare() { # EXPECTED RECEIVED
    local difference
    if difference=$(diff "$1" "$2"); then
        echo "$objects/$objects equal"
    else
        fail "$(grep -c '^<' <<<"$difference") of $objects missing, $(grep -c '^>' <<<"$difference") not as sent"
    fi
}

# Until a line of the file matches: `await PATTERN FILE`, at most 15 seconds.
await() {
    local end=$((SECONDS + 15))
    until grep -qxE "$1" "$2" 2>/dev/null; do
        ((SECONDS < end)) || return 1
        sleep 0.05
    done
}

fail() {
    echo "$*"
    return 1
}

die() {
    echo "check.sh: $*" >&2
    exit 1
}

cleanup() {
    local group
    for group in "${groups[@]}"; do
        kill -- "-$group" 2>/dev/null
    done
    wait 2>/dev/null # bounded: `timeout` follows up with SIGKILL
}

main
