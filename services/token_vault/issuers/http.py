"""HTTP to the providers: `requests` inside of msal's and Google's libraries, httpx for everything else.

Both trust the system's authorities and the one of the settings, both bound the time and the size of an answer, and
both turn a provider's transient failures into the same exceptions, before a library can hide or repeat them.
"""

import asyncio
import json
import ssl
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import httpx
import requests
import requests.adapters
import urllib3

from services.meshkit.answers import bounded_body
from services.meshkit.cache import BoundedCache
from services.meshkit.errors import MeshError
from services.meshkit.hushed import hush
from services.meshkit.secret import Secret
from services.providers.retry_after import retry_after
from services.token_vault.errors import ProviderThrottled, ProviderUnavailable

ANSWER_BYTES = 4 * 1024 * 1024
"""The longest answer of a provider, unpacked."""
THROTTLED = 429
FAULTY = 500
_PIECE_BYTES = 65_536
_DISCOVERY_SECONDS = 3600.0
_DISCOVERY_MAX = 64
_DISCOVERY = "/.well-known/"
# These libraries log whole requests and answers with their tokens: most at debug level, one as an error.
_TALKATIVE = ("msal", "oauthlib", "requests_oauthlib", "google.auth", "google_auth_oauthlib", "requests", "urllib3")


def hush_libraries() -> None:
    """Silence the providers' libraries at every level: our own code logs their results. Safe to call again."""
    hush(_TALKATIVE)


def trust(extra_authority: Path | None) -> ssl.SSLContext:
    """Make the TLS settings for calls to providers."""
    context = ssl.create_default_context()
    if extra_authority is not None:
        context.load_verify_locations(extra_authority)
    return context


def transient_failure(provider: str, status: int, headers: Mapping[str, str], body: bytes = b"") -> MeshError | None:
    """Return the exception for a transient failure of the provider, with the time of the retry; else None."""
    if status != THROTTLED and status < FAULTY:
        return None
    kind = ProviderThrottled if status == THROTTLED else ProviderUnavailable
    return kind(metadata={"provider": provider}, retry_after=retry_after(headers, _document(body)))


class LibraryHttp:
    """The transport for msal and Google's libraries. Safe for threads: each has its own session.

    Args:
        provider: For errors.
        context: Trusted authorities.
        timeout_seconds: For connecting, and for the answer.
    """

    def __init__(self, provider: str, context: ssl.SSLContext, timeout_seconds: float) -> None:
        self._provider = provider
        self._context = context
        self._timeout_seconds = timeout_seconds
        self._local = threading.local()
        self._discovery: BoundedCache[str, requests.Response] = BoundedCache(_DISCOVERY_MAX, _DISCOVERY_SECONDS)
        self._lock = threading.Lock()

    def get(self, url: str, **options: Any) -> requests.Response:
        """Send a GET. Discovery documents are cached for an hour, since msal asks for one at each set-up."""
        if _DISCOVERY not in url:
            return self._send("GET", url, **options)
        with self._lock:
            kept = self._discovery.get(url)
        if kept is not None:
            return kept
        response = self._send("GET", url, **options)
        if response.ok:
            self._keep(url, response)
        return response

    def post(self, url: str, **options: Any) -> requests.Response:
        """Send a POST. No answer is cached."""
        return self._send("POST", url, **options)

    def request(self, method: str, url: str, **options: Any) -> requests.Response:
        """Send a request of any method, with a time limit of its own where it has one. No answer is cached."""
        return self._send(method, url, **options)

    def close(self) -> None:
        """Do nothing: sessions end with their threads."""

    def checked(self, response: requests.Response) -> requests.Response:
        """Return an answer unless it is a transient failure.

        Raises:
            ProviderUnavailable, ProviderThrottled: The answer is a transient failure.
        """
        error = transient_failure(self._provider, response.status_code, response.headers, response.content)
        if error is not None:
            raise error
        return response

    def session(self) -> requests.Session:
        """Return this thread's session."""
        session = getattr(self._local, "session", None)
        if session is None:
            session = self._local.session = self.prepared(requests.Session())
        return session

    def prepared(self, session: requests.Session) -> requests.Session:
        """Give a session our trusted authorities and time limits, and no settings of the environment."""
        for scheme in ("https://", "http://"):  # the metadata server of Google's machines has no TLS
            session.mount(scheme, _Adapter(self._context, self._timeout_seconds))
        session.trust_env = False
        return session

    def _send(self, method: str, url: str, **options: Any) -> requests.Response:
        known: dict[str, Any] = {name: options[name] for name in ("params", "data", "headers") if name in options}
        known["timeout"] = min(options.get("timeout") or self._timeout_seconds, self._timeout_seconds)
        try:
            response = self.session().request(method, url, allow_redirects=False, **known)
        except requests.RequestException as exc:
            raise ProviderUnavailable(metadata={"provider": self._provider}) from exc
        self.session().cookies.clear()
        return self.checked(response)

    def _keep(self, url: str, response: requests.Response) -> None:
        with self._lock:
            self._discovery.put(url, response)


class _Adapter(requests.adapters.HTTPAdapter):
    """TLS by our own context, a time limit for calls without one, and bounds of each answer."""

    def __init__(self, context: ssl.SSLContext, timeout_seconds: float) -> None:
        self._context = context
        self._timeout_seconds = timeout_seconds
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, ssl_context=self._context, **kwargs)

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        ends_at = time.monotonic() + self._timeout_seconds
        kwargs["timeout"] = kwargs.get("timeout") or self._timeout_seconds
        response = super().send(request, *args, **kwargs | {"stream": True})
        # The answer that a response has read is the one that its users get.
        response._content, response._content_consumed = _read(response, ends_at), True  # type: ignore[attr-defined] # noqa: SLF001
        return response


def _read(response: requests.Response, ends_at: float) -> bytes:
    """Read an answer within its bounds. `requests` bounds each wait for bytes only."""
    body = bytearray()
    try:
        while piece := response.raw.read1(_PIECE_BYTES, decode_content=True):
            body += piece
            if len(body) > ANSWER_BYTES or time.monotonic() > ends_at:
                raise requests.exceptions.ContentDecodingError("The answer is too long or too slow.")
    except urllib3.exceptions.HTTPError as exc:
        raise requests.exceptions.ConnectionError(exc) from exc
    finally:
        response.close()
    return bytes(body)


@dataclass(frozen=True)
class Answer:
    """The answer of an API: a status below 500 other than 429, and its JSON object; {} for any other body."""

    status: int
    document: dict[str, Any]


class ProviderApi:
    """The provider's own API, for the identity of an account.

    Args:
        provider: For errors.
        context: Trusted authorities.
        timeout_seconds: For a whole call.
    """

    def __init__(self, provider: str, context: ssl.SSLContext, timeout_seconds: float) -> None:
        self._provider = provider
        self._timeout_seconds = timeout_seconds
        self._client = httpx.AsyncClient(verify=context, timeout=timeout_seconds, trust_env=False)

    async def get(self, url: str, token: Secret | None = None) -> Answer:
        """Get a JSON document.

        Raises:
            ProviderUnavailable, ProviderThrottled: A transient failure.
        """
        headers = {"Authorization": f"Bearer {token.reveal()}"} if token else {}
        return await self._send(self._client.build_request("GET", url, headers=headers))

    async def post_form(self, url: str, form: Mapping[str, str], basic: tuple[str, Secret] | None = None) -> Answer:
        """Post a form, and read a JSON document.

        Args:
            url: The address.
            form: The fields.
            basic: Client id and secret for HTTP Basic; None sends none.

        Raises:
            ProviderUnavailable, ProviderThrottled: A transient failure.
        """
        # Both are form-encoded first (RFC 6749, section 2.3.1).
        auth = httpx.BasicAuth(quote_plus(basic[0]), quote_plus(basic[1].reveal())) if basic else None
        return await self._send(self._client.build_request("POST", url, data=dict(form)), auth)

    async def post_json(self, url: str, body: Mapping[str, Any], token: Secret) -> Answer:
        """Post a JSON document with a bearer token, and read one.

        Raises:
            ProviderUnavailable, ProviderThrottled: A transient failure.
        """
        headers = {"Authorization": f"Bearer {token.reveal()}"}
        return await self._send(self._client.build_request("POST", url, json=dict(body), headers=headers))

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def _send(self, request: httpx.Request, auth: httpx.BasicAuth | None = None) -> Answer:
        too_long = partial(ProviderUnavailable, metadata={"provider": self._provider})
        try:
            async with asyncio.timeout(self._timeout_seconds):  # httpx bounds each wait only
                response = await self._client.send(request, auth=auth, stream=True)
                body = await bounded_body(response, ANSWER_BYTES, too_long)
        except (httpx.HTTPError, TimeoutError) as exc:
            raise ProviderUnavailable(metadata={"provider": self._provider}) from exc
        error = transient_failure(self._provider, response.status_code, response.headers, body)
        if error is not None:
            raise error
        return Answer(response.status_code, _document(body))


def _document(body: bytes) -> dict[str, Any]:
    """Return the JSON object of an answer; {} for any other body, such as one with text that no store can hold."""
    try:
        found = json.loads(body)
        json.dumps(found, ensure_ascii=False).encode()  # JSON can spell lone surrogates
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
