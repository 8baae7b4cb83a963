#!/usr/bin/env bash
# Prints the Python of a virtual environment with aiomoqt and moq-rs, in target/peers/venv, made once and again when
# one of the requirements.txt changes.
#
# Needs Python 3.12: $PYTHON312, python3.12 on PATH, or pyenv's. Where it is missing prints SKIP, with exit status 77;
# if CI is set, 1.
set -uo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
requirements=("$here/aiomoqt/requirements.txt" "$here/moq-rs/requirements.txt")
state=${CARGO_TARGET_DIR:-$(cd "$here/../.." && pwd)/target}/peers
venv=$state/venv

main() {
    local python
    if ! python=$(find_python); then
        echo "SKIP aiomoqt and moq-rs: no Python 3.12"
        [[ -n ${CI:-} ]] && return 1
        return 77
    fi
    if ! install "$python"; then
        echo "pip could not install ${requirements[*]}, see $state/pip.log"
        return 1
    fi
    echo "$venv/bin/python"
}

find_python() {
    local candidate
    for candidate in "${PYTHON312:-}" "$(command -v python3.12)" "$HOME"/.pyenv/versions/3.12*/bin/python3.12; do
        # A shim may stand on PATH for a Python that does not run.
        if [[ -n $candidate ]] && "$candidate" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 12))' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    return 1
}

install() { # PYTHON
    cat "${requirements[@]}" | cmp -s - "$venv/installed" && "$venv/bin/python" -c 'import aiomoqt, moq' 2>/dev/null && return
    rm -rf "$venv"
    mkdir -p "$state" &&
        "$1" -m venv "$venv" >"$state/pip.log" 2>&1 &&
        timeout 300 "$venv/bin/pip" install --disable-pip-version-check "${requirements[@]/#/-r}" >>"$state/pip.log" 2>&1 &&
        cat "${requirements[@]}" >"$venv/installed"
}

main
