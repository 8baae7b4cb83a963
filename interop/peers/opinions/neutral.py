"""The form in which both sides tell what a message says: JSON of numbers, lists and hexadecimal byte strings.

A field that is absent is left out, or stands at the draft's default where the draft gives one.
"""

from aiomoqt.messages import AuthToken, AuthTokenRef, MOQTMessage
from aiomoqt.types import AuthTokenAliasType

DEFAULT_PRIORITY = 128
ASCENDING = 1
TRACK = {"delivery_timeout": 0x02, "max_cache_duration": 0x04, "default_publisher_priority": 0x0E,
         "group_order": 0x22, "dynamic_groups": 0x30}


def octets(value):
    """Bytes, or the text that the library made of them."""
    return value.encode().hex() if isinstance(value, str) else bytes(value).hex()


def namespace(fields):
    return [octets(field) for field in fields]


def location(group, object_id):
    return None if group is None else [group, object_id]


def end(group, object_id):
    """An End Location: the wire has one more than the last object, and 0 for the whole group."""
    return [group, object_id - 1 if object_id else None]


def selection(kind, start_group, start_object, end_group):
    """A subscription filter."""
    if kind is None:
        return None
    return {"type": kind, "start": location(start_group, start_object), "end_group": end_group}


def token(value):
    if isinstance(value, AuthTokenRef):
        said = {"alias_type": int(value.alias_type), "alias": value.alias, "token_type": value.token_type,
                "value": None if value.value is None else octets(value.value)}
        return {name: part for name, part in said.items() if part is not None}
    assert isinstance(value, AuthToken)
    return {"alias_type": int(AuthTokenAliasType.USE_VALUE), "token_type": value.token_type, "value": octets(value)}


def pairs(extensions):
    """Extension headers in ascending order of types; of a type that came more than once the library keeps one."""
    return [[key, value if isinstance(value, int) else octets(value)]
            for key, value in sorted((extensions or {}).items())]


def track(extensions, group_order=None, **parameters):
    """What holds for a whole track: draft-16's Track Extensions, in draft-14 parameters and a fixed field."""
    left = dict(extensions or {})
    known = {name: left.pop(key, None) for name, key in TRACK.items()}
    known.update({name: value for name, value in parameters.items() if value is not None})
    known["group_order"] = int(group_order or known["group_order"] or ASCENDING)
    if known["default_publisher_priority"] is None:
        known["default_publisher_priority"] = DEFAULT_PRIORITY
    known["dynamic_groups"] = bool(known["dynamic_groups"])
    return {**known, "other": pairs(left)}


class Parameters:
    """The parameters of a message; what nobody asks for is told as unread."""

    def __init__(self, values):
        self.left = dict(values or {})

    def pop(self, key):
        return self.left.pop(key, None)

    def tokens(self):
        value = self.pop(0x03)
        return [] if value is None else [token(value)]

    def rest(self):
        return pairs(self.left)


def filter_parameter(value, prof):
    return selection(*((None,) * 4 if value is None else MOQTMessage._decode_filter(value, prof=prof)))
