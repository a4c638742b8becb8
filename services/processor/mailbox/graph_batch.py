"""Graph's `$batch`: up to twenty requests in one call, each with an answer of its own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from services.processor.mailbox.access import MailboxAccess
from services.processor.mailbox.failures import SourceError, classify
from services.processor.mailbox.provider_http import JSON, failure
from services.providers.names import MS365

BATCH_MAX = 20
AT_ONCE = 4
"""Outlook runs the requests of a batch four at a time, and serves four at once per app and mailbox."""
_IMMUTABLE = {"Prefer": 'IdType="ImmutableId"'}


@dataclass(frozen=True)
class Request:
    """One request of a batch.

    Args:
        name: The caller's name of the request.
        method: The method.
        path: The path with its query, below the base URL.
        body: The JSON body, if any.
    """

    name: str
    method: str
    path: str
    body: Mapping[str, object] | None = None


async def run_batch(
    access: MailboxAccess, base_url: str, operation: str, requests: Sequence[Request]
) -> dict[str, JSON | SourceError]:
    """Run at most twenty requests in one call.

    Args:
        access: The mailbox's access to Graph.
        base_url: The base URL of Graph, with its version.
        operation: The operation's name for metrics.
        requests: The requests, each with another name.

    Returns:
        The object or the failure of each request, by name. A request that Graph did not answer has a passing failure.

    Raises:
        SourceError: The call itself failed.
    """
    given = [_given(number, request) for number, request in enumerate(requests)]
    answer = await access.call(operation, f"{base_url}/$batch", method="POST", slots=AT_ONCE, body={"requests": given})
    listed = answer.get("responses")
    responses = {
        str(response.get("id")): response for response in (listed if isinstance(listed, list) else ())
        if isinstance(response, dict)
    }  # fmt: skip
    return {request.name: _taken(responses.get(str(number))) for number, request in enumerate(requests)}


def _given(number: int, request: Request) -> JSON:
    given: JSON = {"id": str(number), "method": request.method, "url": request.path, "headers": dict(_IMMUTABLE)}
    if request.body is not None:
        given["headers"]["Content-Type"] = "application/json"
        given["body"] = dict(request.body)
    return given


def _taken(response: JSON | None) -> JSON | SourceError:
    if response is None:
        return classify(MS365, 0, ["batch_without_answer"])
    status, body, headers = response.get("status"), response.get("body"), response.get("headers")
    shown = body if isinstance(body, dict) else None
    if isinstance(status, int) and 200 <= status < 300:  # noqa: PLR2004 - the range of success
        return shown or {}
    return failure(MS365, status if isinstance(status, int) else 0, headers if isinstance(headers, dict) else {}, shown)
