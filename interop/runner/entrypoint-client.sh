#!/bin/sh
# The runner's client role: every variable of its contract goes to `moqt interop` as it is (RELAY_URL, TESTCASE,
# TLS_DISABLE_VERIFY, VERBOSE, MOQT_DRAFT or DRAFT, MOQT_MLOG_DIR). Event logs go to /mlog where that can be written.
# Exit status: 0 no case failed, 1 a case failed, 2 wrong usage, 127 another role or an unknown case.
set -eu

fail() { # STATUS WORDS...
    status=$1
    shift
    echo "moqingbird interop client: $*" >&2
    exit "$status"
}

role=${MOQT_ROLE:-client}
[ "$role" = client ] || fail 127 "this image has the role client, not $role (MOQT_ROLE)"

# Without a relay `moqt interop` starts one within the program, which would show nothing here. `--list` needs none.
if [ -z "${RELAY_URL:-}" ] && [ "$#" = 0 ]; then
    fail 2 "RELAY_URL is not set: name the relay, such as https://relay:4443 or moqt://relay:4443"
fi

if [ -z "${MOQT_MLOG_DIR:-}" ] && [ -d /mlog ] && [ -w /mlog ]; then
    export MOQT_MLOG_DIR=/mlog
fi
exec moqt interop "$@"
