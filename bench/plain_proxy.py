"""The plain design, for comparison: a program that hands contents through, without rights, names or resumption.

`python -m bench.plain_proxy PORT` serves `GET /graph?url=...` and `GET /gmail?url=...` until it is stopped. Graph's
bytes are handed through as they arrive. Gmail's JSON is read as a whole and decoded, as its official client does.
"""

import base64
import os
import ssl
import sys

import aiohttp
from aiohttp import web

PIECE_BYTES = 64 * 1024


async def graph(request: web.Request) -> web.StreamResponse:
    """Hand the bytes of a `$value` through."""
    async with request.app[SESSION].get(request.query["url"]) as source:
        source.raise_for_status()
        answer = web.StreamResponse()
        await answer.prepare(request)
        async for piece in source.content.iter_chunked(PIECE_BYTES):
            await answer.write(piece)
        return answer


async def gmail(request: web.Request) -> web.Response:
    """Decode the content of an attachment or a mail."""
    async with request.app[SESSION].get(request.query["url"]) as source:
        source.raise_for_status()
        document = await source.json()
    data = document.get("data") or document["raw"]
    return web.Response(body=base64.urlsafe_b64decode(data + "=" * (-len(data) % 4)))


SESSION: web.AppKey[aiohttp.ClientSession] = web.AppKey("session", aiohttp.ClientSession)


async def start(app: web.Application) -> None:
    """Open the way to the providers."""
    trust = ssl.create_default_context(cafile=os.environ["PLAIN_CA"])
    headers = {"authorization": f"Bearer {os.environ['PLAIN_TOKEN']}"}
    app[SESSION] = aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trust), headers=headers)


async def stop(app: web.Application) -> None:
    """Close it."""
    await app[SESSION].close()


def main() -> None:
    """Serve until stopped."""
    app = web.Application()
    app.add_routes([web.get("/graph", graph), web.get("/gmail", gmail)])
    app.on_startup.append(start)
    app.on_cleanup.append(stop)
    web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), print=None)


if __name__ == "__main__":
    main()
