"""AuthorizationService: the page with the button, the browser's two steps and the page at the end."""

from typing import Any
from urllib.parse import parse_qs

import grpc
from google.api import httpbody_pb2
from typing_extensions import override

from mailmesh.vault.v1 import authorization_service_pb2 as pb
from mailmesh.vault.v1.authorization_service_pb2_grpc import AuthorizationServiceServicer
from services.meshkit.errors import MeshError
from services.meshkit.ids import is_id
from services.meshkit.secret import Secret
from services.token_vault.accounts import button_page, result_pages
from services.token_vault.accounts.connect import Connector
from services.token_vault.accounts.flow_secrets import cookie_name, page_cookie_name
from services.token_vault.accounts.flow_steps import Returned
from services.token_vault.accounts.redirect_errors import refusal
from services.token_vault.servicers.cookies import presented_cookies

_Context = grpc.aio.ServicerContext
_MAX_CHARACTERS = 4096
_MAX_FIELDS = 20
_DIRECTORY_CHARACTERS = 100
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
        ticket = request.ticket[:_MAX_CHARACTERS]
        try:
            offered = await self._connector.offer(request.provider, ticket, presented_cookies(context))
        except MeshError as exc:
            page = await _page(context, result_pages.of_ticket(exc.reason), "400")
            return pb.OpenAuthorizationResponse(page=page)
        # Lax: no other site's form sends it. Strict would hide it from a second click on the link in a webmail, and the
        # page in the first tab would stop working.
        cookie = self._cookie(page_cookie_name(offered.flow_id), offered.cookie, "Lax")
        await context.send_initial_metadata((("x-http-status", "200"), ("set-cookie", cookie), *button_page.HEADERS))
        return pb.OpenAuthorizationResponse(page=_html(button_page.render(offered, ticket)))

    @override
    async def ConfirmAuthorization(
        self, request: pb.ConfirmAuthorizationRequest, context: "_Context[Any, Any]"
    ) -> pb.ConfirmAuthorizationResponse:
        form = _form(request.form.data)
        try:
            opened = await self._connector.open(
                request.provider, form.get("ticket", ""), form.get("proof", ""), presented_cookies(context)
            )
        except MeshError as exc:
            page = await _page(context, result_pages.of_ticket(exc.reason), "400")
            return pb.ConfirmAuthorizationResponse(page=page)
        # 303: the browser follows with a GET.
        await _redirect(context, "303", opened.url, self._cookie(opened.cookie_name, opened.cookie, "Lax"))
        return pb.ConfirmAuthorizationResponse(page=_empty())

    @override
    async def CompleteAuthorization(
        self, request: pb.CompleteAuthorizationRequest, context: "_Context[Any, Any]"
    ) -> pb.CompleteAuthorizationResponse:
        returned = Returned(
            request.provider,
            request.state[:_MAX_CHARACTERS],
            request.code[:_MAX_CHARACTERS],
            refusal(request.provider, request.error, request.error_description, request.error_subcode),
            presented_cookies(context),
            request.admin_consent.lower() == "true",
            request.tenant[:_DIRECTORY_CHARACTERS],
        )
        flow_id = await self._connector.complete(returned)
        names = (cookie_name(returned.state), page_cookie_name(flow_id)) if flow_id else ()
        spent = [self._cookie(name, None, "Lax") for name in names]
        await _redirect(context, "302", f"{self._public_url}/auth/oauth/result?flow_id={flow_id}", *spent)
        return pb.CompleteAuthorizationResponse(page=_empty())

    @override
    async def ShowAuthorizationResult(
        self, request: pb.ShowAuthorizationResultRequest, context: "_Context[Any, Any]"
    ) -> pb.ShowAuthorizationResultResponse:
        flow = await self._connector.result(request.flow_id.lower()) if is_id(request.flow_id) else None
        return pb.ShowAuthorizationResultResponse(page=await _page(context, result_pages.of_flow(flow), "200"))

    def _cookie(self, name: str, secret: Secret | None, same_site: str) -> str:
        """Write a cookie; None ends it. Lax is for the browser's return, which is a link from another site."""
        value, seconds = (secret.reveal(), _COOKIE_SECONDS) if secret else ("", 0)
        secure = "; Secure" if self._public_url.startswith("https:") else ""
        return f"{name}={value}; Path={_COOKIE_PATH}; Max-Age={seconds}; HttpOnly; SameSite={same_site}{secure}"


async def _page(context: "_Context[Any, Any]", page: result_pages.Page, status: str) -> httpbody_pb2.HttpBody:
    await context.send_initial_metadata((("x-http-status", status), *result_pages.HEADERS))
    return _html(result_pages.render(page))


async def _redirect(context: "_Context[Any, Any]", status: str, url: str, *cookies: str) -> None:
    given = (("set-cookie", cookie) for cookie in cookies)
    await context.send_initial_metadata((("x-http-status", status), ("location", url), *given, *result_pages.HEADERS))


def _html(page: bytes) -> httpbody_pb2.HttpBody:
    return httpbody_pb2.HttpBody(content_type="text/html; charset=utf-8", data=page)


def _form(body: bytes) -> dict[str, str]:
    """Read a form: the first value of each field. A body that is no form has none."""
    try:
        fields = parse_qs(body[:_MAX_CHARACTERS].decode("ascii"), max_num_fields=_MAX_FIELDS)
    except ValueError:
        return {}
    return {name: values[0] for name, values in fields.items()}


def _empty() -> httpbody_pb2.HttpBody:
    return httpbody_pb2.HttpBody(content_type="text/plain")
