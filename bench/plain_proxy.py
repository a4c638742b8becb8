"""The plain way to pass content through, for comparison: aiohttp, one request to the provider for each request.

It streams as well, and checks nothing. Run as `python -m bench.plain_proxy PORT`; TARGET, TOKEN and CA_FILE are the
address of the content, its token, and the authority to trust.
"""

import os
import ssl
import sys
from collections.abc import AsyncIterator

import aiohttp
from aiohttp import web

SESSION = web.AppKey("session", aiohttp.ClientSession)
PIECE_BYTES = 256 * 1024


async def _session(app: web.Application) -> AsyncIterator[None]:
    trust = ssl.create_default_context(cafile=os.environ["CA_FILE"])
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trust)) as session:
        app[SESSION] = session
        yield


async def passed_through(request: web.Request) -> web.StreamResponse:
    """Answer with the provider's content."""
    headers = {"authorization": f"Bearer {os.environ['TOKEN']}"}
    async with request.app[SESSION].get(os.environ["TARGET"], headers=headers) as answer:
        given = web.StreamResponse(status=answer.status)
        await given.prepare(request)
        async for piece in answer.content.iter_chunked(PIECE_BYTES):
            await given.write(piece)
        return given


if __name__ == "__main__":
    application = web.Application()
    application.cleanup_ctx.append(_session)
    application.router.add_get("/", passed_through)
    web.run_app(application, host="127.0.0.1", port=int(sys.argv[1]), print=None)
