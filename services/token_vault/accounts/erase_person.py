"""Erase a person's address within a tenant: let each service remove it, and sign a report of it all."""

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime, timedelta

import structlog

from services.meshkit import db
from services.meshkit.clock import Clock
from services.meshkit.erasing import erase_each, renew_statistics
from services.meshkit.erasing_persons import PersonToErase, erase_person
from services.meshkit.errors import FieldInvalid
from services.meshkit.persons import plain_address
from services.token_vault.accounts.erase import AFTER, NAME, ReportSigner
from services.token_vault.audit import ITSELF, actor
from services.token_vault.errors import PersonErasureNotFound, PersonIsAccount
from services.token_vault.persons import PERSONS
from services.token_vault.store import audit, person_erasures
from services.token_vault.store.person_erasures import PersonErasureRow
from services.token_vault.store.tenants import Scope, get_tenant

logger = structlog.get_logger(__name__)

_SETTLE = {"ingest": timedelta(0), "processor": timedelta(seconds=12), "delivery": timedelta(seconds=45)}
"""The time for which a service may still write what it had read before its source lost the person: longer than the ten
seconds of a call between services, for Delivery also than the thirty of a receiver whose answer may cite the event."""
_SCHEMA = "vault"
_BATCH, _LISTED = 20, 100


class PersonEraser:
    """The steps of an erasure of a person.

    Args:
        pool: Connections to the database.
        signer: Signs the report.
        clock: The time.
        backups_kept: The time for which the operator keeps backups.
    """

    def __init__(self, pool: db.Pool, signer: ReportSigner, clock: Clock, backups_kept: timedelta) -> None:
        self._pool = pool
        self._signer = signer
        self._clock = clock
        self._backups_kept = backups_kept

    async def start(self, tenant_id: str, address: str, scope: Scope) -> PersonErasureRow:
        """Start to erase a person. Safe to call again: yes; while an erasure of the address runs, it is returned.

        Raises:
            FieldInvalid: The text is no address.
            TenantNotFound: The tenant does not exist, or is outside the scope.
            PersonIsAccount: The address is that of the tenant's account.
        """
        plain = plain_address(address)
        if not plain:
            raise FieldInvalid.of("address", "must be one mail address, such as ann@example.com")
        digest, now = hashlib.sha256(plain.encode()).hexdigest(), self._clock.now()
        async with db.transaction(self._pool) as connection:
            tenant = await get_tenant(connection, tenant_id, scope, lock=True)
            if plain == plain_address(tenant.address):
                raise PersonIsAccount(metadata={"tenant_id": tenant_id})
            row, is_new = await person_erasures.begin(connection, tenant_id, plain, digest, now)
            if is_new:
                await audit.append(connection, _entry(actor(), row, now))
        return row

    async def get(self, tenant_id: str, erasure_id: str, scope: Scope) -> PersonErasureRow:
        """Read an erasure.

        Raises:
            PersonErasureNotFound: The tenant has no such erasure, or is outside the scope.
        """
        async with db.connection(self._pool) as connection:
            found = await person_erasures.find(connection, tenant_id, erasure_id, scope)
        if found is None:
            raise PersonErasureNotFound(resource=erasure_id)
        return found

    async def pending(self, service: str) -> list[PersonErasureRow]:
        """List the erasures that a service has to do now, in the order in which data goes through the services."""
        before = self._clock.now() - _SETTLE[service]
        async with db.connection(self._pool) as connection:
            return await person_erasures.pending(connection, service, AFTER[service], before, _LISTED)

    async def confirm(self, service: str, tenant_id: str, erasure_id: str, removed: Mapping[str, int]) -> None:
        """Record that a service has erased a person. Safe to call again: yes.

        Raises:
            PersonErasureNotFound: There is no such erasure.
        """
        await self.get(tenant_id, erasure_id, None)
        async with db.connection(self._pool) as connection:
            await person_erasures.confirm(connection, erasure_id, service, removed, self._clock.now())

    async def round(self) -> int:
        """Finish the erasures that all services have confirmed; return their number."""
        async with db.connection(self._pool) as connection:
            ready = await person_erasures.ready(connection, list(AFTER), _BATCH)
        return await erase_each(ready, self._finish, lambda row: row.tenant_id)

    async def _finish(self, begun: PersonErasureRow) -> bool:
        if begun.address:
            await self._erase_own(begun)
        await renew_statistics(self._pool, _SCHEMA)  # they have the addresses of erasures
        row, now = await self.get(begun.tenant_id, begun.erasure_id, None), self._clock.now()
        report = _report(row, now, now + self._backups_kept)
        signed = self._signer.sign(report)
        async with db.transaction(self._pool) as connection:
            await person_erasures.finish(connection, row.erasure_id, now, self._backups_kept, report, signed)
            await audit.append(connection, _entry(ITSELF, row, now))
        logger.info("person erased", tenant_id=row.tenant_id)
        return True

    async def _erase_own(self, row: PersonErasureRow) -> None:
        """Remove the person from our own rows, the erasure's last."""
        named = PersonToErase(row.erasure_id, row.tenant_id, row.address)
        removed = await erase_person(self._pool, _SCHEMA, PERSONS, named)
        async with db.transaction(self._pool) as connection:
            await person_erasures.confirm(connection, row.erasure_id, NAME, removed, self._clock.now())
            await person_erasures.forget(connection, row.erasure_id)


def _entry(author: str, row: PersonErasureRow, at: datetime) -> audit.Entry:
    detail = {"erasure_id": row.erasure_id, "address_digest": row.address_digest}
    return audit.Entry(author, "person.erase", at, tenant_id=row.tenant_id, detail=detail)


def _report(row: PersonErasureRow, finished_at: datetime, forget_at: datetime) -> str:
    """Return the report as JSON. It names the person by the digest of the address."""
    return json.dumps(
        {
            "format": 1,
            "erasureId": row.erasure_id,
            "tenantId": row.tenant_id,
            "addressSha256": row.address_digest,
            "requestedAt": row.requested_at.isoformat(),
            "finishedAt": finished_at.isoformat(),
            "backupsForgetAt": forget_at.isoformat(),
            "removed": {service: dict(row.parts[service]) for service in sorted(row.parts)},
            "kept": {"audit_entries": "the digest of the address, until the audit log's retention ends"},
        },
        sort_keys=True,
    )
