"""`python -m tests.hosts.relay HOST:PORT=HOST:PORT[,HOST:PORT...] ...`: carries TCP connections from a listener on.

Of several targets each connection takes the next one in turn, and another when that one does not answer, as a load
balancer does. A peer that is gone silently is noticed within seconds.
"""

import asyncio
import itertools
import socket
import sys
from collections.abc import Iterator
from contextlib import suppress

CONNECT_SECONDS = 1.0
SILENT_MILLISECONDS = 4_000
CHUNK_BYTES = 65_536


async def main(rules: list[str]) -> None:
    """Relay until a signal comes."""
    servers = [await _listen(*rule.split("=")) for rule in rules]
    await asyncio.gather(*(server.serve_forever() for server in servers))


async def _listen(listener: str, targets: str) -> asyncio.Server:
    turns = itertools.cycle(range(len(targets.split(","))))

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
            onward = await _connect(list(_in_turn(targets.split(","), next(turns))))
            async with asyncio.TaskGroup() as group:
                group.create_task(_copy(reader, onward[1]))
                group.create_task(_copy(onward[0], writer))
        writer.close()

    host, port = listener.split(":")
    return await asyncio.start_server(take, host, int(port), backlog=512)


def _in_turn(targets: list[str], first: int) -> Iterator[str]:
    return itertools.chain(targets[first:], targets[:first])


async def _connect(targets: list[str]) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    for number, target in enumerate(targets, 1):
        host, port = target.split(":")
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                found = await asyncio.open_connection(host, int(port))
        except (OSError, TimeoutError):
            if number == len(targets):
                raise
            continue
        _notice_silence(found[1].get_extra_info("socket"))
        return found
    raise OSError("no target")


def _notice_silence(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in ((socket.TCP_KEEPIDLE, 1), (socket.TCP_KEEPINTVL, 1), (socket.TCP_KEEPCNT, 3)):
        connection.setsockopt(socket.IPPROTO_TCP, option, value)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, SILENT_MILLISECONDS)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while chunk := await reader.read(CHUNK_BYTES):
            writer.write(chunk)
            await writer.drain()
        writer.write_eof()
    except OSError:
        # One side broke: neither hears more of the other.
        writer.close()


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(main(sys.argv[1:]))
