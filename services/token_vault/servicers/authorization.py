"""AuthorizationService: the browser's two steps and the page at the end."""

from collections.abc import Mapping
from http.cookies import CookieError, SimpleCookie
from typing import Any

import grpc
from google.api import httpbody_pb2
from typing_extensions import override

from mailmesh.vault.v1 import authorization_service_pb2 as pb
from mailmesh.vault.v1.authorization_service_pb2_grpc import AuthorizationServiceServicer
from services.meshkit.errors import MeshError
from services.meshkit.ids import is_id
from services.token_vault.accounts import result_pages
from services.token_vault.accounts.connect import Connector, Opened, Returned, cookie_name
from services.token_vault.accounts.redirect_errors import refusal

_Context = grpc.aio.ServicerContext
_MAX_CHARACTERS = 4096
_COOKIE_PATH = "/auth/oauth"
_COOKIE_SECONDS = 600


class AuthorizationServicer(AuthorizationServiceServicer):
    """Serves browsers. Failures are pages, not statuses.

    Args:
        connector: Runs the flow.
        public_url: The address at which browsers reach us.
    """

    def __init__(self, connector: Connector, public_url: str) -> None:
        self._connector = connector
        self._public_url = public_url

    @override
    async def OpenAuthorization(
        self, request: pb.OpenAuthorizationRequest, context: "_Context[Any, Any]"
    ) -> pb.OpenAuthorizationResponse:
        try:
            opened = await self._connector.open(request.provider, request.ticket[:_MAX_CHARACTERS])
        except MeshError as exc:
            page = await _page(context, result_pages.of_ticket(exc.reason), "400")
            return pb.OpenAuthorizationResponse(page=page)
        await _redirect(context, opened.url, self._cookie(opened.cookie_name, opened))
        return pb.OpenAuthorizationResponse(page=_empty())

    @override
    async def CompleteAuthorization(
        self, request: pb.CompleteAuthorizationRequest, context: "_Context[Any, Any]"
    ) -> pb.CompleteAuthorizationResponse:
        returned = Returned(
            request.provider,
            request.state[:_MAX_CHARACTERS],
            request.code[:_MAX_CHARACTERS],
            refusal(request.provider, request.error, request.error_description, request.error_subcode),
            _cookies(context),
        )
        flow_id = await self._connector.complete(returned)
        spent = self._cookie(cookie_name(returned.state), None) if flow_id else ""
        await _redirect(context, f"{self._public_url}/auth/oauth/result?flow_id={flow_id}", spent)
        return pb.CompleteAuthorizationResponse(page=_empty())

    @override
    async def ShowAuthorizationResult(
        self, request: pb.ShowAuthorizationResultRequest, context: "_Context[Any, Any]"
    ) -> pb.ShowAuthorizationResultResponse:
        flow = await self._connector.result(request.flow_id.lower()) if is_id(request.flow_id) else None
        return pb.ShowAuthorizationResultResponse(page=await _page(context, result_pages.of_flow(flow), "200"))

    def _cookie(self, name: str, opened: Opened | None) -> str:
        """Write the cookie of a flow; None ends it. Lax, since the browser returns by a link from another site."""
        value, seconds = (opened.cookie.reveal(), _COOKIE_SECONDS) if opened else ("", 0)
        secure = "; Secure" if self._public_url.startswith("https:") else ""
        return f"{name}={value}; Path={_COOKIE_PATH}; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}"


async def _page(context: "_Context[Any, Any]", page: result_pages.Page, status: str) -> httpbody_pb2.HttpBody:
    await context.send_initial_metadata((("x-http-status", status), *result_pages.HEADERS))
    return httpbody_pb2.HttpBody(content_type="text/html; charset=utf-8", data=result_pages.render(page))


async def _redirect(context: "_Context[Any, Any]", url: str, cookie: str) -> None:
    cookies = (("set-cookie", cookie),) if cookie else ()
    await context.send_initial_metadata((("x-http-status", "302"), ("location", url), *cookies, *result_pages.HEADERS))


def _empty() -> httpbody_pb2.HttpBody:
    return httpbody_pb2.HttpBody(content_type="text/plain")


def _cookies(context: "_Context[Any, Any]") -> Mapping[str, str]:
    found: dict[str, str] = {}
    for name, value in context.invocation_metadata() or ():
        if name == "cookie" and isinstance(value, str):
            found |= _parsed(value[:_MAX_CHARACTERS])
    return found


def _parsed(header: str) -> dict[str, str]:
    try:
        return {name: morsel.value for name, morsel in SimpleCookie(header).items()}
    except CookieError:
        return {}
