"""Subscribe to a track and print the payload of every object, one a line.

Says `subscribed` on stderr once SUBSCRIBE_OK came; while the track does not
exist yet, asks again. When all objects are there, prints them in the order of
their Locations. An object that comes twice, or too few objects before the
deadline, end with exit 1.
"""

import asyncio
import sys

from aiomoqt.track import SubscribedTrack
from aiomoqt.types import (MOQTRequestError, ObjectStatus, RequestErrorCode, SubscribeErrorCode)

from peer import Failure, client, flags, run, say, set_up

# Draft-14 and draft-16 name an unknown track with different codes.
NOT_THERE = {14: SubscribeErrorCode.TRACK_DOES_NOT_EXIST, 16: RequestErrorCode.DOES_NOT_EXIST}
AGAIN_SECONDS = 0.1


class Received:
    """The objects so far, by Location."""

    def __init__(self, wanted: int):
        self.wanted = wanted
        self.objects = {}
        self.all_there = asyncio.get_running_loop().create_future()

    def on_object(self, message, _size, _time, group_id=None, _subgroup_id=None) -> None:
        """Keep one object; the library reuses `message`, so its payload is copied."""
        if self.all_there.done() or message.status not in (None, ObjectStatus.NORMAL):
            return
        group = getattr(message, "group_id", None)
        where = (group_id if group is None else group, message.object_id)
        if where in self.objects:
            self.all_there.set_exception(Failure(f"object {where[0]}:{where[1]} came twice"))
            return
        self.objects[where] = bytes(message.payload or b"")
        if len(self.objects) == self.wanted:
            self.all_there.set_result(None)

    def lines(self) -> bytes:
        """Every payload and a newline, in the order of Locations."""
        return b"".join(data + b"\n" for _, data in sorted(self.objects.items()))


async def subscribe_when_there(session, args, on_object) -> None:
    """SUBSCRIBE until the answer is not that the track does not exist."""
    while True:
        track = SubscribedTrack(session, args.namespace, args.track, on_object=on_object)
        try:
            await track.subscribe()
            return
        except MOQTRequestError as error:
            if error.error_code != NOT_THERE[args.draft]:
                raise
        await asyncio.sleep(AGAIN_SECONDS)


async def subscribe(args) -> None:
    received = Received(args.objects)
    async with client(args).connect() as session:
        await set_up(session, args)
        await subscribe_when_there(session, args, received.on_object)
        say("subscribed")
        try:
            await received.all_there
        except asyncio.CancelledError:
            say(f"error: {len(received.objects)} of {args.objects} objects came")
            raise
        session.close()
    sys.stdout.buffer.write(received.lines())


if __name__ == "__main__":
    raise SystemExit(run(subscribe, flags(__doc__).parse_args()))
