"""Authorize requests at the edge: find the API key, and compare its role with the RPC's least role."""

from collections.abc import Mapping
from dataclasses import dataclass

from services.meshkit.errors import ApiKeyInvalid, MeshError, RoleTooLow
from services.meshkit.identity.caller import ALL_TENANTS, Role
from services.token_vault.api_access.authenticate import ApiKeyAuthenticator
from services.token_vault.errors import RouteNotFound
from services.token_vault.metrics import API_KEY_CHECKS

_SCHEME = "bearer "


@dataclass(frozen=True)
class Allowed:
    """The identity behind a request.

    Args:
        key_id: The key.
        role: Its role, as headers spell it.
        tenants: Its tenants, separated by commas, or `*`.
    """

    key_id: str
    role: str
    tenants: str


class Authorizer:
    """Authorizes requests at the edge.

    Args:
        authenticator: Finds the key.
        roles: The least role by full method name. Other methods are refused.
    """

    def __init__(self, authenticator: ApiKeyAuthenticator, roles: Mapping[str, Role]) -> None:
        self._authenticator = authenticator
        self._roles = roles

    async def authorize(self, method: str, authorization: str) -> Allowed:
        """Authorize a request.

        Args:
            method: `/package.Service/Method`.
            authorization: The header; empty without one.

        Raises:
            ApiKeyInvalid: The request has no valid key.
            RoleTooLow: The key's role does not suffice.
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
        minimum = self._roles.get(method)
        if minimum is None:
            raise RouteNotFound(metadata={"path": method[:200]})
        if Role[row.role.upper()] < minimum:
            raise RoleTooLow(metadata={"required_role": minimum.label, "role": row.role})
        return Allowed(row.api_key_id, row.role, ",".join(row.tenant_ids) or ALL_TENANTS)
