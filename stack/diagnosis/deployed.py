"""Checks of an installation from outside, without a key: what a provider, a browser and a client meet."""

import datetime as dt
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import grpc
import httpx
from grpc_health.v1 import health_pb2, health_pb2_grpc

from gateway.console import PREFIX
from stack.diagnosis.asking import SECONDS, ask
from stack.diagnosis.contract import contract_findings
from stack.diagnosis.finding import Finding, bad, good, warning
from stack.diagnosis.reach import webhook_findings

MAX_SKEW_SECONDS = 60
OK = 200
_EVENTS = "/mailmesh.processor.v1.EventService/ListEvents"


def deployed_findings(url: str) -> Iterator[Finding]:
    """Checks the installation whose edge is reached at an address, `https://host` or `http://host:port`."""
    yield _transport(url)
    yield from _console(url)
    yield from webhook_findings(url)
    yield from _calls(url)


def _transport(url: str) -> Finding:
    if urlsplit(url).scheme == "https":
        return good("TLS", "the address is https; the next checks verify its certificate")
    return warning("TLS", f"{url} is plain HTTP", "Providers push to https only: put TLS at the edge or before it.")


def _console(url: str) -> Iterator[Finding]:
    try:
        answer = ask("GET", f"{url}{PREFIX}")
    except (httpx.HTTPError, httpx.InvalidURL) as fault:
        yield bad("edge", f"{url} cannot be reached: {fault}", "Check DNS, firewall, certificate and the edge's log.")
        return
    yield good("edge", f"answered in {answer.milliseconds:.0f} ms")
    yield _skew(answer.headers.get("date", ""))
    if answer.status != OK:
        yield warning("console", f"answers {answer.status}", "Render the edge from a package with the console.")
    else:
        yield good("console", "is served")


def _skew(date: str) -> Finding:
    try:
        skew = abs((dt.datetime.now(dt.UTC) - parsedate_to_datetime(date)).total_seconds())
    except (TypeError, ValueError, OverflowError):  # numbers beyond those of the machine
        return warning("clock", "the answer has no valid Date", "Find the proxy that removes or changes it.")
    if skew > MAX_SKEW_SECONDS:
        return bad("clock", f"this machine's and the edge's differ by {skew:.0f} s", "Set the clock that is wrong.")
    return good("clock", f"differs by {skew:.0f} s at most")


def _calls(url: str) -> Iterator[Finding]:
    parts = urlsplit(url)
    is_tls = parts.scheme == "https"
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    address = f"{host}:{parts.port or (443 if is_tls else 80)}"
    opened = grpc.secure_channel(address, grpc.ssl_channel_credentials()) if is_tls else grpc.insecure_channel(address)
    with opened as channel:
        yield _health(channel)
        yield from contract_findings(channel)
        yield _refused(channel)


def _health(channel: grpc.Channel) -> Finding:
    stub: Any = health_pb2_grpc.HealthStub(channel)
    try:
        answer = stub.Check(health_pb2.HealthCheckRequest(), timeout=SECONDS)
    except grpc.RpcError as fault:
        return bad("gRPC health", f"no answer: {_code(fault)}", "Let HTTP/2 pass to the edge, and read its log.")
    if answer.status != health_pb2.HealthCheckResponse.SERVING:
        return bad("gRPC health", "the mesh does not serve", "Check PostgreSQL and the services' logs.")
    return good("gRPC health", "serving")


def _refused(channel: grpc.Channel) -> Finding:
    try:
        ask: Any = channel.unary_unary(_EVENTS)
        ask(b"", timeout=SECONDS)
    except grpc.RpcError as fault:
        if _code(fault) == "UNAUTHENTICATED":
            return good("API without a key", "is refused")
        return bad("API without a key", f"answers {_code(fault)}", "Check that TokenVault and Processor are healthy.")
    return bad("API without a key", "answers", "Close this address now: the edge does not check keys.")


def _code(fault: grpc.RpcError) -> str:
    call: Any = fault
    return str(call.code().name)
