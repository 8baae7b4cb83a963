#!/usr/bin/env bash
# A real browser against our relay: Debian's Chromium, headless, opens a page that subscribes over WebTransport.
#
#   interop/browser/check.sh [MOQT]      MOQT is the built binary; default target/debug/moqt
#
# Installs what is missing of Debian's packages chromium, fonts-dejavu-core, nodejs and npm (as root or by sudo), and from npm
# what package-lock.json names. Where that cannot be done it prints SKIP and passes, unless CI is set. One line a case on
# stdout, exit 1 if any failed. Pictures and logs stay in target/browser.
set -uo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
target=${CARGO_TARGET_DIR:-$(cd "$here/../.." && pwd)/target}
work=$target/browser
moqt=$(realpath "${1:-$target/debug/moqt}")

main() {
    [[ -x $moqt ]] || die "$moqt is no program: build it with 'cargo build -p moqingbird-cli', or name another"
    mkdir -p "$work" || die "cannot write to $work"
    if ! { packages && modules; } >"$work/install.log" 2>&1; then
        echo "SKIP browser: Chromium, Node.js or their packages cannot be installed, see $work/install.log"
        [[ -z ${CI:-} ]]
        return
    fi
    timeout --kill-after=5 300 node "$work/check.mjs" "$moqt" "$(command -v chromium)" "$work"
}

packages() {
    local wanted=()
    command -v chromium || wanted+=(chromium)
    command -v node || wanted+=(nodejs)
    command -v npm || wanted+=(npm)
    [[ -e /usr/share/fonts/truetype/dejavu/DejaVuSans.ttf ]] || wanted+=(fonts-dejavu-core)
    ((${#wanted[@]} == 0)) && return
    local sudo=()
    [[ $(id -u) == 0 ]] || sudo=(sudo -n)
    "${sudo[@]}" apt-get update -qq &&
        "${sudo[@]}" apt-get install -y -qq --no-install-recommends "${wanted[@]}"
}

# Beside the built program, so that nothing is written among the sources.
modules() {
    cp "$here"/{package.json,package-lock.json,check.mjs,index.html,moqt.js} "$work" || return
    cmp -s "$work/package-lock.json" "$work/installed" && [[ -d $work/node_modules ]] && return
    (cd "$work" && npm ci --ignore-scripts --no-audit --no-fund) && cp "$work/package-lock.json" "$work/installed"
}

die() {
    echo "check.sh: $*" >&2
    exit 1
}

main
