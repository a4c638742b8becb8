"""External authorization of the edge's requests (`envoy.service.auth.v3.Authorization`). Only the edge calls it.

A refusal has the form of the request: a `google.rpc.Status` as JSON for REST, and as `grpc-status-details-bin` for
gRPC.
"""

import base64
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import grpc
from envoy.config.core.v3 import base_pb2
from envoy.service.auth.v3 import attribute_context_pb2
from envoy.service.auth.v3 import external_auth_pb2 as pb
from envoy.service.auth.v3.external_auth_pb2_grpc import AuthorizationServicer
from envoy.type.v3 import http_status_pb2
from google.protobuf import json_format
from google.rpc import code_pb2, status_pb2
from typing_extensions import override

from services.meshkit.errors import MeshError
from services.meshkit.identity.caller import (
    ABILITIES_HEADER,
    KEY_ID_HEADER,
    ROLE_HEADER,
    SESSION_HEADER,
    TENANTS_HEADER,
)
from services.meshkit.status import to_status
from services.token_vault.api_access.authorize import Allowed, Authorizer, Presented
from services.token_vault.api_access.edge_contract import AGENTS_PATH
from services.token_vault.api_access.origin import Origins
from services.token_vault.servicers.cookies import SESSION_COOKIE, read_cookies
from services.token_vault.sign_in.errors import AccessTokenInvalid

_Context = grpc.aio.ServicerContext
_REST_MARK = "x-envoy-original-path"
_HTTP_STATUS = {
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "DEADLINE_EXCEEDED": 504,
    "RESOURCE_EXHAUSTED": 429,
}
_UNAVAILABLE = 503
# Printable ASCII without `%`, which a gRPC message has as it is (gRPC over HTTP/2, Percent-Encoded).
_PLAIN = "".join(chr(code) for code in range(0x20, 0x7F) if chr(code) != "%")


class ExtAuthzServicer(AuthorizationServicer):  # type: ignore[misc]
    """Serves the edge.

    Args:
        authorizer: Authorizes requests.
        origins: Tell our own pages from others.
        challenge: The parameters of `WWW-Authenticate` at `/mcp`, which lead to the sign-in; empty for none.
    """

    def __init__(self, authorizer: Authorizer, origins: Origins, challenge: str = "") -> None:
        self._authorizer = authorizer
        self._origins = origins
        self._challenge = challenge

    @override
    async def Check(self, request: pb.CheckRequest, context: "_Context[Any, Any]") -> pb.CheckResponse:
        http = request.attributes.request.http
        method = http.path.partition("?")[0]
        try:
            allowed = await self._authorizer.authorize(method, self._presented(http))
        except MeshError as exc:
            if method == AGENTS_PATH:
                return _denied(exc, is_rest=True, challenge=self._challenge)
            return _denied(exc, is_rest=_is_rest(http.headers))
        return _allowed(allowed)

    def _presented(self, http: attribute_context_pb2.AttributeContext.HttpRequest) -> Presented:
        return Presented(
            http.headers.get("authorization", ""),
            read_cookies((http.headers.get("cookie", ""),)).get(SESSION_COOKIE, ""),
            self._origins.has_sent(http.headers, http.scheme, http.host),
        )


def _is_rest(headers: Mapping[str, str]) -> bool:
    """Tell whether a request came as REST: it became a call of gRPC on its way, or it is none at all."""
    return _REST_MARK in headers or not headers.get("content-type", "").startswith("application/grpc")


def _allowed(allowed: Allowed) -> pb.CheckResponse:
    response = pb.CheckResponse(status=status_pb2.Status(code=code_pb2.OK))
    for name, value in (
        (KEY_ID_HEADER, allowed.key_id),
        (ROLE_HEADER, allowed.role),
        (TENANTS_HEADER, allowed.tenants),
        (ABILITIES_HEADER, allowed.abilities),
        *([(SESSION_HEADER, allowed.session_id)] if allowed.session_id else []),
        *([("authorization", f"Bearer {allowed.handed_on.reveal()}")] if allowed.handed_on else []),
    ):
        response.ok_response.headers.append(_header(name, value))
    return response


def _denied(error: MeshError, *, is_rest: bool, challenge: str = "") -> pb.CheckResponse:
    status = to_status(error)
    http_status = _HTTP_STATUS.get(error.code, _UNAVAILABLE)
    response = pb.CheckResponse(status=status_pb2.Status(code=status.code, message=status.message))
    denied = response.denied_response
    denied.status.code = http_status_pb2.StatusCode.ValueType(http_status)
    if is_rest:
        response.dynamic_metadata["named"] = True  # or the edge would give a failure above 499 words of its own
        denied.headers.append(_header("content-type", "application/json"))
        if http_status == _HTTP_STATUS["UNAUTHENTICATED"]:
            # RFC 6750, section 3: no error code for a request without a token.
            fault = ('error="invalid_token"',) if error.reason == AccessTokenInvalid.reason else ()
            parts = ", ".join((*fault, *((challenge,) if challenge else ())))
            denied.headers.append(_header("www-authenticate", f"Bearer {parts}".rstrip()))
        denied.body = json_format.MessageToJson(status, indent=None)
    else:
        for name, value in _trailers(status).items():
            denied.headers.append(_header(name, value))
    return response


def _trailers(status: status_pb2.Status) -> dict[str, str]:
    """The code, the message and the details of a refusal over gRPC, which agree.

    Without the first two, Envoy derives a code from the HTTP status, and its own texts for 503 replace the message:
    many clients of gRPC then refuse the details.
    """
    packed = base64.b64encode(status.SerializeToString()).rstrip(b"=").decode()
    message = quote(status.message, safe=_PLAIN)
    return {"grpc-status": str(status.code), "grpc-message": message, "grpc-status-details-bin": packed}


def _header(name: str, value: str) -> base_pb2.HeaderValueOption:
    return base_pb2.HeaderValueOption(
        header=base_pb2.HeaderValue(key=name, value=value),
        append_action=base_pb2.HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD,
    )
