"""aiomoqt's side of `cargo xtask opinions`, as JSON lines.

  opinions.py decode            each line {draft, kind, hex} on stdin is answered by {fields} or {error} on stdout
  opinions.py encode SEED N     prints {draft, kind, fields, hex}, or {draft, kind, fields, error}: N of every kind
"""

import json
import logging
import sys

import control
import data
from sample import Sample


def read(line):
    """What aiomoqt reads; whatever it raises is its answer."""
    unit = json.loads(line)
    draft, octets = unit["draft"], bytes.fromhex(unit["hex"])
    try:
        decode = data.DECODE.get(unit["kind"], control.decode)
        return {"fields": decode(draft, octets)}
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"}


def written(draft, kind, sample):
    fields, write = data.ENCODE[kind](draft, sample) if kind in data.ENCODE else control.encode(draft, kind, sample)
    try:
        return {"draft": draft, "kind": kind, "fields": fields, "hex": write().hex()}
    except Exception as error:
        return {"draft": draft, "kind": kind, "fields": fields, "error": f"{type(error).__name__}: {error}"}


def main(command, *arguments):
    logging.disable(logging.CRITICAL)
    if command == "decode":
        lines = map(read, sys.stdin)
    else:
        seed, count = map(int, arguments)
        sample = Sample(seed)
        lines = (written(draft, kind, sample) for draft in (14, 16)
                 for kind in (*control.KINDS[draft], *data.ENCODE) for _ in range(count))
    sys.stdout.writelines(json.dumps(line) + "\n" for line in lines)


if __name__ == "__main__":
    main(*sys.argv[1:])
