"""moq-rs as a relay: a server that serves to each client what the others publish.

    interop_relay.py --port PORT

Says `listening HOST:PORT` on stderr. It serves raw QUIC and WebTransport; the draft is the client's to choose.
"""

import argparse
import asyncio

import moq

from peer import say


async def work(port: int) -> None:
    origin = moq.OriginProducer()
    async with moq.Server(f"127.0.0.1:{port}", tls_generate=["localhost"], publish=origin, subscribe=origin) as server:
        say(f"listening {server.local_addr}")
        await server.serve()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, required=True)
    asyncio.run(work(parser.parse_args().port))
