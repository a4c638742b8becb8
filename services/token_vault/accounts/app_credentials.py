"""The app's own credentials: added by an operator, sealed, used by the issuers, listed without their keys, deleted."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from services.meshkit import db
from services.meshkit.clock import Clock
from services.meshkit.errors import FieldInvalid
from services.meshkit.identity.caller import Caller
from services.meshkit.ids import new_id
from services.providers.names import GOOGLEWS
from services.token_vault.accounts.app_credential_files import ReadCredential
from services.token_vault.accounts.errors import AppCredentialLimitReached, AppCredentialNotFound
from services.token_vault.audit import actor
from services.token_vault.errors import ScopeTooWide
from services.token_vault.issuers.app_keys import AppKey
from services.token_vault.keys.keyring import KeyRing
from services.token_vault.keys.sealing import new_data_key, unwrap
from services.token_vault.store import app_credentials, audit, encryption_keys
from services.token_vault.store.app_credentials import AppCredentialRow
from services.token_vault.store.data_keys import WrappedKey

MOST_OF_A_PROVIDER = 4
_PRIVATE_KEY = "private_key"


@dataclass(frozen=True)
class AppCredentials:
    """Implements `AppKeys`, and the use cases of the app's credentials.

    Args:
        pool: Connections to the database.
        ring: The key-encryption keys.
        clock: The time.
        microsoft_client_id: The application's id at Microsoft.
    """

    pool: db.Pool
    ring: KeyRing
    clock: Clock
    microsoft_client_id: str

    async def usable(self, provider: str) -> Sequence[AppKey]:
        """See `AppKeys.usable`."""
        now = self.clock.now()
        return [
            self._opened(row)
            for row in await self._every()
            if row.provider == provider and (row.expires_at is None or row.expires_at > now)
        ]

    async def listed(self, caller: Caller) -> list[AppCredentialRow]:
        """Read all credentials. Raises `ScopeTooWide`."""
        _require_unlimited(caller)
        return await self._every()

    async def add(self, caller: Caller, provider: str, read: ReadCredential) -> AppCredentialRow:
        """Seal and store a credential; the issuers use it from now on. Safe to call again: yes.

        Raises:
            ScopeTooWide: The key is limited to tenants.
            AppCredentialLimitReached: The provider has as many as it may have.
            FieldInvalid: The key is of another service account than the others.
        """
        _require_unlimited(caller)
        now = self.clock.now()
        async with db.transaction(self.pool) as connection:
            await app_credentials.lock(connection)
            before = [row for row in await app_credentials.every(connection) if row.provider == provider]
            same = next((row for row in before if row.key_name == read.key_name), None)
            if same is not None:
                return same
            _require_fitting(provider, read, before)
            row = await self._sealed(connection, provider, read, now)
            await app_credentials.insert(connection, row)
            await audit.append(connection, audit.Entry(actor(), "app_credential.add", now, detail=_facts(row)))
        return row

    async def delete(self, caller: Caller, credential_id: str) -> None:
        """Delete a credential with its private key. Raises `ScopeTooWide`, `AppCredentialNotFound`."""
        _require_unlimited(caller)
        now = self.clock.now()
        async with db.transaction(self.pool) as connection:
            row = await app_credentials.delete(connection, credential_id)
            if row is None:
                raise AppCredentialNotFound(resource=credential_id, metadata={"credential_id": credential_id})
            await audit.append(connection, audit.Entry(actor(), "app_credential.delete", now, detail=_facts(row)))

    async def _every(self) -> list[AppCredentialRow]:
        async with db.connection(self.pool) as connection:
            return await app_credentials.every(connection)

    async def _sealed(
        self, connection: db.Connection, provider: str, read: ReadCredential, now: datetime
    ) -> AppCredentialRow:
        credential_id = new_id()
        writing = await encryption_keys.writing_key_id(connection, lock=True)
        key, wrapped = new_data_key(self.ring, credential_id, writing)
        return AppCredentialRow(
            credential_id=credential_id,
            provider=provider,
            key_name=read.key_name,
            account=read.account,
            client_id=read.client_id or self.microsoft_client_id,
            certificate=read.certificate,
            expires_at=read.expires_at,
            created_at=now,
            data_key_id=key.data_key_id,
            key_encryption_key_id=wrapped.key_encryption_key_id,
            wrapped=wrapped.wrapped,
            private_key=key.seal(_PRIVATE_KEY, read.private_key),
        )

    def _opened(self, row: AppCredentialRow) -> AppKey:
        wrapped = WrappedKey(row.credential_id, row.data_key_id, row.key_encryption_key_id, row.wrapped)
        private_key = unwrap(self.ring, wrapped).open(_PRIVATE_KEY, row.private_key)
        return AppKey(row.credential_id, row.key_name, row.account, row.client_id, row.certificate, private_key)


def _require_unlimited(caller: Caller) -> None:
    if caller.tenants is not None:
        raise ScopeTooWide(metadata={"field": "tenant_ids"})


def _require_fitting(provider: str, read: ReadCredential, before: list[AppCredentialRow]) -> None:
    if len(before) >= MOST_OF_A_PROVIDER:
        raise AppCredentialLimitReached(metadata={"provider": provider, "maximum": str(MOST_OF_A_PROVIDER)})
    others = {row.account for row in before} - {read.account}
    if provider == GOOGLEWS and others:
        # Organisations have granted their access to one service account: with another one, all of them would be lost.
        raise FieldInvalid.of("service_account_key", f"must be a key of the service account {others.pop()}")


def _facts(row: AppCredentialRow) -> dict[str, str]:
    ends = {"expires_at": row.expires_at.isoformat()} if row.expires_at else {}
    return {"credential_id": row.credential_id, "provider": row.provider, "key_name": row.key_name, **ends}
