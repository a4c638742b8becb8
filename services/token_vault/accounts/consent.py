"""Take the consent of an organisation's administrator for the app.

The key that starts the flow names the organisation, and the token of the app proves it: the browser's answer cannot
choose another one, even one that has consented before.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from services.meshkit import db
from services.meshkit.clock import Clock
from services.meshkit.errors import MeshError
from services.meshkit.secret import Secret
from services.token_vault.accounts.errors import AdminConsentNeeded, DelegationNotGranted
from services.token_vault.accounts.flow_secrets import invalid
from services.token_vault.accounts.flow_steps import Returned
from services.token_vault.errors import ProviderUnknown
from services.token_vault.issuers.issuer import (
    AppIssuer,
    Begun,
    ConsentingApp,
    DelegationMissing,
    TokenRefused,
    TokenResponse,
)
from services.token_vault.store import audit, authorization_flows, directories
from services.token_vault.store.authorization_flows import FlowRow
from services.token_vault.store.directories import DirectoryRow

DELEGATION_PAGE = "https://admin.google.com/ac/owl/domainwidedelegation"
"""The page on which an administrator of Google Workspace grants a service account its scopes."""
_TRIES = 4
_PAUSE_SECONDS = 1.0


@dataclass(frozen=True)
class Consents:
    """Administrators' consents.

    Args:
        pool: Connections to the database.
        apps: The app's own access to organisations, by provider.
        consenting: Those at which an administrator admits the app on a page.
        clock: The time.
    """

    pool: db.Pool
    apps: dict[str, AppIssuer]
    consenting: Mapping[str, ConsentingApp]
    clock: Clock

    def begin(self, flow: FlowRow, state: Secret) -> Begun:
        """Return the address of the provider's page. Nothing has to be kept but the state."""
        return Begun(self.page(flow.provider).consent_url(state, flow.directory_id), Secret("{}"))

    async def complete(self, flow: FlowRow, returned: Returned) -> None:
        """Check the answer, get the app's first token for the organisation, and store the consent.

        Raises:
            MeshError: The administrator declined, the answer is about another organisation, or the app gets no token
                with permissions. Nothing is stored then.
        """
        if returned.refusal is not None:
            raise returned.refusal
        if not returned.is_admin_consent or returned.directory_id.lower() != flow.directory_id:
            raise invalid("other directory")
        token, now = await self._first_token(flow), self.clock.now()
        listed = (flow.allowed_addresses, flow.allows_all, flow.created_at)
        row = DirectoryRow(flow.provider, flow.directory_id, *listed, token.scopes, now)
        facts = {
            "flow_id": flow.flow_id,
            "started_by": flow.started_by,
            "directory_id": row.directory_id,
            "roles": " ".join(row.roles),
            "allowed": "all" if row.allows_all else str(len(row.allowed_addresses)),
        }
        async with db.transaction(self.pool) as connection:
            await directories.put(connection, row)
            await authorization_flows.end_flow(connection, flow.flow_id, step=authorization_flows.CONNECTED)
            entry = audit.Entry(f"browser:{flow.flow_id}", "directory.consent", now, detail=facts)
            await audit.append(connection, entry)

    async def _first_token(self, flow: FlowRow) -> TokenResponse:
        """Get a token with permissions: the first ones after a consent may come without."""
        for tries_left in reversed(range(_TRIES)):
            try:
                return await self.app(flow.provider).directory_token(flow.directory_id, "")
            except TokenRefused as exc:
                if not tries_left:
                    raise AdminConsentNeeded(metadata={"provider": flow.provider}) from exc
            await asyncio.sleep(_PAUSE_SECONDS)
        raise AssertionError  # the last try returns or raises

    def page(self, provider: str) -> ConsentingApp:
        """Return the app's access at a provider where an administrator admits it on a page.

        Raises:
            ProviderUnknown: The installation has no settings for it, or it has no such page.
        """
        found = self.consenting.get(provider)
        if found is None:
            raise ProviderUnknown(metadata={"provider": provider[:50], "known": ",".join(self.consenting)})
        return found

    def app(self, provider: str) -> AppIssuer:
        """Return the app's access at a provider.

        Raises:
            ProviderUnknown: The installation has no settings for it, or it has no such access.
        """
        found = self.apps.get(provider)
        if found is None:
            raise ProviderUnknown(metadata={"provider": provider[:50], "known": ",".join(self.apps)})
        return found


def refused(error: TokenRefused, directory_id: str) -> MeshError:
    """Make the failure for an organisation that refuses the app."""
    if isinstance(error, DelegationMissing):
        scopes = ",".join(error.scopes)
        return DelegationNotGranted(
            f"The organisation has not granted the service account all of these scopes: {scopes}. Its administrator"
            f" enters the client id {error.client_id} and the scopes at {DELEGATION_PAGE} (Security, Access and data"
            " control, API controls, Manage domain-wide delegation); it may take a day until Google honours them.",
            metadata={"directory_id": directory_id, "client_id": error.client_id, "scopes": scopes},
        )
    return AdminConsentNeeded(
        "The organisation does not admit the app, or not any more. Its administrator has to consent again.",
        metadata={"directory_id": directory_id, "detail": error.cause},
    )
