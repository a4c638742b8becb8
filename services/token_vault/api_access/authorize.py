"""Authorize requests at the edge: find the key of the credential, and compare its rights with the RPC's needs.

The credential is an API key or a browser's session; at `/mcp` also an access token, and behind tools the door's pass.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

from services.meshkit.errors import ApiKeyInvalid, MeshError
from services.meshkit.identity.caller import ALL_TENANTS, Caller, Role
from services.meshkit.secret import Secret
from services.token_vault.api_access.authenticate import ApiKeyAuthenticator
from services.token_vault.api_access.edge_contract import AGENTS_PATH, Needs
from services.token_vault.api_access.errors import OriginNotProven, RouteNotFound
from services.token_vault.api_access.passes import Passes
from services.token_vault.api_access.sessions import Sessions
from services.token_vault.metrics import API_KEY_CHECKS
from services.token_vault.store.api_keys import ApiKeyRow

_SCHEME = "bearer "
_EDGE = "edge"
_DOTS_OF_JWT = 2
"""An API key has none (RFC 7519, section 3: three parts)."""


@dataclass(frozen=True)
class Allowed:
    """The identity behind a request.

    Args:
        key_id: The key.
        role: Its role, as headers spell it.
        tenants: Its tenants, separated by commas, or `*`.
        abilities: Its abilities, separated by commas, or `*`.
        session_id: The session that stood for the key, empty without one.
        handed_on: The pass that goes on in place of the caller's own credential; None lets that one go on.
    """

    key_id: str
    role: str
    tenants: str
    abilities: str
    session_id: str = ""
    handed_on: Secret | None = None


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


class Bearers(Protocol):
    """Finds the key of a bearer token that is a JWT."""

    async def authenticate(self, token: str, /) -> ApiKeyRow:
        """Return a key that is good, or raise the refusal."""


@dataclass(frozen=True)
class AgentAccess:
    """The credentials of agents that sign in at the identity provider.

    Args:
        tokens: Verifies their access tokens; None when no provider is configured.
        passes: Stand for access tokens behind the door of agents.
    """

    tokens: Bearers | None
    passes: Passes


class Authorizer:
    """Authorizes requests at the edge.

    Args:
        authenticator: Finds the key.
        sessions: Finds the session, and its key.
        agents: The credentials of agents beside keys.
        needs: The rights that a key needs, by full method name. Other methods are refused.
    """

    def __init__(
        self,
        authenticator: ApiKeyAuthenticator,
        sessions: Sessions,
        agents: AgentAccess,
        needs: Mapping[str, Needs],
    ) -> None:
        self._authenticator = authenticator
        self._sessions = sessions
        self._agents = agents
        self._needs = needs

    async def authorize(self, method: str, presented: Presented) -> Allowed:
        """Authorize a request.

        Args:
            method: `/package.Service/Method`.
            presented: The credentials. A key takes precedence over a cookie.

        Raises:
            ApiKeyInvalid: The request has no valid key. A session does not count where the method is for keys only.
            AccessTokenInvalid, SignInNotAllowed: An agent's access token is not valid, or its person has no rights.
            SessionInvalid: The request has no key, and its session has ended.
            OriginNotProven: The request has a session, and no page of ours proved to have sent it.
            RoleTooLow: The key's role does not suffice.
            KeyLacksAbility: The key does not have the ability.
            RouteNotFound: The key door has no such RPC.
            StoreUnavailable, ProviderUnavailable: The database, or the identity provider, did not answer.
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
        bearers = self._bearers(method, needs, presented.authorization)
        if bearers is not None:
            row, session_id = await bearers.authenticate(_token(presented.authorization)), ""
        else:
            row, session_id = await self._identified(presented)
        if needs is None:
            raise RouteNotFound(metadata={"path": method[:200]})
        caller = Caller(_EDGE, row.api_key_id, Role[row.role.upper()], row.scope, frozenset(row.abilities))
        caller.require(needs.role)
        if needs.ability:
            caller.require_ability(needs.ability)
        tenants = ",".join(row.tenant_ids) or ALL_TENANTS
        handed_on = self._agents.passes.issue(row.api_key_id) if bearers and bearers is self._agents.tokens else None
        return Allowed(row.api_key_id, row.role, tenants, ",".join(row.abilities), session_id, handed_on)

    def _bearers(self, method: str, needs: Needs | None, authorization: str) -> Bearers | None:
        """Return what verifies a credential that has the form of a JWT; None where only keys and sessions count."""
        if _token(authorization).count(".") != _DOTS_OF_JWT:
            return None
        if method == AGENTS_PATH:
            return self._agents.tokens
        return self._agents.passes if needs is not None and needs.is_tool else None

    async def _identified(self, presented: Presented) -> tuple[ApiKeyRow, str]:
        """Return the key, and the session that stands for it. A foreign page learns nothing about the session."""
        authorization = presented.authorization
        if authorization[: len(_SCHEME)].lower() == _SCHEME:
            return await self._authenticator.authenticate(_token(authorization)), ""
        if authorization or not presented.session:
            raise ApiKeyInvalid
        if not presented.is_own_page:
            raise OriginNotProven
        session, key = await self._sessions.authenticate(presented.session)
        return key, session.session_id


def _token(authorization: str) -> str:
    """Return the token of a header with scheme Bearer, empty for any other header."""
    return authorization[len(_SCHEME) :].strip() if authorization[: len(_SCHEME)].lower() == _SCHEME else ""
