"""Announce a namespace, wait for SUBSCRIBE, send the objects, end the track.

Says `announced` on stderr once PUBLISH_NAMESPACE was accepted, `sent` once
PUBLISH_DONE is written, and then stays connected (closing would discard what is
still in flight) until it is told to go with SIGTERM or SIGINT.
"""

import asyncio
import signal

from aiomoqt.types import MOQTMessageType, RequestErrorCode, SubscribeDoneCode

from objects import location, payload
from peer import Failure, client, flags, run, say, set_up


class Publisher:
    """Serves one track, named by namespace and track name, to one subscription."""

    def __init__(self, args):
        self.namespace = tuple(field.encode() for field in args.namespace.split("/"))
        self.track = args.track.encode()
        self.objects = args.objects
        self.subscription = asyncio.get_running_loop().create_future()

    async def on_subscribe(self, session, subscribe) -> None:
        """Answer SUBSCRIBE: OK for our track, once; DOES_NOT_EXIST for all else."""
        asked = (tuple(subscribe.track_namespace), subscribe.track_name)
        if asked != (self.namespace, self.track) or self.subscription.done():
            session.subscribe_error(request_id=subscribe.request_id,
                                    error_code=RequestErrorCode.DOES_NOT_EXIST,
                                    reason="track does not exist")
            return
        answer = session.subscribe_ok(request_msg=subscribe)
        self.subscription.set_result((subscribe, answer.track_alias))

    async def send(self, session, subscribe, track_alias) -> None:
        """One subgroup stream a group, each ended by FIN, then PUBLISH_DONE."""
        if subscribe.forward == 0:
            raise Failure("the relay subscribed with Forward State 0")
        streams = 0
        stream = header = None
        for index in range(self.objects):
            group, object_id = location(index)
            if object_id == 0:
                if stream is not None:
                    session.stream_fin(stream)
                stream = await session.open_uni_stream()
                streams += 1
                header = session.subgroup_header(track_alias, group, subgroup_id=0)
                session.stream_write(stream, header.serialize().data)
            data = header.next_object(payload=payload(index).encode(), object_id=object_id)
            await session.stream_write_drain(stream, data.data)
        if stream is not None:
            session.stream_fin(stream)
        session.subscribe_done(request_id=subscribe.request_id,
                               status_code=SubscribeDoneCode.TRACK_ENDED,
                               stream_count=streams, reason="track ended")


async def publish(args) -> None:
    publisher = Publisher(args)
    peer = client(args)
    peer.register_handler(MOQTMessageType.SUBSCRIBE, publisher.on_subscribe)
    async with peer.connect() as session:
        await set_up(session, args)
        await session.publish_namespace(namespace=args.namespace, wait_response=True)
        say("announced")
        subscribe, track_alias = await publisher.subscription
        # From here on a signal waits until all is sent; before, it ends the program with failure.
        told_to_go = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, told_to_go.set)
        await publisher.send(session, subscribe, track_alias)
        say("sent")
        await told_to_go.wait()
        session.close()


if __name__ == "__main__":
    raise SystemExit(run(publish, flags(__doc__).parse_args()))
