"""moq.Server: publish a track to those who connect, or print the payloads of one that a client publishes.

    server.py publish|subscribe --namespace PATH --track NAME [--objects N] [--deadline SECONDS]

Says `listening HOST:PORT` on stderr. It serves raw QUIC and WebTransport; the draft is the client's to choose.
"""

import asyncio

import moq

from peer import flags, publish, run, say, subscribe


async def work(args) -> None:
    origin = moq.OriginProducer()
    server = moq.Server("127.0.0.1:0", tls_generate=["localhost"], publish=origin, subscribe=origin)
    async with server:
        say(f"listening {server.local_addr}")
        serving = asyncio.create_task(server.serve())
        try:
            if args.role == "publish":
                await publish(origin.create_broadcast(args.namespace), args)
            else:
                await subscribe(await origin.consume().announced_broadcast(args.namespace), args)
        finally:
            serving.cancel()


if __name__ == "__main__":
    raise SystemExit(run(work, flags(__doc__).parse_args()))
