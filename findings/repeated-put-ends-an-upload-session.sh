#!/usr/bin/env bash
# Expected: a client that gets no answer to a PUT of an upload session's piece raises an error, and the caller then asks the
#           session which byte it expects next, as the guides of resumable uploads say.
# Seen:     aiohttp's client repeats a PUT by itself, once, when the server took the request and closed the connection without
#           an answer, on a new connection as well as on a kept one. The session has the piece already and answers 416 to the
#           second copy, so the caller sees a refusal of its range, which is final by its status, instead of a lost answer. httpx
#           repeats nothing.
# Versions: aiohttp 3.14.5, httpx 0.28.1.
# Source:   Microsoft Graph, "Attach large files to Outlook messages or events" (pieces in order, each once); RFC 9110 9.2.2 (PUT is
#           idempotent, which a piece with Content-Range is not for such a session); the output below was seen by running this file.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT; cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check aiohttp==3.14.5 httpx==0.28.1
cat > upload.py <<'P'
import asyncio

import aiohttp
import httpx


class Session:
    """An upload session of eight bytes that takes its pieces in order; it loses its answer to one of them."""

    def __init__(self) -> None:
        self.received, self.seen, self.is_lossy = 0, 0, True

    async def serve(self, reader, writer) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                fields = dict(line.lower().split(": ", 1) for line in head.decode().split("\r\n")[1:] if line)
                await reader.readexactly(int(fields.get("content-length", 0)))
                status = "200 OK"
                if head.startswith(b"PUT"):
                    self.seen += 1
                    first, last = (int(end) for end in fields["content-range"].split()[1].split("/")[0].split("-"))
                    if first != self.received:
                        status = "416 Range Not Satisfiable"
                    else:
                        self.received = last + 1
                        if self.is_lossy:
                            self.is_lossy = False
                            break
                writer.write(f"HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n".encode())
                await writer.drain()
        except asyncio.IncompleteReadError:
            pass
        writer.close()


async def by_aiohttp(url: str, is_kept: bool) -> str:
    async with aiohttp.ClientSession() as client:
        if is_kept:
            async with client.get(url) as answer:
                await answer.read()
        try:
            async with client.put(url, data=b"abcd", headers={"content-range": "bytes 0-3/8"}) as answer:
                return str(answer.status)
        except aiohttp.ClientError as error:
            return type(error).__name__


async def by_httpx(url: str, is_kept: bool) -> str:
    async with httpx.AsyncClient(trust_env=False) as client:
        if is_kept:
            await client.get(url)
        try:
            return str((await client.put(url, content=b"abcd", headers={"content-range": "bytes 0-3/8"})).status_code)
        except httpx.TransportError as error:
            return type(error).__name__


async def main() -> None:
    for name, send in (("aiohttp", by_aiohttp), ("httpx", by_httpx)):
        for is_kept in (False, True):
            session = Session()
            server = await asyncio.start_server(session.serve, "127.0.0.1", 0)
            url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/session"
            outcome = await send(url, is_kept)
            print(f"{name}, {'kept' if is_kept else 'new'} connection: {outcome}, {session.seen} PUT seen")
            server.close()


asyncio.run(main())
P
venv/bin/python upload.py | tee seen
diff -u - seen <<'O'
aiohttp, new connection: 416, 2 PUT seen
aiohttp, kept connection: 416, 2 PUT seen
httpx, new connection: RemoteProtocolError, 1 PUT seen
httpx, kept connection: RemoteProtocolError, 1 PUT seen
O
