"""SessionService: a key is traded for a session cookie, and sessions end."""

from typing import Any

import grpc
from typing_extensions import override

from mailmesh.vault.v1 import session_service_pb2 as pb
from mailmesh.vault.v1.session_service_pb2_grpc import SessionServiceServicer
from services.meshkit.identity.caller import current_caller
from services.meshkit.ids import check_id
from services.meshkit.pages import PageTokens, Position, is_row_id, is_time, page_size
from services.meshkit.secret import Secret
from services.token_vault.api_access.api_keys import ApiKeys
from services.token_vault.api_access.sessions import Sessions
from services.token_vault.servicers.api_keys import to_message
from services.token_vault.servicers.cookies import SESSION_COOKIE, presented_cookies
from services.token_vault.store.sessions import SessionRow

_Context = grpc.aio.ServicerContext
# `__Host-`: the browser takes it only with Secure, for all paths, and for this host alone (RFC 6265bis, section 4.1.3).
_COOKIE = f"{SESSION_COOKIE}={{value}}; Path=/; Max-Age={{seconds}}; Secure; HttpOnly; SameSite=Strict"


class SessionServicer(SessionServiceServicer):
    """Serves browsers that have a key or a session.

    Args:
        sessions: Makes and ends sessions.
        api_keys: Describes keys.
    """

    def __init__(self, sessions: Sessions, api_keys: ApiKeys) -> None:
        self._sessions = sessions
        self._api_keys = api_keys
        self._pages = PageTokens(columns=(is_time, is_row_id))

    @override
    async def CreateSession(
        self, request: pb.CreateSessionRequest, context: "_Context[Any, Any]"
    ) -> pb.CreateSessionResponse:
        presented = presented_cookies(context).get(SESSION_COOKIE, "")
        row, key, secret = await self._sessions.create(current_caller(), presented)
        await context.send_initial_metadata((("set-cookie", session_cookie(row, secret)),))
        return pb.CreateSessionResponse(session=self._message(row, key.display_name), api_key=to_message(key))

    @override
    async def GetSession(self, request: pb.GetSessionRequest, context: "_Context[Any, Any]") -> pb.GetSessionResponse:
        caller = current_caller()
        key = await self._api_keys.check(caller.key_id)
        response = pb.GetSessionResponse(api_key=to_message(key))
        if caller.session_id:
            row = await self._sessions.read(caller.session_id)
            response.session.CopyFrom(self._message(row, key.display_name))
        return response

    @override
    async def EndSession(self, request: pb.EndSessionRequest, context: "_Context[Any, Any]") -> pb.EndSessionResponse:
        ended = await self._sessions.end(current_caller(), everywhere=request.everywhere)
        await context.send_initial_metadata((("set-cookie", _COOKIE.format(value="", seconds=0)),))
        return pb.EndSessionResponse(ended=ended)

    @override
    async def ListSessions(
        self, request: pb.ListSessionsRequest, context: "_Context[Any, Any]"
    ) -> pb.ListSessionsResponse:
        size, position = page_size(request.page_size), self._pages.read(request)
        after = (str(position[0]), str(position[1])) if position else None
        key = check_id("api_key_id", request.api_key_id) if request.api_key_id else ""
        found = await self._sessions.page(current_caller().tenants, key, after, size + 1)
        given = found[:size]
        last = given[-1][0] if len(found) > size else None
        behind: Position | None = [last.created_at.isoformat(), last.session_id] if last else None
        return pb.ListSessionsResponse(
            sessions=[self._message(row, name) for row, name in given],
            next_page_token=self._pages.write(request, behind),
        )

    @override
    async def RevokeSession(
        self, request: pb.RevokeSessionRequest, context: "_Context[Any, Any]"
    ) -> pb.RevokeSessionResponse:
        session_id = check_id("session_id", request.session_id)
        row, name = await self._sessions.revoke(current_caller(), session_id)
        return pb.RevokeSessionResponse(session=self._message(row, name))

    def _message(self, row: SessionRow, key_display_name: str) -> pb.Session:
        message = pb.Session(
            session_id=row.session_id,
            idle_seconds=int(self._sessions.idle.total_seconds()),
            api_key_id=row.api_key_id,
            key_display_name=key_display_name,
        )
        for name in ("created_at", "expires_at", "last_used_at"):
            getattr(message, name).FromDatetime(getattr(row, name))
        return message


def session_cookie(row: SessionRow, secret: Secret) -> str:
    """Write the cookie of a new session, which lasts as long as the session."""
    seconds = int((row.expires_at - row.created_at).total_seconds())
    return _COOKIE.format(value=secret.reveal(), seconds=seconds)
