"""Subgroup streams, fetch streams and datagrams: what aiomoqt reads in them, and random ones."""

from aiomoqt.context import profile_for
from aiomoqt.messages.data import (FetchHeader, FetchObject, ObjectDatagram, ObjectDatagramStatus, ObjectHeader,
                                   SubgroupHeader)
from aiomoqt.types import ObjectStatus
from aiomoqt.utils.buffer import Buffer
from aiopquic.streamchain import StreamChain

from control import to_bytes
from neutral import octets, pairs

MODES = {0: "zero", 1: "first object"}
RANGES = {0x8C: "non-existent", 0x10C: "unknown"}
FETCH_HEADER = 0x05
DEFAULT_PRIORITY = 0x08  # of draft-16's datagram types
STATUS = 0x20


def object_fields(header):
    return {"object_id": header.object_id, "extensions": pairs(header.extensions), "status": int(header.status),
            "payload": octets(header.payload)}


# --- subgroup streams -------------------------------------------------------------------------------------------------

def subgroup_fields(header, objects):
    return {
        "track_alias": header.track_alias, "group_id": header.group_id,
        "subgroup_id": MODES.get(header.subgroup_id_mode, header.subgroup_id),
        "publisher_priority": None if header.default_priority else header.publisher_priority,
        "extensions": header.extensions_present, "end_of_group": header.end_of_group, "objects": objects,
    }


def decode_subgroup(draft, data):
    """By the calls of a session's stream handler."""
    prof, chain = profile_for(draft), StreamChain()
    chain.extend(data)
    kind = chain.pull_vint()
    if kind & ~prof.subgroup_type_mask != 0x10 or kind >> 1 & 3 == 3:
        raise ValueError(f"{kind:#x} is no subgroup stream")
    header, objects = SubgroupHeader.deserialize(chain, type_val=kind, prof=prof), []
    while chain.tell() < len(data):
        one = ObjectHeader(object_id=0)
        one.deserialize_into(chain, len(data), header.extensions_present, header._last_object_id, header._vi64,
                             header._kvp_delta, 0)
        header.advance(one.object_id)
        objects.append(object_fields(one))
    return subgroup_fields(header, objects)


def encode_subgroup(draft, s):
    mode = s.choice((0, 1, 2))
    header = SubgroupHeader(
        track_alias=s.number(), group_id=s.number(), subgroup_id=(0, None, s.number())[mode], subgroup_id_mode=mode,
        publisher_priority=s.byte(), extensions_present=s.chance(0.5), end_of_group=s.chance(0.5),
        default_priority=draft == 16 and s.chance(0.3), prof=profile_for(draft))
    objects, object_id = [], s.number(most=1 << 61)
    for _ in range(s.choice((0, 1, 2, 4))):
        status = random_status(draft, s)
        extensions = s.extensions() if header.extensions_present and may_extend(draft, status) else {}
        payload = s.octets(most=200) if status == ObjectStatus.NORMAL else b""
        objects.append({"object_id": object_id, "extensions": extensions, "status": status, "payload": payload})
        object_id += s.choice((1, 1, 1 + s.number(most=1 << 32)))
    fast = s.chance(0.5)

    def write():
        data = to_bytes(header.serialize())
        for one in objects:
            data += header.next_object_bytes(**one) if fast else to_bytes(header.next_object(**one))
        return data

    return subgroup_fields(header, [object_fields(ObjectHeader(**one)) for one in objects]), write


def random_status(draft, s):
    others = [ObjectStatus.END_OF_GROUP, ObjectStatus.END_OF_TRACK]
    if draft == 14:
        others.append(ObjectStatus.DOES_NOT_EXIST)
    return s.choice(others) if s.chance(0.3) else ObjectStatus.NORMAL


def may_extend(draft, status):
    """Draft-14 §10.2.1.2: all but what does not exist; draft-16 §10.2.1.2: Normal objects."""
    return status == ObjectStatus.NORMAL or draft == 14 and status != ObjectStatus.DOES_NOT_EXIST


# --- fetch streams ----------------------------------------------------------------------------------------------------

def item_fields(item):
    if item.end_of_range is not None:
        return {"end_of_range": RANGES[item.end_of_range], "group_id": item.group_id, "object_id": item.object_id}
    return {**object_fields(item), "group_id": item.group_id,
            "subgroup_id": None if item.datagram else item.subgroup_id, "publisher_priority": item.publisher_priority}


def decode_fetch(draft, data):
    """By the calls of a session's stream handler, which lets a marker keep the last object's subgroup and priority."""
    prof, chain = profile_for(draft), StreamChain()
    chain.extend(data)
    if chain.pull_vint() != FETCH_HEADER:
        raise ValueError("not a fetch stream")
    header, items, prior = FetchHeader.deserialize(chain), [], None
    while chain.tell() < len(data):
        item = FetchObject.deserialize(chain, prior=prior, prof=prof)
        if item.end_of_range is not None and prior is not None:
            item.subgroup_id, item.publisher_priority = prior.subgroup_id, prior.publisher_priority
        prior = item
        items.append(item_fields(item))
    return {"request_id": header.request_id, "items": items}


def encode_fetch(draft, s):
    header, items = FetchHeader(request_id=s.number()), []
    group_id, object_id = s.number(most=1 << 60), s.number(most=1 << 60)
    for _ in range(s.choice((0, 1, 3, 6))):
        if draft == 16 and s.chance(0.2):
            items.append(FetchObject(group_id=group_id, object_id=object_id, end_of_range=s.choice(list(RANGES))))
        else:
            items.append(random_fetched(draft, s, group_id, object_id))
        object_id += s.choice((1, 1, 1 + s.number(most=1 << 32)))
        if s.chance(0.3):
            group_id, object_id = group_id + 1 + s.number(most=1 << 32), s.number(most=1 << 60)

    def write():
        prof = profile_for(draft)
        return b"".join(map(to_bytes, [header.serialize(prof), *(item.serialize(prof=prof) for item in items)]))

    return {"request_id": header.request_id, "items": [item_fields(item) for item in items]}, write


def random_fetched(draft, s, group_id, object_id):
    status = random_status(draft, s) if draft == 14 else ObjectStatus.NORMAL
    return FetchObject(
        group_id=group_id, subgroup_id=s.number(), object_id=object_id, publisher_priority=s.byte(),
        extensions=s.extensions() if may_extend(draft, status) else {}, status=status,
        payload=s.octets(most=200) if status == ObjectStatus.NORMAL else b"", datagram=draft == 16 and s.chance(0.2))


# --- datagrams --------------------------------------------------------------------------------------------------------

def datagram_fields(message, kind):
    body = {"status": int(message.status)} if kind & STATUS else {"payload": octets(message.payload)}
    return {"track_alias": message.track_alias, "group_id": message.group_id, "object_id": message.object_id,
            "publisher_priority": message.publisher_priority,
            "end_of_group": getattr(message, "end_of_group", False), "extensions": pairs(message.extensions), **body}


def decode_datagram(draft, data):
    """By the calls of a session's datagram handler."""
    prof, buf = profile_for(draft), Buffer(data=data)
    kind = buf.pull_vint()
    if draft == 14 and kind & STATUS:
        message = ObjectDatagramStatus.deserialize(buf, type_val=kind, prof=prof)
    else:
        message = ObjectDatagram.deserialize(buf, buf.capacity, type_val=kind, prof=prof)
    if draft == 16 and kind & DEFAULT_PRIORITY:
        # The class has no word for it: the session puts the track's default over what is read here.
        message.publisher_priority = None
    return datagram_fields(message, kind)


def encode_datagram(draft, s):
    status = random_status(draft, s)
    common = {"track_alias": s.number(), "group_id": s.number(), "object_id": s.choice((0, s.number())),
              "publisher_priority": s.byte(), "extensions": s.extensions() if may_extend(draft, status) else {}}
    if status == ObjectStatus.NORMAL:
        kind, message = 0, ObjectDatagram(**common, payload=s.octets(most=200), end_of_group=s.chance(0.5))
    elif draft == 14:
        kind, message = STATUS, ObjectDatagramStatus(**common, status=status)
    else:
        kind, message = STATUS, ObjectDatagram(**common, status=status)
    return datagram_fields(message, kind), lambda: to_bytes(message.serialize(profile_for(draft)))


DECODE = {"SUBGROUP_STREAM": decode_subgroup, "FETCH_STREAM": decode_fetch, "OBJECT_DATAGRAM": decode_datagram}
ENCODE = {"SUBGROUP_STREAM": encode_subgroup, "FETCH_STREAM": encode_fetch, "OBJECT_DATAGRAM": encode_datagram}
