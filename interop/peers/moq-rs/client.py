"""moq-rs as a client: publish a track to a server, or print the payloads of one that it serves.

    client.py publish|subscribe --url URL --namespace PATH --track NAME [--objects N] [--deadline SECONDS]

moqt:// URLs are raw QUIC, https:// WebTransport. The draft is the server's to choose.
"""

import asyncio

import moq

from peer import flags, publish, run, subscribe


async def work(args) -> None:
    async with moq.connect(args.url, tls_verify=False, reconnect=False, websocket_enabled=False) as client:
        if args.role == "publish":
            await publish(client.create_broadcast(args.namespace), args)
        else:
            await subscribe(await client.announced_broadcast(args.namespace), args)


if __name__ == "__main__":
    parser = flags(__doc__)
    parser.add_argument("--url", required=True)
    raise SystemExit(run(work, parser.parse_args()))
