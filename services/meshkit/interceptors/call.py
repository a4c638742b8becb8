"""The facts that an interceptor knows about the running call."""

from collections.abc import Iterable
from typing import Any

import grpc

from services.meshkit.errors import CallerUnknown
from services.meshkit.identity.caller import mesh_name


class Call:
    """One RPC.

    Args:
        method: `/package.Service/Method`.
        context: gRPC's own view of it.

    Attributes:
        headers: Its text metadata. Of a name that comes twice the values are joined by commas, as HTTP does.
        peer: The mesh identity on the other side of the connection; empty when it has none.
    """

    __slots__ = ("context", "headers", "method", "peer")

    def __init__(self, method: str, context: "grpc.aio.ServicerContext[Any, Any]") -> None:
        self.method = method
        self.context = context
        self.headers = _joined(context.invocation_metadata() or ())
        try:
            self.peer = mesh_name(context.auth_context())
        except CallerUnknown:
            self.peer = ""


def _joined(metadata: Iterable[tuple[str, str | bytes]]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for name, value in metadata:
        if isinstance(value, str):
            headers[name] = f"{headers[name]},{value}" if name in headers else value
    return headers
