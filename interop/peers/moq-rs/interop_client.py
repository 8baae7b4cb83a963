"""moq-rs as a client of the interop runner: RELAY_URL names the relay, stdout is TAP 14.

    interop_client.py

The library shows no single messages, so its cases are what its user sees: a session, a broadcast that another
session finds, and its objects. The draft is the relay's to choose. Exit status: 0 all passed, 1 one failed.
"""

import asyncio
import json
import os
import time
import uuid

import moq

TRACK = "track"
LIMIT = 5.0
FRAMES = [f"frame {number}".encode() for number in range(10)]


def connect():
    return moq.connect(os.environ["RELAY_URL"], tls_verify=False, reconnect=False, websocket_enabled=False)


def namespace(case: str) -> str:
    return f"moq-rs/{case}/{uuid.uuid4().hex}"


async def setup_only() -> str:
    async with connect():
        return "a session"


async def namespace_discovery() -> str:
    name = namespace("namespace-discovery")
    async with connect() as publisher, connect() as subscriber:
        broadcast = publisher.create_broadcast(name)
        broadcast.announce()
        await subscriber.announced_broadcast(name)
        return "the broadcast, announced"


async def publish_subscribe() -> str:
    name = namespace("publish-subscribe")
    async with connect() as publisher, connect() as subscriber:
        broadcast = publisher.create_broadcast(name)
        track = broadcast.publish_track(TRACK)
        broadcast.announce()

        async def write() -> None:
            await track.used()
            group = track.append_group()
            for frame in FRAMES:
                group.write_frame(frame)
            group.finish()
            await asyncio.sleep(LIMIT)

        writing = asyncio.create_task(write())
        try:
            found = await subscriber.announced_broadcast(name)
            group = await (await found.subscribe_track(TRACK)).recv_group()
            frames = [frame.payload async for frame in group]
        finally:
            writing.cancel()
        if frames != FRAMES:
            raise RuntimeError(f"{len(frames)} frames came, not the {len(FRAMES)} that were sent")
        return f"{len(frames)} objects"


CASES = {
    "setup-only": setup_only,
    "namespace-discovery": namespace_discovery,
    "publish-subscribe": publish_subscribe,
}


async def main() -> int:
    print("TAP version 14")
    print(f"# Relay: {os.environ['RELAY_URL']}")
    print(f"1..{len(CASES)}", flush=True)
    failed = 0
    for number, (name, case) in enumerate(CASES.items(), 1):
        began = time.monotonic()
        try:
            async with asyncio.timeout(LIMIT):
                verdict, key, said = "ok", "received", await case()
        except TimeoutError:
            verdict, key, said = "not ok", "message", f"not done after {LIMIT:g} s"
        except Exception as error:  # whatever the library raises is the case's failure
            verdict, key, said = "not ok", "message", f"{type(error).__name__}: {error}"
        failed += verdict != "ok"
        print(f"{verdict} {number} - {name}\n  ---")
        print(f"  duration_ms: {round((time.monotonic() - began) * 1000)}")
        print(f"  {key}: {json.dumps(said)}\n  ...", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(asyncio.run(main()))
