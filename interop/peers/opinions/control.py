"""Control messages: what they say to aiomoqt, and random ones."""

import re

from aiomoqt.context import profile_for
from aiomoqt.protocol import MOQTSessionQuic
from aiomoqt.types import ContentExistsCode, GroupOrder
from aiomoqt.utils.buffer import Buffer

from neutral import (DEFAULT_PRIORITY, Parameters, end, filter_parameter, location, namespace, octets, selection,
                     track)
from sample import MAX

VERSIONS = {14: 0xFF00000E}


def word(message):
    """The draft's name of a message class."""
    names = {"SubscribeDone": "PUBLISH_DONE", "MaxSubscribeId": "MAX_REQUEST_ID",
             "SubscribesBlocked": "REQUESTS_BLOCKED", "GoAway": "GOAWAY"}
    return names.get(message.__name__) or re.sub(r"(?<!^)(?=[A-Z])", "_", message.__name__).upper()


# The classes by which the library's sessions dispatch.
KINDS = {draft: {word(entry[0]): entry[0] for entry in MOQTSessionQuic.CONTROL_REGISTRY[draft].values()}
         for draft in (14, 16)}


def decode(draft, data):
    """As a session reads a message: whole, and to the end of its frame."""
    buf, prof = Buffer(data=data), profile_for(draft)
    kind, length = buf.pull_vint(), buf.pull_uint16()
    stop = buf.tell() + length
    message_class, _ = MOQTSessionQuic.CONTROL_REGISTRY[draft][kind]
    message = message_class.deserialize(buf, prof=prof, buf_end=stop)
    if buf.tell() != stop or stop != len(data):
        raise ValueError(f"{stop - buf.tell()} bytes of {len(data)} are left")
    return fields(draft, message)


def encode(draft, kind, sample):
    message = KINDS[draft][kind](**RANDOM[kind](draft, sample))
    return fields(draft, message), lambda: bytes(to_bytes(message.serialize(prof=profile_for(draft))))


def to_bytes(buf):
    return buf if isinstance(buf, bytes) else buf.data_slice(0, buf.tell())


# --- what a message says ----------------------------------------------------------------------------------------------

def fields(draft, message):
    kind = word(type(message))
    parameters = Parameters(getattr(message, "parameters", None))
    said = {"message": kind, **READ[kind](draft, message, parameters)}
    return {**said, "unread": parameters.rest()}


def setup(draft, m, p, versions):
    own = {0x02: "max_request_id", 0x04: "max_auth_token_cache_size"}
    texts = {0x01: "path", 0x05: "authority", 0x07: "implementation"}
    said = {name: p.pop(key) or 0 for key, name in own.items()}
    said |= {name: None if (value := p.pop(key)) is None else octets(value) for key, name in texts.items()}
    said |= {"versions": versions if draft == 14 else [], "authorization_tokens": p.tokens()}
    said["unknown"] = p.rest()
    p.left.clear()
    return said


def named(m):
    return {"request_id": m.request_id, "namespace": namespace(m.track_namespace), "name": octets(m.track_name)}


def wishes(m, p):
    """What a subscriber asks for; draft-16 leaves out what is the default (§9.2.2)."""
    return {
        "subscriber_priority": DEFAULT_PRIORITY if m.priority is None else m.priority,
        "group_order": int(m.group_order or 0),
        "forward": m.forward is None or bool(m.forward),
        "filter": selection(m.filter_type, m.start_group, m.start_object, m.end_group),
        "delivery_timeout": p.pop(0x02),
        "new_group_request": p.pop(0x32),
    }


def subscribe(draft, m, p):
    return {**named(m), **wishes(m, p), "authorization_tokens": p.tokens()}


def subscribe_ok(draft, m, p):
    return {"request_id": m.request_id, "track_alias": m.track_alias, **track_status_ok(draft, m, p)}


def track_status_ok(draft, m, p):
    return {
        "request_id": m.request_id, "expires": m.expires or None,
        "largest": location(m.largest_group_id, m.largest_object_id), "track": track_of(draft, m, p),
    }


def track_of(draft, m, p):
    if draft == 14:
        return track({}, m.group_order, delivery_timeout=p.pop(0x02), max_cache_duration=p.pop(0x04))
    return track(m.track_extensions, m.group_order)


def subscribe_update(draft, m, p):
    last = m.end_group - 1 if m.end_group else None
    kind = 3 if last is None else 4
    return {
        "request_id": m.request_id, "existing_request_id": m.subscription_request_id,
        "filter": selection(kind, m.start_group, m.start_object, last), "subscriber_priority": m.priority,
        "forward": bool(m.forward), "delivery_timeout": p.pop(0x02), "authorization_tokens": p.tokens(),
    }


def request_update(draft, m, p):
    forward = p.pop(0x10)
    return {
        "request_id": m.request_id, "existing_request_id": m.existing_request_id,
        "filter": filter_parameter(p.pop(0x21), profile_for(draft)), "subscriber_priority": p.pop(0x20),
        "forward": None if forward is None else bool(forward), "delivery_timeout": p.pop(0x02),
        "new_group_request": p.pop(0x32), "authorization_tokens": p.tokens(),
    }


def request_ok(draft, m, p):
    largest = p.pop(0x09)
    if largest is not None:
        buf = Buffer(data=largest)
        largest = [buf.pull_vint(), buf.pull_vint()]
    return {"request_id": m.request_id, "expires": p.pop(0x08) or None, "largest": largest}


def publish(draft, m, p):
    return {
        **named(m), "track_alias": m.track_alias, "largest": location(m.largest_group_id, m.largest_object_id),
        "forward": m.forward is None or bool(m.forward), "expires": p.pop(0x08) or None,
        "authorization_tokens": p.tokens(), "track": track_of(draft, m, p),
    }


def publish_ok(draft, m, p):
    return {"request_id": m.request_id, **wishes(m, p), "expires": p.pop(0x08) or None}


def fetch(draft, m, p):
    if m.fetch_type == 1:
        asked = {"namespace": namespace(m.namespace), "name": octets(m.track_name),
                 "start": location(m.start_group, m.start_object), "end": end(m.end_group, m.end_object)}
    else:
        asked = {"joining_request_id": m.joining_request_id, "joining_start": m.joining_start}
    return {
        "request_id": m.request_id, "range": {"type": int(m.fetch_type), **asked},
        "subscriber_priority": m.subscriber_priority, "group_order": int(m.group_order),
        "authorization_tokens": p.tokens(),
    }


def fetch_ok(draft, m, p):
    if draft == 14:  # the order is the response's, not the track's
        said = track({}, max_cache_duration=p.pop(0x04))
    else:
        said = track(m.track_extensions)
    return {
        "request_id": m.request_id, "group_order": None if m.group_order is None else int(m.group_order),
        "end_of_track": bool(m.end_of_track), "end": end(m.largest_group_id, m.largest_object_id), "track": said,
    }


def failed(draft, m, p):
    return {"request_id": m.request_id, "error_code": int(m.error_code), "reason": octets(m.reason),
            "retry_interval": getattr(m, "retry_interval", 0)}


def publish_done(draft, m, p):
    return {"request_id": m.request_id, "status_code": int(m.status_code), "stream_count": m.stream_count,
            "reason": octets(m.reason)}


def only_id(draft, m, p):
    return {"request_id": m.request_id}


def publish_namespace(draft, m, p):
    return {"request_id": m.request_id, "namespace": namespace(m.namespace), "authorization_tokens": p.tokens()}


def withdrawn(draft, m):
    return {"namespace": namespace(m.namespace)} if draft == 14 else {"request_id": m.request_id}


def publish_namespace_cancel(draft, m, p):
    return {**withdrawn(draft, m), "error_code": int(m.error_code), "reason": octets(m.reason)}


def subscribe_namespace(draft, m, p):
    forward = p.pop(0x10)
    return {
        "request_id": m.request_id, "prefix": namespace(m.namespace_prefix),
        "options": 2 if draft == 14 else m.subscribe_options, "forward": forward is None or bool(forward),
        "authorization_tokens": p.tokens(),
    }


READ = {
    "CLIENT_SETUP": lambda draft, m, p: setup(draft, m, p, m.versions),
    "SERVER_SETUP": lambda draft, m, p: setup(draft, m, p, [m.selected_version]),
    "GOAWAY": lambda draft, m, p: {"new_session_uri": octets(m.new_session_uri)},
    "MAX_REQUEST_ID": lambda draft, m, p: {"max_request_id": m.request_id},
    "REQUESTS_BLOCKED": lambda draft, m, p: {"max_request_id": m.maximum_request_id},
    "SUBSCRIBE": subscribe,
    "SUBSCRIBE_OK": subscribe_ok,
    "SUBSCRIBE_ERROR": failed,
    "SUBSCRIBE_UPDATE": subscribe_update,
    "UNSUBSCRIBE": only_id,
    "PUBLISH": publish,
    "PUBLISH_OK": publish_ok,
    "PUBLISH_ERROR": failed,
    "PUBLISH_DONE": publish_done,
    "FETCH": fetch,
    "FETCH_OK": fetch_ok,
    "FETCH_ERROR": failed,
    "FETCH_CANCEL": only_id,
    "TRACK_STATUS": subscribe,
    "TRACK_STATUS_OK": track_status_ok,
    "TRACK_STATUS_ERROR": failed,
    "PUBLISH_NAMESPACE": publish_namespace,
    "PUBLISH_NAMESPACE_OK": only_id,
    "PUBLISH_NAMESPACE_ERROR": failed,
    "PUBLISH_NAMESPACE_DONE": lambda draft, m, p: withdrawn(draft, m),
    "PUBLISH_NAMESPACE_CANCEL": publish_namespace_cancel,
    "SUBSCRIBE_NAMESPACE": subscribe_namespace,
    "SUBSCRIBE_NAMESPACE_OK": only_id,
    "SUBSCRIBE_NAMESPACE_ERROR": failed,
    "UNSUBSCRIBE_NAMESPACE": lambda draft, m, p: {"prefix": namespace(m.namespace_prefix)},
    "REQUEST_OK": request_ok,
    "REQUEST_ERROR": failed,
    "REQUEST_UPDATE": request_update,
    "NAMESPACE": lambda draft, m, p: {"suffix": namespace(m.namespace_suffix)},
    "NAMESPACE_DONE": lambda draft, m, p: {"suffix": namespace(m.namespace_suffix)},
}


# --- random messages, as the arguments of their classes ---------------------------------------------------------------

def random_setup(draft, s):
    parameters = {key: make() for key, make in (
        (0x01, lambda: "/" + s.text()), (0x02, s.number), (0x03, s.token), (0x04, s.number),
        (0x05, lambda: "example.net:4433"), (0x07, s.text)) if s.chance(0.5)}
    return {"parameters": {**parameters, **s.unknown()}}


def random_client_setup(draft, s):
    versions = {"versions": [s.number() for _ in range(s.choice((1, 3)))]} if draft == 14 else {}
    return {**versions, **random_setup(draft, s)}


def random_server_setup(draft, s):
    return {**({"selected_version": VERSIONS[14]} if draft == 14 else {}), **random_setup(draft, s)}


def random_name(draft, s):
    return {"request_id": s.number(), "track_namespace": s.namespace(draft), "track_name": s.octets()}


def random_wishes(draft, s, own_order=True):
    """Draft-16 leaves out what is None; draft-14's PUBLISH_OK has no order of the publisher's (§9.14)."""
    orders = (0, 1, 2) if own_order else (1, 2)
    wishes = {"priority": s.byte(), "group_order": s.choice(orders), "forward": s.choice((0, 1)), **s.filter()}
    if draft == 14:
        return wishes
    return {name: value for name, value in wishes.items() if name in FILTER or s.chance(0.7)} \
        if s.chance(0.7) else {name: value for name, value in wishes.items() if name not in FILTER}


FILTER = {"filter_type", "start_group", "start_object", "end_group"}


def random_subscribe(draft, s):
    return {**random_name(draft, s), **random_wishes(draft, s),
            "parameters": s.parameters(draft, delivery_timeout=True, token=True, new_group_request=draft == 16)}


def random_track_status(draft, s):
    """Draft-16's carries track and tokens only."""
    if draft == 14:
        return random_subscribe(draft, s)
    return {**random_name(draft, s), "parameters": s.parameters(draft, token=True)}


def random_track(draft, s):
    largest = s.largest()
    exists = ContentExistsCode.EXISTS if largest else ContentExistsCode.NO_CONTENT
    order = s.choice((GroupOrder.ASCENDING, GroupOrder.DESCENDING))
    own = {} if draft == 14 else {"track_extensions": s.track_extensions()}
    return {**largest, "content_exists": exists, "group_order": order, **own}


def random_subscribe_ok(draft, s):
    cached = s.parameters(draft, delivery_timeout=draft == 14, max_cache_duration=draft == 14)
    return {"request_id": s.number(), "track_alias": s.number(), "expires": s.number(), **random_track(draft, s),
            "parameters": cached}


def random_track_status_ok(draft, s):
    return {**random_subscribe_ok(draft, s), "track_alias": 0}  # §9.21: it means nothing


def random_subscribe_update(draft, s):
    start, last = s.ascending()
    return {"request_id": s.number(), "subscription_request_id": s.number(), "start_group": start,
            "start_object": s.number(), "end_group": s.choice((0, last + 1)), "priority": s.byte(),
            "forward": s.choice((0, 1)), "parameters": s.parameters(draft, delivery_timeout=True, token=True)}


def random_request_update(draft, s):
    parameters = s.parameters(draft, delivery_timeout=True, token=True, forward=True, priority=True,
                              new_group_request=True)
    if s.chance(0.5):
        chosen = s.filter()
        buf = Buffer(capacity=64)
        for value in (chosen["filter_type"], chosen["start_group"], chosen["start_object"], chosen["end_group"]):
            if value is not None:
                buf.push_vint(value)
        parameters[0x21] = to_bytes(buf)
    return {"request_id": s.number(), "existing_request_id": s.number(), "parameters": parameters}


def random_request_ok(draft, s):
    parameters = s.parameters(draft, expires=True)
    if s.chance(0.5):
        buf = Buffer(capacity=16)
        buf.push_vint(s.number())
        buf.push_vint(s.number())
        parameters[0x09] = to_bytes(buf)
    return {"request_id": s.number(), "parameters": parameters}


def random_publish(draft, s):
    return {**random_name(draft, s), "track_alias": s.number(), **random_track(draft, s),
            "forward": s.choice((0, 1)) if draft == 14 else s.choice((None, 0, 1)),
            "parameters": s.parameters(draft, token=True, delivery_timeout=draft == 14,
                                       max_cache_duration=draft == 14, expires=draft == 16)}


def random_publish_ok(draft, s):
    return {"request_id": s.number(), **random_wishes(draft, s, own_order=draft == 16),
            "parameters": s.parameters(draft, delivery_timeout=True, expires=draft == 16,
                                       new_group_request=draft == 16)}


def random_fetch(draft, s):
    kind = s.choice((1, 2, 3))
    start, last = s.ascending()
    if kind == 1:
        asked = {"namespace": s.namespace(draft), "track_name": s.octets(), "start_group": start,
                 "start_object": s.number(), "end_group": last, "end_object": s.number()}
    else:
        asked = {"joining_request_id": s.number(), "joining_start": s.number()}
    return {"fetch_type": kind, "request_id": s.number(), "subscriber_priority": s.byte(),
            "group_order": s.choice((0, 1, 2) if draft == 14 else (1, 2)), **asked,
            "parameters": s.parameters(draft, token=True)}


def random_fetch_ok(draft, s):
    own = {"track_extensions": s.track_extensions()} if draft == 16 else {}
    orders = (1, 2) if draft == 14 else (None, 1, 2)
    return {"request_id": s.number(), "group_order": s.choice(orders), "end_of_track": s.choice((0, 1)),
            "largest_group_id": s.number(), "largest_object_id": s.number(),
            "parameters": s.parameters(draft, max_cache_duration=draft == 14), **own}


def random_error(draft, s):
    return {"request_id": s.number(), "error_code": s.number(), "reason": s.text()}


def random_request_error(draft, s):
    return {**random_error(draft, s), "retry_interval": s.number()}


def random_publish_done(draft, s):
    count = MAX if s.chance(0.25) else s.number()  # the largest: nobody counted
    return {"request_id": s.number(), "status_code": s.number(), "stream_count": count, "reason": s.text()}


def random_id(draft, s):
    return {"request_id": s.number()}


def random_publish_namespace(draft, s):
    return {"request_id": s.number(), "namespace": s.namespace(draft), "parameters": s.parameters(draft, token=True)}


def random_withdrawal(draft, s):
    return {"namespace": s.namespace(draft)} if draft == 14 else {"request_id": s.number()}


def random_cancel(draft, s):
    return {**random_withdrawal(draft, s), "error_code": s.number(), "reason": s.text()}


def random_subscribe_namespace(draft, s):
    own = {"subscribe_options": s.choice((0, 1, 2))} if draft == 16 else {}
    return {"request_id": s.number(), "namespace_prefix": s.namespace(draft, least=1 if draft == 14 else 0), **own,
            "parameters": s.parameters(draft, token=True, forward=draft == 16)}


def random_suffix(draft, s):
    return {"namespace_suffix": s.namespace(draft, least=0)}


RANDOM = {
    "CLIENT_SETUP": random_client_setup,
    "SERVER_SETUP": random_server_setup,
    "GOAWAY": lambda draft, s: {"new_session_uri": s.text()},
    "MAX_REQUEST_ID": random_id,
    "REQUESTS_BLOCKED": lambda draft, s: {"maximum_request_id": s.number()},
    "SUBSCRIBE": random_subscribe,
    "SUBSCRIBE_OK": random_subscribe_ok,
    "SUBSCRIBE_ERROR": random_error,
    "SUBSCRIBE_UPDATE": random_subscribe_update,
    "UNSUBSCRIBE": random_id,
    "PUBLISH": random_publish,
    "PUBLISH_OK": random_publish_ok,
    "PUBLISH_ERROR": random_error,
    "PUBLISH_DONE": random_publish_done,
    "FETCH": random_fetch,
    "FETCH_OK": random_fetch_ok,
    "FETCH_ERROR": random_error,
    "FETCH_CANCEL": random_id,
    "TRACK_STATUS": random_track_status,
    "TRACK_STATUS_OK": random_track_status_ok,
    "TRACK_STATUS_ERROR": random_error,
    "PUBLISH_NAMESPACE": random_publish_namespace,
    "PUBLISH_NAMESPACE_OK": random_id,
    "PUBLISH_NAMESPACE_ERROR": random_error,
    "PUBLISH_NAMESPACE_DONE": random_withdrawal,
    "PUBLISH_NAMESPACE_CANCEL": random_cancel,
    "SUBSCRIBE_NAMESPACE": random_subscribe_namespace,
    "SUBSCRIBE_NAMESPACE_OK": random_id,
    "SUBSCRIBE_NAMESPACE_ERROR": random_error,
    "UNSUBSCRIBE_NAMESPACE": lambda draft, s: {"namespace_prefix": s.namespace(draft)},
    "REQUEST_OK": random_request_ok,
    "REQUEST_ERROR": random_request_error,
    "REQUEST_UPDATE": random_request_update,
    "NAMESPACE": random_suffix,
    "NAMESPACE_DONE": random_suffix,
}
