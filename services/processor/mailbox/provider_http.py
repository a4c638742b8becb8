"""HTTP to the providers: bounded in time, size and number, with every failure classified by the table of failures."""

import io
import re
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import aiohttp
import orjson
from yarl import URL

from services.meshkit.secret import Secret
from services.processor.mailbox.failures import SourceError, classify
from services.processor.mailbox.parsing import MAX_PARSED_BYTES, parse, parse_short
from services.processor.metrics import LONG_ANSWERS, PROVIDER_REQUESTS, PROVIDER_SECONDS
from services.processor.settings import ProcessorSettings
from services.providers.day_limits import DAY_LIMIT_WAIT, day_limit
from services.providers.failures import Meaning, error_words
from services.providers.retry_after import retry_after

JSON = dict[str, Any]
ReadLong = Callable[[str, bytes], Awaitable[JSON | None]]
"""Reads an answer that is too long to be parsed on the event loop: the provider's name and the answer."""
_CONNECT_SECONDS = 5.0
_IDLE_SECONDS = 60.0
_STREAM_SECONDS = 3600.0
_PIECE_BYTES = 256 * 1024
_WHOLE_BYTES = 256 * 1024
_WHOLE_URL = re.compile(r"https?://[!-~]+")
# Gmail compresses only for a client that names gzip here as well (developers.google.com/gmail/api/guides/performance).
_USER_AGENT = "mailmesh (gzip)"


@dataclass(frozen=True)
class StreamedAnswer:
    """An answer that is read piece by piece.

    Args:
        length: The number of bytes; None when the provider does not name it.
        pieces: The bytes in order.
    """

    length: int | None
    pieces: AsyncIterator[bytes]


@dataclass(frozen=True)
class _Request:
    """One request, with the arguments of `ProviderHttp.call`."""

    provider: str
    operation: str
    method: str
    url: str
    token: Secret | None
    params: Mapping[str, Any] | None
    headers: Mapping[str, str] | None
    body: JSON | None
    content: bytes | None

    def written(self) -> tuple[str, dict[str, str], bytes | None]:
        """Return the URL, the headers and the body as they are sent.

        Raises:
            SourceError: The URL is none.
        """
        query = urlencode(self.params, doseq=True, quote_via=quote) if self.params else ""
        asked = f"{self.url}?{query}" if query else self.url
        if not _WHOLE_URL.fullmatch(asked):
            raise classify(self.provider, 0, ["url_is_no_url"])
        authorization = {} if self.token is None else {"authorization": f"Bearer {self.token.reveal()}"}
        sent = {**authorization, **(self.headers or {})}
        if self.body is None:
            return asked, sent, self.content
        return asked, {**sent, "content-type": "application/json"}, orjson.dumps(self.body)


class ProviderHttp:
    """One connection pool for all mailboxes of a process.

    Args:
        session: The session that `ProviderHttp.open` made.
        max_bytes: The largest answer, in bytes.
        read_long: Reads answers longer than `MAX_PARSED_BYTES`; None parses them on the event loop.
    """

    def __init__(self, session: aiohttp.ClientSession, max_bytes: int, read_long: ReadLong | None = None) -> None:
        self._session = session
        self._read_long = read_long
        self._max_bytes = max_bytes
        read = session.timeout.sock_read
        self._unhurried = aiohttp.ClientTimeout(total=_STREAM_SECONDS, sock_connect=_CONNECT_SECONDS, sock_read=read)

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        *,
        authority: Path | None,
        connections: int,
        timeout_seconds: float,
        max_bytes: int,
        read_long: ReadLong | None = None,
    ) -> AsyncIterator["ProviderHttp"]:
        """Open the pool, and close it after the block.

        Args:
            authority: A certificate authority to trust beside the system's.
            connections: The largest number of connections over all providers.
            timeout_seconds: The deadline of each read; a whole request has twice that, including the wait for a
                connection.
            max_bytes: The largest unpacked answer, in bytes.
            read_long: Reads answers longer than `MAX_PARSED_BYTES`.
        """
        trust = ssl.create_default_context()
        if authority is not None:
            trust.load_verify_locations(authority)
        timeout = aiohttp.ClientTimeout(
            total=2 * timeout_seconds,
            sock_connect=min(_CONNECT_SECONDS, timeout_seconds),
            sock_read=timeout_seconds,
        )
        async with aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=trust, limit=connections, keepalive_timeout=_IDLE_SECONDS),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"accept": "application/json", "accept-encoding": "gzip", "user-agent": _USER_AGENT},
            timeout=timeout,
        ) as session:
            yield cls(session, max_bytes, read_long)

    @classmethod
    def of(
        cls, settings: ProcessorSettings, read_long: ReadLong | None = None
    ) -> AbstractAsyncContextManager["ProviderHttp"]:
        """Open the pool of a process by its settings; see `ProviderHttp.open`."""
        return cls.open(
            authority=settings.provider_ca,
            connections=settings.provider_connections,
            timeout_seconds=settings.provider_timeout_seconds,
            max_bytes=settings.provider_answer_bytes,
            read_long=read_long,
        )

    async def call(
        self,
        provider: str,
        operation: str,
        method: str,
        url: str,
        token: Secret | None,
        *,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        body: JSON | None = None,
        content: bytes | None = None,
        success: int | None = None,
        is_empty: bool = False,
    ) -> JSON:
        """Make one request.

        Args:
            provider: "ms365" or "googlews".
            operation: The operation's name for metrics, without ids.
            method: GET, POST, PUT, PATCH or DELETE.
            url: The complete URL. It is sent unchanged: a provider's link must not be re-encoded.
            token: The mailbox's access token; None for a URL that is itself the secret.
            params: The query of a URL that has none; a list repeats the name for each of its values.
            headers: Headers beside Authorization and Accept.
            body: The JSON body.
            content: A body of another type, which `headers` names.
            success: The only status that is a success, whatever its body; None accepts each 2xx with a JSON object.
            is_empty: Whether each 2xx is a success, with or without a JSON object.

        Returns:
            The JSON object of the answer; empty where `success` is named, or `is_empty`, and the answer has none.

        Raises:
            SourceError: Any other answer, classified.
        """
        request = _Request(provider, operation, method, url, token, params, headers, body, content)
        raw = await self._succeed(request, success)
        try:
            shown = await self._parsed(provider, operation, raw)
        except SourceError as exc:
            if method == "GET":
                raise
            # The provider acted: an answer that cannot be read leaves the same doubt as one that was lost.
            raise classify(provider, 0, [exc.code]) from exc
        if shown is None:
            if success is not None or is_empty:
                return {}
            raise classify(provider, 0, ["answer_is_no_json"])
        return shown

    async def fetch(
        self,
        provider: str,
        operation: str,
        method: str,
        url: str,
        token: Secret,
        *,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        body: JSON | None = None,
    ) -> JSON | bytes:
        """Make one request for mail, which may be long.

        Args:
            provider: See `call`, as of the other arguments.
            operation: See `call`.
            method: See `call`.
            url: See `call`.
            token: See `call`.
            params: See `call`.
            headers: See `call`.
            body: See `call`.

        Returns:
            The JSON object of the answer. An answer longer than `MAX_PARSED_BYTES` is returned as it came: to parse it
            here would hold the event loop.

        Raises:
            SourceError: Any other answer, classified.
        """
        raw = await self._succeed(_Request(provider, operation, method, url, token, params, headers, body, None), None)
        if len(raw) > MAX_PARSED_BYTES:
            LONG_ANSWERS.labels(provider, operation).inc()
            return raw
        if (shown := parse(raw)) is None:
            raise classify(provider, 0, ["answer_is_no_json"])
        return shown

    @asynccontextmanager
    async def stream(
        self,
        provider: str,
        operation: str,
        url: str,
        token: Secret,
        *,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> AsyncIterator["StreamedAnswer"]:
        """Read an answer of any size piece by piece. The provider waits with the rest.

        Args:
            provider: "ms365" or "googlews".
            operation: The operation's name for metrics, without ids.
            url: The complete URL.
            token: The mailbox's access token.
            params: The query of a URL that has none.
            headers: Headers beside Authorization.

        Yields:
            The answer, which is a success.

        Raises:
            SourceError: Any other answer, or the end of the connection, classified.
        """
        asked = f"{url}?{urlencode(params, quote_via=quote)}" if params else url
        # An unpacked piece has no bound, and files hardly shrink.
        sent = {"authorization": f"Bearer {token.reveal()}", "accept": "*/*", "accept-encoding": "identity"}
        try:
            async with self._session.get(
                URL(asked, encoded=True),
                headers={**sent, **(headers or {})},
                allow_redirects=False,
                timeout=self._unhurried,
                read_bufsize=_PIECE_BYTES,
            ) as answer:
                PROVIDER_REQUESTS.labels(provider, operation, str(answer.status)).inc()
                if not 200 <= answer.status < 300:  # noqa: PLR2004 - the range of success
                    raise failure(
                        provider, answer.status, answer.headers, parse_short(await self._read(provider, answer))
                    )
                yield StreamedAnswer(answer.content_length, answer.content.iter_any())
        except (aiohttp.ClientError, TimeoutError, OSError) as exc:
            PROVIDER_REQUESTS.labels(provider, operation, "none").inc()
            raise classify(provider, 0, [type(exc).__name__]) from exc

    async def _parsed(self, provider: str, operation: str, raw: bytes) -> JSON | None:
        """Read a JSON object, a long one beside the event loop; None when the answer is something else."""
        if self._read_long is None or len(raw) <= MAX_PARSED_BYTES:
            return parse(raw)
        LONG_ANSWERS.labels(provider, operation).inc()
        return await self._read_long(provider, raw)

    async def _succeed(self, request: "_Request", success: int | None) -> bytes:
        """Make a request; return the answer's body when it is a success. Raises `SourceError`."""
        provider, operation = request.provider, request.operation
        asked, sent, data = request.written()
        with PROVIDER_SECONDS.labels(provider, operation).time():
            status, answered, raw = await self._exchange(provider, operation, request.method, asked, sent, data)
        PROVIDER_REQUESTS.labels(provider, operation, str(status)).inc()
        if not 200 <= status < 300:  # noqa: PLR2004 - the range of success
            raise failure(provider, status, answered, parse_short(raw))
        if success is not None and status != success:
            raise classify(provider, 0, [f"answered_{status}"])
        return raw

    async def _exchange(
        self, provider: str, operation: str, method: str, url: str, headers: Mapping[str, str], data: bytes | None
    ) -> tuple[int, Mapping[str, str], bytes]:
        try:
            async with self._session.request(
                method, URL(url, encoded=True), headers=headers, data=_body(data), allow_redirects=False
            ) as answer:
                return answer.status, answer.headers, await self._read(provider, answer)
        # Beside its own errors, aiohttp passes on those of the event loop and of URLs.
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as exc:
            PROVIDER_REQUESTS.labels(provider, operation, "none").inc()
            raise classify(provider, 0, [type(exc).__name__]) from exc

    async def _read(self, provider: str, answer: aiohttp.ClientResponse) -> bytes:
        parts: list[bytes] = []
        size = 0
        async for part in answer.content.iter_any():
            parts.append(part)
            size += len(part)
            if size > self._max_bytes:
                raise classify(provider, 413, ["answer_too_large"])
        return b"".join(parts)


def _body(data: bytes | None) -> bytes | io.BytesIO | None:
    """Return a body as aiohttp sends it: a long one in pieces, so that the event loop goes on."""
    return io.BytesIO(data) if data is not None and len(data) > _WHOLE_BYTES else data


def failure(provider: str, status: int, headers: Mapping[str, str], body: JSON | None) -> SourceError:
    """Classify an answer that is not a success."""
    words, wait = error_words(body), retry_after(headers, body)
    error = classify(provider, status, words, wait)
    limit = day_limit(provider, words, body) if error.meaning is Meaning.THROTTLED else ""
    return error.at_limit(limit, wait or DAY_LIMIT_WAIT) if limit else error
