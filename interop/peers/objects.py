"""The objects that publisher and subscriber exchange: a function of the index.

A payload is one line of text without its newline, so that it survives tools
that read and write one object a line. Run as a program, this prints the first
COUNT payloads, one a line: the input of a line publisher, and what every
subscriber must have received.
"""

import hashlib
import sys

GROUP_SIZE = 10
LONGEST = 2000


def location(index: int) -> tuple[int, int]:
    """Group ID and Object ID of the object with this index."""
    return divmod(index, GROUP_SIZE)


def payload(index: int) -> str:
    """`group:object:` and 1 to 2000 hexadecimal digits, different in every object."""
    group, object_id = location(index)
    seed = hashlib.sha256(f"{group}:{object_id}".encode()).digest()
    length = 1 + int.from_bytes(seed[:4]) % LONGEST
    digits = hashlib.shake_256(seed).hexdigest(LONGEST // 2)[:length]
    return f"{group}:{object_id}:{digits}"


if __name__ == "__main__":
    for index in range(int(sys.argv[1])):
        print(payload(index))
