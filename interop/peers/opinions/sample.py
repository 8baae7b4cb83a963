"""Random values, reproducible by their seed."""

import random

from aiomoqt.messages import AuthToken, AuthTokenRef

MAX = (1 << 62) - 1
GAPS = (0x3C, 0x3E)
EDGES = (0, 1, 63, 64, 16383, 16384, (1 << 30) - 1, 1 << 30, MAX - 1)


class Sample:
    def __init__(self, seed):
        self.random = random.Random(seed)

    def number(self, least=0, most=MAX - 1):
        """Of any size; the largest is left out, as several fields have one added on the wire."""
        if self.chance(0.2):
            value = self.random.choice(EDGES)
        else:
            value = self.random.getrandbits(self.random.randint(0, 62))
        return min(max(value, least), most)

    def ascending(self):
        return sorted((self.number(), self.number()))

    def chance(self, share):
        return self.random.random() < share

    def choice(self, values):
        return self.random.choice(values)

    def maybe(self, make):
        return make() if self.chance(0.5) else None

    def byte(self):
        return self.random.randint(0, 255)

    def octets(self, least=0, most=24):
        return self.random.randbytes(self.random.randint(least, most))

    def text(self, most=40):
        return "".join(self.random.choice("abc /:.é漢") for _ in range(self.random.randint(0, most)))

    def namespace(self, draft, least=1):
        count = self.random.randint(least, 4) if self.chance(0.9) else 32
        return tuple(self.octets(least=0 if draft == 14 else 1) for _ in range(count))

    def filter(self):
        """As the library's keyword arguments."""
        kind = self.random.randint(1, 4)
        start, last = self.ascending()
        return {"filter_type": kind, "start_group": start if kind > 2 else None,
                "start_object": self.number() if kind > 2 else None, "end_group": last if kind == 4 else None}

    def largest(self):
        return {"largest_group_id": self.number(), "largest_object_id": self.number()} if self.chance(0.5) else {}

    def token(self):
        kind = self.random.randint(0, 3)
        if kind == 3:
            return AuthToken(self.octets(), self.number())
        if kind == 1:
            return AuthTokenRef(1, self.number(), self.number(), self.octets())
        return AuthTokenRef(kind, self.number())

    def parameters(self, draft, **kinds):
        """Some of the parameters that a message may have."""
        values = {
            "delivery_timeout": (0x02, lambda: self.number(least=0 if draft == 14 else 1)),
            "token": (0x03, self.token),
            "max_cache_duration": (0x04, self.number),
            "expires": (0x08, self.number),
            "forward": (0x10, lambda: self.choice((0, 1))),
            "priority": (0x20, self.byte),
            "new_group_request": (0x32, self.number),
        }
        chosen = [values[name] for name, given in kinds.items() if given and self.chance(0.5)]
        return {key: make() for key, make in chosen}

    def unknown(self, most=4):
        """Pairs of types that no draft defines."""
        return {key: self.number() if key % 2 == 0 else self.octets()
                for key in (self.number(least=0x40) for _ in range(self.random.randint(0, most)))}

    def extensions(self):
        """Extension headers nobody knows, gaps, and an immutable list with the pair 0x40: 1."""
        gaps = {key: self.number() for key in GAPS if self.chance(0.15)}
        immutable = {0x0B: b"\x40\x40\x01"} if self.chance(0.2) else {}
        return gaps | immutable | self.unknown()

    def track_extensions(self):
        known = {0x02: self.number(least=1), 0x04: self.number(), 0x0E: self.byte(), 0x30: self.choice((0, 1))}
        return {**{key: value for key, value in known.items() if self.chance(0.4)}, **self.extensions()}
