"""SignInService: the offer, the browser's two steps, and the metadata for agents' hosts."""

from collections.abc import Mapping
from typing import Any

import grpc
import structlog
from google.api import httpbody_pb2
from typing_extensions import override

from mailmesh.vault.v1 import sign_in_service_pb2 as pb
from mailmesh.vault.v1.sign_in_service_pb2_grpc import SignInServiceServicer
from services.meshkit.errors import MeshError
from services.meshkit.secret import Secret
from services.token_vault.accounts import result_pages
from services.token_vault.accounts.errors import ConsentDenied, FlowStateInvalid
from services.token_vault.servicers.cookies import SESSION_COOKIE, presented_cookies
from services.token_vault.servicers.sessions import session_cookie
from services.token_vault.sign_in import pages
from services.token_vault.sign_in.browser_secrets import COOKIE, COOKIE_SECONDS, BrowserSecrets
from services.token_vault.sign_in.configured import SignIn
from services.token_vault.sign_in.errors import AgentSignInNotOffered, SignInNotOffered
from services.token_vault.sign_in.provider import NAME
from services.token_vault.store.sessions import SessionRow

logger = structlog.get_logger(__name__)

_Context = grpc.aio.ServicerContext
_MAX_CHARACTERS = 4096
_CONSOLE = "/console/"


class SignInServicer(SignInServiceServicer):
    """Serves browsers. Failures of the two steps are pages, not statuses.

    Args:
        sign_in: The configured sign-in; None when none is offered.
        public_url: The address at which browsers reach us.
    """

    def __init__(self, sign_in: SignIn | None, public_url: str) -> None:
        self._sign_in = sign_in
        self._public_url = public_url

    @override
    async def GetSignIn(self, request: pb.GetSignInRequest, context: "_Context[Any, Any]") -> pb.GetSignInResponse:
        if self._sign_in is None:
            return pb.GetSignInResponse()
        return pb.GetSignInResponse(is_offered=True, name=self._sign_in.name)

    @override
    async def StartSignIn(
        self, request: pb.StartSignInRequest, context: "_Context[Any, Any]"
    ) -> pb.StartSignInResponse:
        browser = BrowserSecrets.new()
        try:
            url = await self._offered().provider.authorization_url(browser)
        except MeshError as exc:
            return pb.StartSignInResponse(page=await _failed(context, exc))
        await _redirect(context, "302", url, _cookie(browser.cookie))
        return pb.StartSignInResponse(page=_empty())

    @override
    async def CompleteSignIn(
        self, request: pb.CompleteSignInRequest, context: "_Context[Any, Any]"
    ) -> pb.CompleteSignInResponse:
        try:
            row, secret = await self._complete(request, presented_cookies(context))
        except MeshError as exc:
            return pb.CompleteSignInResponse(page=await _failed(context, exc))
        # 303 to a page that needs no cookie: a browser that comes from another site sends no Strict cookie on its way.
        await _redirect(context, "303", f"{self._public_url}{_CONSOLE}", _cookie(None), session_cookie(row, secret))
        return pb.CompleteSignInResponse(page=_empty())

    @override
    async def GetProtectedResource(
        self, request: pb.GetProtectedResourceRequest, context: "_Context[Any, Any]"
    ) -> pb.GetProtectedResourceResponse:
        if self._sign_in is None:
            raise AgentSignInNotOffered
        document = self._sign_in.resource.document()
        return pb.GetProtectedResourceResponse(
            document=httpbody_pb2.HttpBody(content_type="application/json", data=document)
        )

    async def _complete(
        self, request: pb.CompleteSignInRequest, cookies: Mapping[str, str]
    ) -> tuple[SessionRow, Secret]:
        at = self._offered()
        browser = BrowserSecrets.of_cookie(cookies.get(COOKIE, ""))
        if browser is None or not browser.is_state(request.state[:_MAX_CHARACTERS]):
            raise FlowStateInvalid(metadata={"detail": "state"})
        # RFC 9207: an answer of another issuer is a mix-up.
        if request.iss and request.iss != at.issuer:
            raise FlowStateInvalid(metadata={"detail": "issuer"})
        if request.error:
            raise ConsentDenied(metadata={"provider": NAME})
        if not request.code or len(request.code) > _MAX_CHARACTERS:
            raise FlowStateInvalid(metadata={"detail": "code"})
        person = await at.provider.person(request.code, browser)
        return await at.people.sign_in(person, cookies.get(SESSION_COOKIE, ""))

    def _offered(self) -> SignIn:
        if self._sign_in is None:
            raise SignInNotOffered
        return self._sign_in


def _cookie(secret: Secret | None) -> str:
    """Write the cookie of a sign-in; None ends it. Lax: the provider's redirect is a link from another site."""
    value, seconds = (secret.reveal(), COOKIE_SECONDS) if secret else ("", 0)
    return f"{COOKIE}={value}; Path=/; Max-Age={seconds}; Secure; HttpOnly; SameSite=Lax"


async def _failed(context: "_Context[Any, Any]", failure: MeshError) -> httpbody_pb2.HttpBody:
    logger.info("sign-in refused", reason=failure.reason, detail=failure.metadata.get("detail", ""))
    headers = (("x-http-status", "400"), ("set-cookie", _cookie(None)), *result_pages.HEADERS)
    await context.send_initial_metadata(headers)
    page = pages.render(pages.of_failure(failure.reason, failure.metadata.get("detail", "")))
    return httpbody_pb2.HttpBody(content_type="text/html; charset=utf-8", data=page)


async def _redirect(context: "_Context[Any, Any]", status: str, url: str, *cookies: str) -> None:
    given = (("set-cookie", cookie) for cookie in cookies)
    await context.send_initial_metadata((("x-http-status", status), ("location", url), *given, *result_pages.HEADERS))


def _empty() -> httpbody_pb2.HttpBody:
    return httpbody_pb2.HttpBody(content_type="text/plain")
