"""A Pub/Sub pull subscription over its REST API (`projects.subscriptions.pull`, `acknowledge`, `modifyAckDeadline`).

Pub/Sub delivers at least once and in no order. A message whose acknowledgement does not arrive within the
subscription's ack deadline is delivered again, under another ack id.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import httpx
import orjson
import structlog

from services.ingest.errors import InstallationMisconfigured, ProviderThrottled, ProviderUnavailable
from services.ingest.pulling.service_account import ServiceAccountTokens
from services.meshkit.answers import bounded_body
from services.meshkit.errors import MeshError
from services.meshkit.secret import Secret
from services.providers.failures import Meaning, error_words, meaning_of
from services.providers.names import GOOGLEWS
from services.providers.retry_after import retry_after

logger = structlog.get_logger(__name__)

_CALL_SECONDS: Final = 10.0
_UNAUTHORIZED: Final = 401
_CONSUME: Final = "pubsub.subscriptions.consume"
_BYTES_OF_A_PULL: Final = 16 * 1024 * 1024
"""Gmail's messages have 100 bytes. A foreign one has up to 10 MB, and a third more in base64: it must be acknowledged.

The size of a message: https://cloud.google.com/pubsub/quotas#resource_limits
"""
_BYTES_OF_AN_ANSWER: Final = 16 * 1024
_CHARACTERS_OF_AN_ID: Final = 4096


@dataclass(frozen=True, slots=True)
class PulledMessage:
    """A message that is leased to us until the ack deadline.

    Args:
        ack_id: The id of this delivery. It is not a secret, and of no use without the service account.
        message: The `PubsubMessage`, untrusted.
    """

    ack_id: str
    message: dict[str, Any]


class PullSubscription:
    """Calls about one subscription.

    Args:
        http: The client, with its trusted certificates and its pool.
        tokens: Tokens of the service account.
        pubsub_url: Base address with the version, such as "https://pubsub.googleapis.com/v1".
        name: "projects/.../subscriptions/...".
    """

    def __init__(self, http: httpx.AsyncClient, tokens: ServiceAccountTokens, pubsub_url: str, name: str) -> None:
        self._http = http
        self._tokens = tokens
        self._url = f"{pubsub_url}/{name}"
        self._name = name

    async def aclose(self) -> None:
        """Close the connections of the tokens. Safe to call again."""
        await self._tokens.aclose()

    async def pull(self, most: int, wait_seconds: float) -> list[PulledMessage]:
        """Wait for messages. An answer that is lost costs nothing: its messages are delivered again.

        Args:
            most: The most messages, 1 to 1,000.
            wait_seconds: How long to wait for the first one.

        Returns:
            The messages; none when none came in time.

        Raises:
            InstallationMisconfigured: There is no such subscription, or the service account may not consume it.
            ProviderThrottled: Google asks to slow down.
            ProviderUnavailable: Google did not answer, or with a passing fault.
        """
        try:
            body = await self._call("pull", {"maxMessages": most}, wait_seconds, _BYTES_OF_A_PULL)
        except httpx.ReadTimeout:
            return []  # Pub/Sub may wait for longer than we do
        return _messages(body)

    async def acknowledge(self, messages: Sequence[PulledMessage]) -> None:
        """End the delivery of messages. Safe to call again; an ack id that has expired has no effect.

        Raises:
            MeshError: As of `pull`. The messages are delivered again.
        """
        await self._settle("acknowledge", {"ackIds": [one.ack_id for one in messages]})

    async def give_back(self, messages: Sequence[PulledMessage]) -> None:
        """Have messages delivered again soon, without waiting for the ack deadline. Safe to call again.

        Raises:
            MeshError: As of `pull`. The messages are delivered again after the ack deadline.
        """
        ids = [one.ack_id for one in messages]
        await self._settle("modifyAckDeadline", {"ackIds": ids, "ackDeadlineSeconds": 0})

    async def may_consume(self) -> bool:
        """Tell whether the service account may pull. Needs no right of its own.

        Raises:
            MeshError: As of `pull`; there is no such subscription.
        """
        try:
            body = await self._call(
                "testIamPermissions", {"permissions": [_CONSUME]}, _CALL_SECONDS, _BYTES_OF_AN_ANSWER
            )
        except httpx.ReadTimeout as exc:
            raise _unavailable() from exc
        return body.get("permissions") == [_CONSUME]

    async def _settle(self, verb: str, document: dict[str, Any]) -> None:
        try:
            await self._call(verb, document, _CALL_SECONDS, _BYTES_OF_AN_ANSWER)
        except httpx.ReadTimeout as exc:
            raise _unavailable() from exc

    async def _call(self, verb: str, document: dict[str, Any], seconds: float, most_bytes: int) -> dict[str, Any]:
        token = await self._tokens.token()
        status, headers, body = await self._once(token, verb, document, seconds, most_bytes)
        if status == _UNAUTHORIZED:
            token = await self._tokens.token(rejected=token)
            status, headers, body = await self._once(token, verb, document, seconds, most_bytes)
        if not httpx.codes.is_success(status):
            raise self._refused(status, headers, body)
        return body

    async def _once(
        self, token: Secret, verb: str, document: dict[str, Any], seconds: float, most_bytes: int
    ) -> tuple[int, httpx.Headers, dict[str, Any]]:
        request = self._http.build_request(
            "POST",
            f"{self._url}:{verb}",
            json=document,
            headers={"authorization": f"Bearer {token.reveal()}"},
            timeout=httpx.Timeout(_CALL_SECONDS, read=seconds),
        )
        try:
            response = await self._http.send(request, stream=True)
            if not response.is_success:
                return response.status_code, response.headers, await _error(response, most_bytes)
            body = await bounded_body(response, most_bytes, _unavailable)
            return response.status_code, response.headers, _object(body)
        except httpx.ReadTimeout:
            raise
        except httpx.HTTPError as exc:
            raise _unavailable() from exc

    def _refused(self, status: int, headers: httpx.Headers, body: dict[str, Any]) -> MeshError:
        words = error_words(body)
        match meaning_of(GOOGLEWS, status, words):
            case Meaning.THROTTLED:
                return ProviderThrottled(metadata={"provider": GOOGLEWS}, retry_after=retry_after(headers, body))
            case Meaning.PASSING | Meaning.CONFLICT:
                wait = retry_after(headers, body)
                return ProviderUnavailable(metadata={"provider": GOOGLEWS}, retry_after=wait)
            case _:
                code = words[0] if words else f"http_{status}"
                return InstallationMisconfigured(
                    f"Google refuses to deliver from the Pub/Sub subscription {self._name} ({code}): check"
                    " MAILMESH_GOOGLEWS_PUBSUB_SUBSCRIPTION, that it is a pull subscription, and that the service"
                    " account has the role Pub/Sub Subscriber on it.",
                    subject=GOOGLEWS,
                    metadata={"provider": GOOGLEWS, "detail": code},
                )


def _object(body: bytes) -> dict[str, Any]:
    """Parse an answer. An empty one is an empty object, as Google's JSON leaves out empty fields."""
    if not body.strip():
        return {}
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as exc:
        raise _unavailable() from exc
    if not isinstance(document, dict):
        raise _unavailable()
    return document


async def _error(response: httpx.Response, most_bytes: int) -> dict[str, Any]:
    """Read the object of a refusal. One that has none, such as a page of HTML, is judged by its status alone."""
    try:
        return _object(await bounded_body(response, most_bytes, _unavailable))
    except ProviderUnavailable:
        return {}


def _messages(body: dict[str, Any]) -> list[PulledMessage]:
    """Read the messages of an answer. One without a usable ack id is skipped: it could never be acknowledged."""
    received = body.get("receivedMessages") or []
    if not isinstance(received, list):
        raise _unavailable()
    found: list[PulledMessage] = []
    for one in received:
        ack_id = one.get("ackId") if isinstance(one, dict) else None
        if not isinstance(ack_id, str) or not 0 < len(ack_id) <= _CHARACTERS_OF_AN_ID:
            logger.warning("message without a usable ack id")
            continue
        message = one.get("message")
        found.append(PulledMessage(ack_id, message if isinstance(message, dict) else {}))
    return found


def _unavailable() -> ProviderUnavailable:
    return ProviderUnavailable("Pub/Sub gave no usable answer.", metadata={"provider": GOOGLEWS})
