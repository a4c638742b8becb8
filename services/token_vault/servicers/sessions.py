"""SessionService: a key is traded for a session cookie, and sessions end."""

from typing import Any

import grpc
from typing_extensions import override

from mailmesh.vault.v1 import session_service_pb2 as pb
from mailmesh.vault.v1.session_service_pb2_grpc import SessionServiceServicer
from services.meshkit.identity.caller import current_caller
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

    @override
    async def CreateSession(
        self, request: pb.CreateSessionRequest, context: "_Context[Any, Any]"
    ) -> pb.CreateSessionResponse:
        presented = presented_cookies(context).get(SESSION_COOKIE, "")
        row, key, secret = await self._sessions.create(current_caller(), presented)
        await context.send_initial_metadata((("set-cookie", session_cookie(row, secret)),))
        return pb.CreateSessionResponse(session=self._message(row), api_key=to_message(key))

    @override
    async def GetSession(self, request: pb.GetSessionRequest, context: "_Context[Any, Any]") -> pb.GetSessionResponse:
        caller = current_caller()
        response = pb.GetSessionResponse(api_key=to_message(await self._api_keys.check(caller.key_id)))
        if caller.session_id:
            response.session.CopyFrom(self._message(await self._sessions.read(caller.session_id)))
        return response

    @override
    async def EndSession(self, request: pb.EndSessionRequest, context: "_Context[Any, Any]") -> pb.EndSessionResponse:
        ended = await self._sessions.end(current_caller(), everywhere=request.everywhere)
        await context.send_initial_metadata((("set-cookie", _COOKIE.format(value="", seconds=0)),))
        return pb.EndSessionResponse(ended=ended)

    def _message(self, row: SessionRow) -> pb.Session:
        message = pb.Session(session_id=row.session_id, idle_seconds=int(self._sessions.idle.total_seconds()))
        message.created_at.FromDatetime(row.created_at)
        message.expires_at.FromDatetime(row.expires_at)
        return message


def session_cookie(row: SessionRow, secret: Secret) -> str:
    """Write the cookie of a new session, which lasts as long as the session."""
    seconds = int((row.expires_at - row.created_at).total_seconds())
    return _COOKIE.format(value=secret.reveal(), seconds=seconds)
