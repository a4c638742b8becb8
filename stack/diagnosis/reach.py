"""Checks of the way from the outside to the edge, by the providers' own requests."""

import secrets
from collections.abc import Iterator, Mapping

import httpx

from gateway.replies import PROTOCOL_HEADER
from stack.diagnosis.finding import Finding, bad, good, warning
from stack.ready import Ready

TIMEOUT_SECONDS = 10.0
OK, UNAUTHORIZED = 200, 401
OLD_PROTOCOL = "HTTP/1.0"


def reach_findings(settings: Mapping[str, str], ready: Ready | None) -> Iterator[Finding]:
    """Checks the public address: Graph's handshake, a proxy's protocol, and that a push without proof is refused."""
    public = settings.get("MAILMESH_PUBLIC_URL", "")
    if not public:
        yield warning("public address", "there is none: mailboxes are polled", "Set PUBLIC_URL to be pushed to.")
        return
    if ready is None:
        return
    yield from webhook_findings(public)


def webhook_findings(public: str) -> Iterator[Finding]:
    """Checks the routes of webhooks under a public address, `https://host`."""
    yield from _handshake(public)
    yield _refusal(public)


def _handshake(public: str) -> Iterator[Finding]:
    token = f"doctor {secrets.token_hex(8)}"
    name, url = "Graph handshake", f"{public}/api/ms365/webhook"
    try:
        answer = httpx.post(url, params={"validationToken": token}, timeout=TIMEOUT_SECONDS)
    except httpx.HTTPError as fault:
        yield bad(name, f"{url} cannot be reached: {fault}", "Let the public address lead to the edge.")
        return
    is_plain = answer.headers.get("content-type", "").startswith("text/plain")
    if answer.status_code != OK or answer.text != token or not is_plain:
        remedy = (
            "Find the proxy between the public address and the edge that answers itself or changes requests. It must "
            "pass method, path, query, Host, Content-Type, Authorization and body, and append to X-Forwarded-For."
        )
        yield bad(name, f"{url} answers {answer.status_code} and not the token", remedy)
        return
    yield good(name, f"answered in {answer.elapsed.total_seconds() * 1000:.0f} ms")
    if protocol := answer.headers.get(PROTOCOL_HEADER):
        yield _protocol(protocol)


def _protocol(protocol: str) -> Finding:
    name, fact = "Protocol to the edge", f"requests reach the edge as {protocol}"
    if protocol != OLD_PROTOCOL:
        return good(name, fact)
    remedy = (
        "The proxy in front opens a connection for each request, and gRPC cannot pass. Have it speak HTTP/1.1 with "
        'keep-alive, or HTTP/2, to the edge; in nginx: proxy_http_version 1.1; proxy_set_header Connection "";'
    )
    return warning(name, fact, remedy)


def _refusal(public: str) -> Finding:
    name, url = "Gmail push without proof", f"{public}/api/googlews/webhook"
    try:
        answer = httpx.post(url, json={}, timeout=TIMEOUT_SECONDS)
    except httpx.HTTPError as fault:
        return bad(name, f"{url} cannot be reached: {fault}", "Let the public address lead to the edge.")
    if answer.status_code != UNAUTHORIZED:
        return bad(name, f"{url} answers {answer.status_code}, not 401", "Look at the edge's log and configuration.")
    return good(name, "is refused")
