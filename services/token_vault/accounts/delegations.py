"""Take an organisation of Google Workspace that has granted the app's service account domain-wide delegation.

No page tells that an administrator has granted it, so the grant is tried: the service account reads the administrator
whom the caller names, as this administrator, and Google's answer names the organisation.
"""

import re
from dataclasses import dataclass

from services.meshkit import db
from services.meshkit.clock import Clock
from services.meshkit.identity.caller import Caller
from services.providers.names import GOOGLEWS
from services.token_vault.accounts.consent import refused
from services.token_vault.audit import actor
from services.token_vault.errors import IdentityUnproven, ScopeTooWide
from services.token_vault.issuers.google_app import GoogleApp
from services.token_vault.issuers.issuer import TokenRefused, TokenResponse
from services.token_vault.store import audit, directories
from services.token_vault.store.directories import DirectoryRow

CUSTOMER_ID = re.compile(r"C[0-9A-Za-z]{2,40}")
"""The id of an organisation at Google."""


@dataclass(frozen=True)
class Delegations:
    """The use case of `DirectoryService.CreateDirectory`.

    Args:
        pool: Connections to the database.
        app: The service account.
        clock: The time.
    """

    pool: db.Pool
    app: GoogleApp
    clock: Clock

    async def take(
        self, caller: Caller, administrator: str, addresses: tuple[str, ...], *, allows_all: bool
    ) -> DirectoryRow:
        """Try the delegation of an organisation, and store it with its allow-list. Safe to call again.

        Args:
            caller: The caller.
            administrator: The address of an administrator who may read users, in lower case.
            addresses: The allow-list, which replaces the one before.
            allows_all: Whether every mailbox may become a tenant.

        Raises:
            MeshError: See the contract; nothing is stored then.
        """
        if caller.tenants is not None:
            raise ScopeTooWide(metadata={"field": "tenant_ids"})
        directory_id, token = await self._tried(administrator)
        now = self.clock.now()
        row = DirectoryRow(
            GOOGLEWS, directory_id, addresses, allows_all, now, token.scopes, now, administrator=administrator
        )
        facts = {
            "directory_id": directory_id,
            "roles": " ".join(row.roles),
            "allowed": "all" if allows_all else str(len(addresses)),
        }
        async with db.transaction(self.pool) as connection:
            await directories.put(connection, row)
            await audit.append(connection, audit.Entry(actor(), "directory.consent", now, detail=facts))
        return row

    async def _tried(self, administrator: str) -> tuple[str, TokenResponse]:
        try:
            token = await self.app.directory_token("", administrator)
            directory_id = await self.app.directory_of(token.access_token, administrator)
        except TokenRefused as exc:
            raise refused(exc, "") from exc
        if not CUSTOMER_ID.fullmatch(directory_id):
            raise IdentityUnproven(metadata={"provider": GOOGLEWS, "detail": "directory"})
        return directory_id, token
