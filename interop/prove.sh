#!/usr/bin/env bash
# Perl's `prove` reads what `moqt interop` writes: a run of every case, the self-test, and two that must be bad: a run
# with failures, and one that was given up.
#
#   interop/prove.sh [MOQT]      MOQT is the built binary; default target/debug/moqt
#
# Debian's prove knows TAP up to version 13 and refuses the line that names 14. What is used here is the same in both.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
moqt=${1:-${CARGO_TARGET_DIR:-$root/target}/debug/moqt}
golden=$root/interop/tests/client/golden
runs=$(mktemp -d)
trap 'rm -rf "$runs"' EXIT

main() {
    # The exit status and prove must agree, so a failure of the run is not the end yet.
    "$moqt" interop >"$runs/cases.tap" || echo "prove.sh: moqt interop ended with status $?" >&2
    "$moqt" interop --self-test >"$runs/self-test.tap" || echo "prove.sh: --self-test ended with status $?" >&2
    "$moqt" interop --relay moqt://nonesuch.invalid:4443 >"$runs/given-up.tap" &&
        die "a relay without an address passed"
    reads "$runs/cases.tap" "$runs/self-test.tap" || die "prove finds faults in what must be good"
    refuses "$runs/given-up.tap"
    refuses "$golden/bad/silent-draft-16.tap"
    echo "prove reads them"
}

reads() { # FILE...
    local file
    for file in "$@"; do
        sed '1s/^TAP version 14$/TAP version 13/' "$file" >"$file.13"
    done
    prove --exec cat "${@/%/.13}"
}

refuses() { # FILE
    cp "$1" "$runs/bad.tap"
    if reads "$runs/bad.tap" >/dev/null 2>&1; then
        die "prove finds no fault in $1"
    fi
}

die() {
    echo "prove.sh: $*" >&2
    exit 1
}

main
