"""Authorize requests at the edge: find the API key, and compare its role and abilities with the RPC's needs."""

from collections.abc import Mapping
from dataclasses import dataclass

from services.meshkit.errors import ApiKeyInvalid, MeshError
from services.meshkit.identity.caller import ALL_TENANTS, Caller, Role
from services.token_vault.api_access.authenticate import ApiKeyAuthenticator
from services.token_vault.api_access.edge_contract import Needs
from services.token_vault.errors import RouteNotFound
from services.token_vault.metrics import API_KEY_CHECKS

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
    """

    key_id: str
    role: str
    tenants: str
    abilities: str


class Authorizer:
    """Authorizes requests at the edge.

    Args:
        authenticator: Finds the key.
        needs: The rights that a key needs, by full method name. Other methods are refused.
    """

    def __init__(self, authenticator: ApiKeyAuthenticator, needs: Mapping[str, Needs]) -> None:
        self._authenticator = authenticator
        self._needs = needs

    async def authorize(self, method: str, authorization: str) -> Allowed:
        """Authorize a request.

        Args:
            method: `/package.Service/Method`.
            authorization: The header; empty without one.

        Raises:
            ApiKeyInvalid: The request has no valid key.
            RoleTooLow: The key's role does not suffice.
            KeyLacksAbility: The key does not have the ability.
            RouteNotFound: The key door has no such RPC.
            StoreUnavailable: The database did not answer.
        """
        try:
            allowed = await self._decided(method, authorization)
        except MeshError as exc:
            API_KEY_CHECKS.labels(exc.reason.lower()).inc()
            raise
        API_KEY_CHECKS.labels("ok").inc()
        return allowed

    async def _decided(self, method: str, authorization: str) -> Allowed:
        if authorization[: len(_SCHEME)].lower() != _SCHEME:
            raise ApiKeyInvalid
        row = await self._authenticator.authenticate(authorization[len(_SCHEME) :].strip())
        needs = self._needs.get(method)
        if needs is None:
            raise RouteNotFound(metadata={"path": method[:200]})
        caller = Caller(_EDGE, row.api_key_id, Role[row.role.upper()], row.scope, frozenset(row.abilities))
        caller.require(needs.role)
        if needs.ability:
            caller.require_ability(needs.ability)
        return Allowed(row.api_key_id, row.role, ",".join(row.tenant_ids) or ALL_TENANTS, ",".join(row.abilities))
