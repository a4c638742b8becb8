"""The HTTP client for receivers: every connection is judged, and nothing but a bounded POST is done on it."""

import functools
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from ssl import SSLContext
from typing import Final

import aiohttp
from aiohttp.abc import AbstractResolver
from yarl import URL

from services.egress.addresses import EgressRules
from services.egress.dialing import dial_socket, judging_request
from services.egress.exchange import KEPT_BYTES, Answer, Exchange
from services.egress.faults import EgressError, Fault, fault_of
from services.egress.headers import headers_fault
from services.egress.resolver import JudgingResolver, ThreadedLookup
from services.egress.tls import trust, with_certificate
from services.egress.urls import url_fault
from services.meshkit.secret import Secret

USER_AGENT: Final = "mailmesh-webhooks"
_IDLE_SECONDS = 30.0
_NAME_SECONDS = 10
_LINE_BYTES = 8190
_ANSWER_HEADERS = 100


class EgressClient:
    """One connection pool for all receivers of a process. The number of concurrent requests is the caller's to bound.

    Args:
        session: The session that `EgressClient.open` made.
        rules: The operator's rules.
        authority: A certificate authority to trust beside the system's, PEM.
        user_agent: The name that the receivers see.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        rules: EgressRules,
        authority: Path | None = None,
        user_agent: str = USER_AGENT,
    ) -> None:
        self._session = session
        self._rules = rules
        self._authority = authority
        self._user_agent = user_agent

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        rules: EgressRules,
        *,
        authority: Path | None = None,
        lookup: AbstractResolver | None = None,
        user_agent: str = USER_AGENT,
    ) -> AsyncIterator["EgressClient"]:
        """Open the pool, and close it after the block.

        Args:
            rules: The operator's rules.
            authority: A certificate authority to trust beside the system's, PEM.
            lookup: Resolves names; by default the system does. The pool closes it.
            user_agent: The name that the receivers see.
        """
        resolver = JudgingResolver(lookup or ThreadedLookup(), rules)
        connector = aiohttp.TCPConnector(
            ssl=trust(authority),
            limit=0,
            keepalive_timeout=_IDLE_SECONDS,
            resolver=resolver,
            ttl_dns_cache=_NAME_SECONDS,
            socket_factory=functools.partial(dial_socket, rules),
        )
        try:
            async with aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,
                auto_decompress=False,
                request_class=judging_request(rules),
                max_line_size=_LINE_BYTES,
                max_field_size=_LINE_BYTES,
                max_headers=_ANSWER_HEADERS,
            ) as session:
                yield cls(session, rules, authority, user_agent)
        finally:
            await resolver.close()

    def identity(self, certificate: str, key: Secret) -> SSLContext:
        """Return what `post` takes as `tls` for an endpoint that asks for a client certificate.

        It costs about a megabyte and several milliseconds, and connections are kept with it: keep one per endpoint.

        Args:
            certificate: The certificate, followed by its intermediates, PEM.
            key: Its private key, PEM, without a passphrase.

        Raises:
            EgressError: The texts are no certificate with its key.
        """
        return with_certificate(self._authority, certificate, key)

    async def post(
        self,
        url: str,
        body: bytes,
        headers: Mapping[str, str],
        *,
        timeout_seconds: float,
        own_headers: Mapping[str, Secret] | None = None,
        tls: SSLContext | None = None,
        keep_bytes: int = KEPT_BYTES,
    ) -> Answer:
        """Send one request and read its answer.

        A request whose kept connection turns out to be closed is sent once more on another one: the receiver closed it
        while it was idle, and recognizes a repetition by its `webhook-id`.

        Args:
            url: The endpoint's URL.
            body: The bytes that were signed; they are sent unchanged.
            headers: mailmesh's headers, among them Content-Type and the signature's.
            timeout_seconds: The deadline of everything: name, connection, TLS, request, answer.
            own_headers: The endpoint's headers. They replace none of mailmesh's.
            tls: The endpoint's `identity`.
            keep_bytes: The part of the answer to keep, up to 64 KiB.

        Raises:
            EgressError: There is no answer. Once a status arrived, it is the answer, even if its body breaks.

        Safe to call again: for a receiver that recognizes repetitions.
        """
        if detail := url_fault(url, self._rules) or headers_fault(own_headers or {}):
            raise EgressError(Fault.URL_REFUSED, detail)
        sent = {name: value.reveal() for name, value in (own_headers or {}).items()}
        sent |= {**headers, "accept-encoding": "identity", "user-agent": self._user_agent}
        exchange = Exchange(
            self._session,
            URL(url, encoded=True),
            body,
            sent,
            tls=tls,
            keep_bytes=keep_bytes,
            timeout_seconds=timeout_seconds,
        )
        try:
            return await exchange.run()
        # Beside its own errors, aiohttp passes on those of the event loop and of URLs.
        except (aiohttp.ClientError, OSError, ValueError) as exc:
            raise EgressError(fault_of(exc)) from exc
