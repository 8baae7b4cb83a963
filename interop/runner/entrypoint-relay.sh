#!/bin/sh
# The runner's relay role: MOQT_PORT (4443), MOQT_CERT (/certs/cert.pem), MOQT_KEY (/certs/priv.key), MOQT_MLOG_DIR (none),
# MOQT_DRAFT (all), MOQT_BIND (every address, as HOST or [HOST]). WebTransport is accepted on every path.
# Exit status: 0 ended by SIGTERM or SIGINT, 1 a setting cannot be used, 127 another role.
set -u

fail() { # STATUS WORDS...
    status=$1
    shift
    echo "moqingbird relay: $*" >&2
    exit "$status"
}

role=${MOQT_ROLE:-relay}
[ "$role" = relay ] || fail 127 "this image has the role relay, not $role (MOQT_ROLE)"

port=${MOQT_PORT:-4443}
case $port in
'' | *[!0-9]*) fail 1 "MOQT_PORT is no port: $port" ;;
esac
cert=${MOQT_CERT:-/certs/cert.pem}
key=${MOQT_KEY:-/certs/priv.key}
[ -r "$cert" ] || fail 1 "MOQT_CERT cannot be read: $cert"
[ -r "$key" ] || fail 1 "MOQT_KEY cannot be read: $key"

# The network of a run is its own: everybody on it may do everything.
set -- relay --auth none --tls-cert "$cert" --tls-key "$key"
if [ -n "${MOQT_BIND:-}" ]; then
    set -- "$@" --bind "$MOQT_BIND:$port"
else
    set -- "$@" --bind "0.0.0.0:$port"
    # A container may be without IPv6.
    [ ! -s /proc/net/if_inet6 ] || set -- "$@" --bind "[::]:$port"
fi
[ -z "${MOQT_MLOG_DIR:-}" ] || set -- "$@" --mlog-dir "$MOQT_MLOG_DIR"
[ -z "${MOQT_DRAFT:-}" ] || set -- "$@" --draft "$MOQT_DRAFT"

# Not by `exec`: moqt's status for settings that it cannot use is 2, the runner's is 1.
moqt "$@" &
relay=$!
trap 'kill -s TERM "$relay" 2>/dev/null' TERM INT
wait "$relay"
status=$?
# A signal ends the first wait before the relay has taken its leave.
while [ "$status" -gt 128 ] && kill -s 0 "$relay" 2>/dev/null; do
    wait "$relay"
    status=$?
done
[ "$status" -ne 2 ] || status=1
exit "$status"
