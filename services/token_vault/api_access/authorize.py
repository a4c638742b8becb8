"""Authorize requests at the edge: find the API key or the session, and compare its rights with the RPC's needs."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from services.meshkit.errors import ApiKeyInvalid, MeshError
from services.meshkit.identity.caller import ALL_TENANTS, Caller, Role
from services.token_vault.api_access.authenticate import ApiKeyAuthenticator
from services.token_vault.api_access.edge_contract import Needs
from services.token_vault.api_access.sessions import Sessions
from services.token_vault.errors import OriginNotProven, RouteNotFound
from services.token_vault.metrics import API_KEY_CHECKS
from services.token_vault.store.api_keys import ApiKeyRow

_SCHEME = "bearer "
_EDGE = "edge"


@dataclass(frozen=True)
class Allowed:
    """The identity behind a request.

    Args:
        key_id: The key.
        role: Its role, as headers spell it.
        tenants: Its tenants, separated by commas, or `*`.
        abilities: Its abilities, separated by commas, or `*`.
        session_id: The session that stood for the key, empty without one.
    """

    key_id: str
    role: str
    tenants: str
    abilities: str
    session_id: str = ""


@dataclass(frozen=True)
class Presented:
    """The credentials of a request.

    Args:
        authorization: The header; empty without one.
        session: The secret of the session's cookie; empty without one.
        is_own_page: Whether a page of this installation proved to have sent the request.
    """

    authorization: str = ""
    session: str = field(default="", repr=False)
    is_own_page: bool = False


class Authorizer:
    """Authorizes requests at the edge.

    Args:
        authenticator: Finds the key.
        sessions: Finds the session, and its key.
        needs: The rights that a key needs, by full method name. Other methods are refused.
    """

    def __init__(self, authenticator: ApiKeyAuthenticator, sessions: Sessions, needs: Mapping[str, Needs]) -> None:
        self._authenticator = authenticator
        self._sessions = sessions
        self._needs = needs

    async def authorize(self, method: str, presented: Presented) -> Allowed:
        """Authorize a request.

        Args:
            method: `/package.Service/Method`.
            presented: The credentials. A key takes precedence over a cookie.

        Raises:
            ApiKeyInvalid: The request has no valid key. A session does not count where the method is for keys only.
            SessionInvalid: The request has no key, and its session has ended.
            OriginNotProven: The request has a session, and no page of ours proved to have sent it.
            RoleTooLow: The key's role does not suffice.
            KeyLacksAbility: The key does not have the ability.
            RouteNotFound: The key door has no such RPC.
            StoreUnavailable: The database did not answer.
        """
        try:
            allowed = await self._decided(method, presented)
        except MeshError as exc:
            API_KEY_CHECKS.labels(exc.reason.lower()).inc()
            raise
        API_KEY_CHECKS.labels("ok").inc()
        return allowed

    async def _decided(self, method: str, presented: Presented) -> Allowed:
        needs = self._needs.get(method)
        if needs is not None and needs.is_for_keys_only:
            presented = replace(presented, session="")
        row, session_id = await self._identified(presented)
        if needs is None:
            raise RouteNotFound(metadata={"path": method[:200]})
        caller = Caller(_EDGE, row.api_key_id, Role[row.role.upper()], row.scope, frozenset(row.abilities))
        caller.require(needs.role)
        if needs.ability:
            caller.require_ability(needs.ability)
        tenants = ",".join(row.tenant_ids) or ALL_TENANTS
        return Allowed(row.api_key_id, row.role, tenants, ",".join(row.abilities), session_id)

    async def _identified(self, presented: Presented) -> tuple[ApiKeyRow, str]:
        """Return the key, and the session that stands for it. A foreign page learns nothing about the session."""
        authorization = presented.authorization
        if authorization[: len(_SCHEME)].lower() == _SCHEME:
            return await self._authenticator.authenticate(authorization[len(_SCHEME) :].strip()), ""
        if authorization or not presented.session:
            raise ApiKeyInvalid
        if not presented.is_own_page:
            raise OriginNotProven
        session, key = await self._sessions.authenticate(presented.session)
        return key, session.session_id
