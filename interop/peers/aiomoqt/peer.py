"""What publisher and subscriber share: their flags, the session, how they end."""

import argparse
import asyncio
import logging
import sys
from collections.abc import Awaitable, Callable

from aiomoqt.client import MOQTClient
from aiomoqt.utils.logger import set_log_level
from aiomoqt.utils.url import parse_relay_url

CONNECT_SECONDS = 10


class Failure(Exception):
    """The check failed; the text says what was expected and what came."""


def flags(description: str) -> argparse.ArgumentParser:
    """The flags that both programs take."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--url", required=True,
                        help="moqt://HOST:PORT/ is raw QUIC, https://HOST:PORT/ is WebTransport")
    parser.add_argument("--draft", type=int, choices=(14, 16), required=True,
                        help="the only draft that is offered")
    parser.add_argument("--namespace", required=True, help="fields separated by /")
    parser.add_argument("--track", required=True)
    parser.add_argument("--objects", type=int, default=1000)
    parser.add_argument("--deadline", type=float, default=30,
                        help="seconds after which to give up with exit 1")
    return parser


def client(args: argparse.Namespace) -> MOQTClient:
    """A client for the URL's transport; the certificate is not verified."""
    relay = parse_relay_url(args.url)
    return MOQTClient(relay.host, relay.port, path=relay.path or "", use_quic=relay.use_quic,
                      verify_tls=False, supported_drafts=args.draft)


async def set_up(session, args: argparse.Namespace) -> None:
    """Complete SETUP and make sure that the pinned draft was negotiated."""
    await session.client_session_init(timeout=CONNECT_SECONDS)
    if session.negotiated_draft != args.draft:
        raise Failure(f"draft-{session.negotiated_draft} was negotiated, not draft-{args.draft}")


def say(word: str) -> None:
    """Tell whoever started this program how far it is."""
    print(word, file=sys.stderr, flush=True)


def run(work: Callable[[argparse.Namespace], Awaitable[None]], args: argparse.Namespace) -> int:
    """Run `work` until it ends or the deadline passes; the exit code."""
    set_log_level(logging.WARNING)
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)

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
