"""Read the cookies of a request as browsers send them (RFC 6265, section 5.4)."""

from collections.abc import Iterable, Mapping
from typing import Any

import grpc

SESSION_COOKIE = "__Host-mailmesh-session"


def read_cookies(headers: Iterable[str]) -> dict[str, str]:
    """Read the cookies of all `cookie` headers, the first of each name.

    Other sites of the same domain can set cookies of any form, which arrive beside ours. Each pair is therefore read
    alone, and a pair that is ill-formed or large does not affect the others.

    Args:
        headers: The values of the headers. The edge bounds their size.
    """
    found: dict[str, str] = {}
    for header in headers:
        for pair in header.split(";"):
            name, equals, value = pair.partition("=")
            if equals:
                found.setdefault(name.strip(), value.strip())
    return found


def presented_cookies(context: "grpc.aio.ServicerContext[Any, Any]") -> Mapping[str, str]:
    """Read the cookies of a call."""
    metadata = context.invocation_metadata() or ()
    return read_cookies(value for name, value in metadata if name == "cookie" and isinstance(value, str))
