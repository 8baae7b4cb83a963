#!/usr/bin/env bash
# Checks with real peers, each in draft-14 and draft-16, over raw QUIC and WebTransport:
#
# - aiomoqt's interop client against our relay, and our interop client against aiomoqt's relay;
# - aiomoqt's probe against our relay, and ours against aiomoqt's relay;
# - aiomoqt's publisher, subscriber and joiner with `moqt sub` and `moqt pub`, through our relay and without one;
# - moq-rs as a publisher and a subscriber at our relay, and as a server for `moqt sub` and `moqt pub`.
#
# Where objects are exchanged, 1,000 are, and all must arrive as they were sent.
#
#   interop/peers/check.sh [MOQT]      MOQT is the built binary; default target/debug/moqt
#
# Needs Python 3.12 (see python.sh) and openssl. Where Python is missing it prints SKIP and passes, unless CI is set.
# One line a check on stdout, exit 1 if any failed; logs stay in target/peers/log.
set -uo pipefail
set -m # every background job in a process group of its own, so that cleanup reaches what it started
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
export PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$root/interop/peers
aiomoqt=$root/interop/peers/aiomoqt
moqrs=$root/interop/peers/moq-rs
log=${CARGO_TARGET_DIR:-$root/target}/peers/log
moqt=${1:-${CARGO_TARGET_DIR:-$root/target}/debug/moqt}

objects=1000
group=10    # objects, as in objects.py
history=75  # objects that are published before a joiner comes: its current group is 7
back=2      # groups before the current one where it begins
drafts=(14 16)
schemes=(moqt https)
limit=(timeout --foreground --kill-after=2)
six=(setup-only announce-only publish-namespace-done subscribe-error announce-subscribe subscribe-before-announce)
fourteen=("${six[@]}" rendezvous-timeout data-subgroup-basic subscribe-namespace-lifecycle namespace-discovery
    publish-track-only publish-track-subscribe fetch join)

groups=() # process groups to end at exit
names=()  # running checks, by index
pids=()
passed=0
skipped=0
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
    "$venv/bin/python" "$root/interop/peers/objects.py" $objects >"$log/expected" || die "no objects to send"

    start_our_relay
    start_their_relay
    each their_client "aiomoqt client" "$ours"
    each their_objects "$objects objects from aiomoqt" "$ours"
    collect
    each our_client "our client, aiomoqt relay" "$theirs" collect
    each their_probe "aiomoqt probe, our relay" "$ours"
    each our_probe "our probe, aiomoqt relay" "$theirs"
    collect
    each our_objects "$objects objects to aiomoqt" "$ours"
    each their_joiner "aiomoqt joins in group 7" "$ours"
    collect
    each direct_from "$objects objects from aiomoqt without relay" ""
    each direct_to "$objects objects to aiomoqt without relay" ""
    each direct_joiner "aiomoqt joins in group 7 without relay" ""
    collect
    each moqrs_from "$objects objects from moq-rs" ""
    each moqrs_to "$objects objects to moq-rs" ""
    collect
    each moqrs_server_from "$objects objects from a moq-rs server" ""
    each moqrs_server_to "$objects objects to a moq-rs server" ""
    collect

    echo "$passed passed, $skipped skipped, $failed failed"
    [[ $failed == 0 ]]
}

# --- the checks: their output is the detail of their line, their status the verdict -----------------------------------

# aiomoqt's client passes all of its fourteen cases against our relay. Without `-t` it runs twelve of them; fetch and join
# need a run each. What the draft cannot say it must skip, and nothing else: RENDEZVOUS_TIMEOUT comes with draft-18, and
# draft-14 has neither NAMESPACE nor NAMESPACE_DONE.
their_client() { # DRAFT URL KEY
    local absent=(rendezvous-timeout) asked=() case total beside
    [[ $1 == 14 ]] && absent+=(subscribe-namespace-lifecycle)
    for case in "${fourteen[@]}"; do
        [[ " ${absent[*]} " == *" $case "* ]] && case+=' # SKIP .*'
        asked+=("$case")
    done
    { their_cases "$@" fetch; their_cases "$@" join; } >"$log/$3-history.tap" &
    beside=$!
    their_cases "$@" >"$log/$3-twelve.tap" # what did not pass, and why, is in the files
    wait "$beside"
    cat "$log/$3-twelve.tap" "$log/$3-history.tap" >"$log/$3.tap"
    total=$(tally "$log/$3.tap" "${asked[@]}") || fail "$total" || return
    echo "$total, skipped as not in the draft: ${absent[*]}"
}

# One run of aiomoqt's client. Its namespaces hold only the time of day and the case: the prefix keeps those of the runs
# at the same time apart.
their_cases() { # DRAFT URL KEY [CASE]
    "${limit[@]}" 60 "$venv/bin/moq-interop-client" -r "$2" --draft "$1" --tls-disable-verify \
        --namespace-prefix "$3" ${4:+-t "$4"}
}

# Our client passes the six standard cases against aiomoqt's relay.
our_client() { # DRAFT URL KEY
    local status=0
    "${limit[@]}" 40 "$moqt" interop -r "$2" --draft "$1" --tls-disable-verify >"$log/$3.tap" || status=$?
    tally "$log/$3.tap" "${six[@]}" || return 1
    [[ $status == 0 ]] || fail "exit $status"
}

# aiomoqt's probe finds our relay live.
their_probe() { # DRAFT URL KEY
    "${limit[@]}" 40 "$venv/bin/python" -m aiomoqt.tools.relay_probe --url "$2" --draft "$1" --insecure --timeout 20 \
        >"$log/$3.line" || fail "$(<"$log/$3.line")" || return
    grep -q "draft-$1" "$log/$3.line" || fail "$(<"$log/$3.line")" || return
    echo "live"
}

# Our probe finds aiomoqt's relay live, by a certificate that nobody vouches for, and a request for a missing track is
# answered.
our_probe() { # DRAFT URL KEY
    "${limit[@]}" 60 "$moqt" probe "$2" --draft "$1" --deep --timeout 20 --fail-on dead,unexpected \
        >"$log/$3.line" || fail "$(<"$log/$3.line")" || return
    grep -q "draft-$1  ✓ .*tls: untrusted" "$log/$3.line" && ! grep -q "no answer" "$log/$3.line" ||
        fail "$(<"$log/$3.line")" || return
    echo "live"
}

# Every object of aiomoqt's publisher reaches our subscriber.
their_objects() { # DRAFT URL KEY
    local publisher
    "${limit[@]}" 40 "$venv/bin/python" "$aiomoqt/publish.py" --url "$2" --draft "$1" --namespace "peers/$3" \
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
    "${limit[@]}" 40 "$venv/bin/python" "$aiomoqt/subscribe.py" --url "$2" --draft "$1" --namespace "peers/$3" \
        --track lines --objects $objects >"$log/$3.received" 2>"$log/$3.subscriber" &
    subscriber=$!
    { await subscribed "$log/$3.subscriber" && cat "$log/expected"; } |
        "${limit[@]}" 40 "$moqt" pub "$2" "peers/$3" lines --draft "$1" --insecure >"$log/$3.publisher"
    status=${PIPESTATUS[1]}
    [[ $status == 0 ]] || fail "moqt pub ended with exit $status" || return
    wait "$subscriber" || fail "subscribe.py failed: $(tail -n 1 "$log/$3.subscriber")" || return
    compare "$log/expected" "$log/$3.received"
}

# aiomoqt joins a track of which 75 objects have been published, with offset 2: it gets group 5 and all that follows,
# each object once.
their_joiner() { # DRAFT URL KEY
    { joined "$1" "$2" "peers/$3" "$3" | "${limit[@]}" 60 "$moqt" pub "$2" "peers/$3" lines --draft "$1" --insecure \
        --no-wait --group-size $group 2>"$log/$3.publisher"; } &
    await '.*waiting for a subscriber' "$log/$3.publisher" || fail "moqt pub: $(tail -n 1 "$log/$3.publisher")" || return
    join "$1" "$2" "peers/$3" "$3"
}

# The same without a relay.
direct_joiner() { # DRAFT URL KEY
    local url
    { joined "$1" "$(listening "$2" "$log/$3.publisher")" "peers/$3" "$3" | "${limit[@]}" 60 "$moqt" pub --listen 127.0.0.1:0 \
        "peers/$3" lines --draft "$1" --no-wait --group-size $group 2>"$log/$3.publisher"; } &
    url=$(listening "$2" "$log/$3.publisher") || fail "moqt pub: $(tail -n 1 "$log/$3.publisher")" || return
    join "$1" "$url" "peers/$3" "$3"
}

# A joiner's publisher's input: what precedes it, and the rest once it has joined.
joined() { # DRAFT URL NAMESPACE KEY
    head -n $history "$log/expected"
    await joined "$log/$4.joiner" && tail -n +$((history + 1)) "$log/expected"
}

join() { # DRAFT URL NAMESPACE KEY
    local first=$((history / group - back)) end=$((SECONDS + 15))
    until [[ $("$moqt" status "$2" "$3" lines --draft "$1" --insecure 2>/dev/null) == $((history / group))/$((history % group - 1)) ]]; do
        ((SECONDS < end)) || fail "the first $history objects were not published" || return
    done
    "${limit[@]}" 40 "$venv/bin/python" "$aiomoqt/join.py" --url "$2" --draft "$1" --namespace "$3" --track lines \
        --back $back --objects $((objects - first * group)) >"$log/$4.received" 2>"$log/$4.joiner" ||
        fail "join.py failed: $(tail -n 1 "$log/$4.joiner")" || return
    compare <(tail -n +$((first * group + 1)) "$log/expected") "$log/$4.received"
}

# Every object of aiomoqt's publisher reaches our subscriber, to which it connects.
direct_from() { # DRAFT URL KEY
    local subscriber publisher url
    "${limit[@]}" 40 "$moqt" sub --listen 127.0.0.1:0 "peers/$3" lines --draft "$1" >"$log/$3.received" \
        2>"$log/$3.subscriber" &
    subscriber=$!
    url=$(listening "$2" "$log/$3.subscriber") || fail "moqt sub: $(tail -n 1 "$log/$3.subscriber")" || return
    "${limit[@]}" 40 "$venv/bin/python" "$aiomoqt/publish.py" --url "$url" --draft "$1" --namespace "peers/$3" \
        --track lines --objects $objects 2>"$log/$3.publisher" &
    publisher=$!
    wait "$subscriber" || fail "moqt sub ended with exit $?: $(tail -n 1 "$log/$3.subscriber")" || return
    kill "$publisher"
    wait "$publisher" || fail "publish.py failed: $(tail -n 1 "$log/$3.publisher")" || return
    compare <(sort "$log/expected") <(sort "$log/$3.received")
}

# Every line of our publisher reaches aiomoqt's subscriber, which connects to it.
direct_to() { # DRAFT URL KEY
    local publisher url
    "${limit[@]}" 40 "$moqt" pub --listen 127.0.0.1:0 "peers/$3" lines --draft "$1" <"$log/expected" \
        2>"$log/$3.publisher" &
    publisher=$!
    url=$(listening "$2" "$log/$3.publisher") || fail "moqt pub: $(tail -n 1 "$log/$3.publisher")" || return
    "${limit[@]}" 40 "$venv/bin/python" "$aiomoqt/subscribe.py" --url "$url" --draft "$1" --namespace "peers/$3" \
        --track lines --objects $objects >"$log/$3.received" 2>"$log/$3.subscriber" ||
        fail "subscribe.py failed: $(tail -n 1 "$log/$3.subscriber")" || return
    wait "$publisher" || fail "moqt pub ended with exit $?: $(tail -n 1 "$log/$3.publisher")" || return
    compare "$log/expected" "$log/$3.received"
}

# Every object of moq-rs' publisher reaches our subscriber, through a relay that speaks the draft only: the server
# chooses it.
moqrs_from() { # DRAFT URL KEY
    local publisher url
    relay_of "$1" "$3"
    url=$(listening "$2" "$log/$3.relay") || fail "moqt relay: $(tail -n 1 "$log/$3.relay")" || return
    "${limit[@]}" 40 "$venv/bin/python" "$moqrs/client.py" publish --url "$url" --namespace "peers/$3" --track lines \
        --objects $objects 2>"$log/$3.publisher" &
    publisher=$!
    await announced "$log/$3.publisher" || fail "client.py does not connect: $(tail -n 1 "$log/$3.publisher")" || return
    until_announced "$1" "$url" "peers/$3" || unspeakable "$1" "$log/$3.relay" ||
        fail "moq-rs announces nothing: $(tail -n 1 "$log/$3.publisher")" || return
    "${limit[@]}" 30 "$moqt" sub "$url" "peers/$3" lines --draft "$1" --insecure >"$log/$3.received" ||
        fail "moqt sub ended with exit $?" || return
    kill "$publisher"
    wait "$publisher" || fail "client.py failed: $(tail -n 1 "$log/$3.publisher")" || return
    compare "$log/expected" "$log/$3.received"
}

# Every line of our publisher reaches moq-rs' subscriber. The lines are held back until its SUBSCRIBE was accepted, and the
# track ends when all have come: for moq-rs PUBLISH_DONE is the end, whatever streams are still under way.
moqrs_to() { # DRAFT URL KEY
    local publisher url
    relay_of "$1" "$3"
    url=$(listening "$2" "$log/$3.relay") || fail "moqt relay: $(tail -n 1 "$log/$3.relay")" || return
    { await subscribed "$log/$3.subscriber" && cat "$log/expected" && await received "$log/$3.subscriber"; } |
        "${limit[@]}" 40 "$moqt" pub "$url" "peers/$3" lines --draft "$1" --insecure --group-size $group \
            2>"$log/$3.publisher" &
    publisher=$!
    await '.*waiting for a subscriber' "$log/$3.publisher" || fail "moqt pub: $(tail -n 1 "$log/$3.publisher")" || return
    "${limit[@]}" 30 "$venv/bin/python" "$moqrs/client.py" subscribe --url "$url" --namespace "peers/$3" --track lines \
        --objects $objects --deadline 15 >"$log/$3.received" 2>"$log/$3.subscriber" ||
        unspeakable "$1" "$log/$3.relay" || fail "client.py failed: $(tail -n 1 "$log/$3.subscriber")" || return
    wait "$publisher" || fail "moqt pub ended with exit $?: $(tail -n 1 "$log/$3.publisher")" || return
    compare "$log/expected" "$log/$3.received"
}

# Every object that a moq-rs server publishes reaches our subscriber.
moqrs_server_from() { # DRAFT URL KEY
    local server url
    "${limit[@]}" 40 "$venv/bin/python" "$moqrs/server.py" publish --namespace "peers/$3" --track lines \
        --objects $objects 2>"$log/$3.server" &
    server=$!
    url=$(listening "$2" "$log/$3.server") || fail "server.py: $(tail -n 1 "$log/$3.server")" || return
    await announced "$log/$3.server"
    "${limit[@]}" 30 "$moqt" sub "$url" "peers/$3" lines --draft "$1" --insecure >"$log/$3.received" \
        2>"$log/$3.subscriber" ||
        unspeakable "$1" "$log/$3.subscriber" || fail "moqt sub: $(tail -n 1 "$log/$3.subscriber")" || return
    kill "$server"
    wait "$server" || fail "server.py failed: $(tail -n 1 "$log/$3.server")" || return
    compare "$log/expected" "$log/$3.received"
}

# Every line of our publisher reaches a moq-rs server that subscribes to it.
moqrs_server_to() { # DRAFT URL KEY
    local server url status
    "${limit[@]}" 40 "$venv/bin/python" "$moqrs/server.py" subscribe --namespace "peers/$3" --track lines \
        --objects $objects >"$log/$3.received" 2>"$log/$3.server" &
    server=$!
    url=$(listening "$2" "$log/$3.server") || fail "server.py: $(tail -n 1 "$log/$3.server")" || return
    "${limit[@]}" 30 "$moqt" pub "$url" "peers/$3" lines --draft "$1" --insecure --group-size $group 2>"$log/$3.publisher" \
        < <(await subscribed "$log/$3.server" && cat "$log/expected" && await received "$log/$3.server") ||
        unspeakable "$1" "$log/$3.publisher" || fail "moqt pub: $(tail -n 1 "$log/$3.publisher")" || return
    wait "$server" || fail "server.py failed: $(tail -n 1 "$log/$3.server")" || return
    compare "$log/expected" "$log/$3.received"
}

# A relay that speaks one draft, for one check; it ends with the check's process group.
relay_of() { # DRAFT KEY
    RUST_LOG=warn,moqingbird_relay=info "${limit[@]}" 60 "$moqt" relay --bind 127.0.0.1:0 --draft "$1" >"$log/$2.relay" 2>&1 &
}

# What moq-rs says in draft-14 closes the session, so that no object is exchanged: the check is skipped, if one of our
# logs tells that this is what has happened.
unspeakable() { # DRAFT LOG
    [[ $1 == 14 ]] && grep -q 'Namespace Prefix.*at least one field' "$2" || return 1
    echo "moq-rs asks for an empty prefix in SUBSCRIBE_NAMESPACE, with which draft-14 (§9.28) closes the session"
    exit 77
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
    local i name files status
    for i in "${!names[@]}"; do
        name=${names[i]%|*}
        files=${names[i]#*|}
        status=0
        wait "${pids[i]}" || status=$?
        if [[ $status == 0 ]]; then
            passed=$((passed + 1))
            echo "ok - $name: $(<"$files.detail")"
        elif [[ $status == 77 ]]; then
            skipped=$((skipped + 1))
            echo "SKIP - $name: $(<"$files.detail")"
        else
            failed=$((failed + 1))
            echo "not ok - $name: $(<"$files.detail")"
            grep -v '\[PASS\]' "$files.err" | tail -n 5 | sed 's/^ */#   /'
        fi
    done
    names=()
    pids=()
}

# Count the cases that are plainly `ok` in a TAP file: a SKIP, a TODO or aiomoqt's COMPAT is none, unless asked for.
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

# The URL of a program that tells in a log where it listens. The scheme is that of the URL given.
listening() { # URL LOG
    await '(.* )?listening .*' "$2" || return 1
    echo "${1%%:*}://$(sed -nE 's/(.* )?listening ([^ ]+).*/\2/p' "$2" | head -n 1)/"
}

# Until our relay knows of a namespace, at most 5 seconds.
until_announced() { # DRAFT URL NAMESPACE
    [[ -n $("$moqt" announced "$2" "$3" --draft "$1" --insecure --count 1 --wait 5 2>/dev/null) ]]
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
