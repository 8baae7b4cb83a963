"""Join a track that is under way, and print the payload of every object, one a line.

SUBSCRIBE and a Relative Joining FETCH leave together. Says `joined` on stderr
once both were accepted. When all objects are there, prints them in the order of
their Locations. An object that comes twice, or too few objects before the
deadline, end with exit 1.
"""

import asyncio
import sys

from peer import client, flags, run, say, set_up
from subscribe import Received


async def join(args) -> None:
    received = Received(args.objects)
    async with client(args).connect() as session:
        await set_up(session, args)
        session.on_fetch_object = received.on_object
        await session.join(args.namespace, args.track, joining_start=args.back,
                           on_object=received.on_object, wait_response=True)
        say("joined")
        try:
            await received.all_there
        except asyncio.CancelledError:
            say(f"error: {len(received.objects)} of {args.objects} objects came")
            raise
        session.close()
    sys.stdout.buffer.write(received.lines())


if __name__ == "__main__":
    parser = flags(__doc__)
    parser.add_argument("--back", type=int, default=2,
                        help="how many groups before the current one to begin")
    raise SystemExit(run(join, parser.parse_args()))
