"""What client and server share: their flags, writing and reading a track, how they end."""

import argparse
import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable

import moq

from objects import GROUP_SIZE, payload

# Late groups are wanted too: the default is to let go of a group when a newer one has come.
PATIENCE_US = 60_000_000


def flags(description: str) -> argparse.ArgumentParser:
    """The flags that both programs take."""
    parser = argparse.ArgumentParser(description=description,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("role", choices=("publish", "subscribe"))
    parser.add_argument("--namespace", required=True, help="fields separated by /")
    parser.add_argument("--track", required=True)
    parser.add_argument("--objects", type=int, default=1000)
    parser.add_argument("--deadline", type=float, default=30,
                        help="seconds after which to give up with exit 1")
    return parser


def say(word: str) -> None:
    """Tell whoever started this program how far it is."""
    print(word, file=sys.stderr, flush=True)


async def publish(broadcast, args) -> None:
    """Announce, wait for a subscriber, write the objects, end the track; then stay until told to go."""
    told_to_go = asyncio.Event()
    track = broadcast.publish_track(args.track, moq.TrackInfo(max_age_us=PATIENCE_US))
    broadcast.announce()
    say("announced")
    await track.used()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, told_to_go.set)
    for first in range(0, args.objects, GROUP_SIZE):
        group = track.append_group()
        for index in range(first, min(first + GROUP_SIZE, args.objects)):
            group.write_frame(payload(index).encode())
        group.finish()
        # The library's own tasks run beside this one.
        await asyncio.sleep(0)
    track.finish()
    say("sent")
    await told_to_go.wait()


async def subscribe(broadcast, args) -> None:
    """Print the payload of every object, one a line, in the order of groups; say `received` when all are there."""
    track = await broadcast.subscribe_track(args.track, moq.Subscription(max_age_us=PATIENCE_US))
    say("subscribed")
    # In the order of arrival: in that of sequence the library passes over groups that come late.
    groups = {}
    while sum(map(len, groups.values())) < args.objects:
        group = await track.recv_group()
        if group is None:
            raise RuntimeError(f"the track ended after {sum(map(len, groups.values()))} objects")
        groups[group.sequence] = [frame.payload async for frame in group]
    say("received")
    if await track.recv_group() is not None:
        raise RuntimeError(f"more than {args.objects} objects came")
    for _, payloads in sorted(groups.items()):
        sys.stdout.buffer.write(b"".join(line + b"\n" for line in payloads))


def run(work: Callable[[argparse.Namespace], Awaitable[None]], args: argparse.Namespace) -> int:
    """Run `work` until it ends or the deadline passes; the exit code."""
    async def bounded() -> None:
        async with asyncio.timeout(args.deadline):
            await work(args)

    try:
        asyncio.run(bounded())
    except TimeoutError:
        say(f"error: not finished after {args.deadline:g} s")
        return 1
    except Exception as error:  # whatever the library raises ends the check with its name
        say(f"error: {type(error).__name__}: {error}")
        return 1
    return 0
