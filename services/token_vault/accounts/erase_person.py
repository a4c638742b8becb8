"""Erase a person's address within a tenant: let each service remove it, and sign a report of it all."""

import hmac
import json
import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta

import structlog

from services.meshkit import db
from services.meshkit.addresses import is_single, plain
from services.meshkit.clock import Clock
from services.meshkit.erasing import erase_each, renew_statistics
from services.meshkit.erasing_marks import PersonToErase
from services.meshkit.erasing_persons import PersonErasing, Progress
from services.meshkit.errors import FieldInvalid
from services.token_vault.accounts.erase import NAME, ReportSigner
from services.token_vault.accounts.errors import PersonErasureNotFound
from services.token_vault.audit import ITSELF, actor
from services.token_vault.persons import PERSONS
from services.token_vault.store import audit, person_erasures
from services.token_vault.store.person_erasures import PersonErasureRow
from services.token_vault.store.tenants import Scope, get_tenant

logger = structlog.get_logger(__name__)

_AFTER = {"ingest": "", "processor": "ingest", "delivery": "processor"}
"""By service that erases persons: the one from which it gets its data. Workflows is none of them: only the
authors of graphs know what a sealed state means, and it goes when its run ends."""
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
        self._erasing = PersonErasing(pool, _SCHEMA, PERSONS)

    async def start(self, tenant_id: str, address: str, scope: Scope) -> PersonErasureRow:
        """Start to erase a person. Safe to call again: yes; while an erasure of the address runs, it is returned.

        Raises:
            FieldInvalid: The text is no address, or the address is that of the tenant's account.
            TenantNotFound: The tenant does not exist, or is outside the scope.
        """
        named = plain(address)
        if not is_single(named):
            raise FieldInvalid.of("address", "must be one mail address, such as ann@example.com")
        key, now = secrets.token_bytes(32), self._clock.now()
        digest = hmac.digest(key, named.encode(), "sha256").hex()
        async with db.transaction(self._pool) as connection:
            tenant = await get_tenant(connection, tenant_id, scope, lock=True)
            if named == plain(tenant.address):
                raise FieldInvalid.of("address", "must not be the address of the tenant's account: erase the tenant")
            row, is_new = await person_erasures.begin(connection, tenant_id, named, digest, key.hex(), now)
            if is_new:
                await audit.append(connection, _entry("person.erase", actor(), row, now))
        return row

    async def cancel(self, tenant_id: str, erasure_id: str, scope: Scope) -> PersonErasureRow:
        """Cancel an erasure, unless it has ended. Rows that are erased stay erased. Safe to call again.

        Raises:
            PersonErasureNotFound: The tenant has no such erasure, or is outside the scope.
        """
        row, now = await self.get(tenant_id, erasure_id, scope), self._clock.now()
        async with db.transaction(self._pool) as connection:
            if await person_erasures.cancel(connection, erasure_id, now):
                await audit.append(connection, _entry("person.erase_cancel", actor(), row, now))
        return await self.get(tenant_id, erasure_id, scope)

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

    async def pending(self, service: str) -> tuple[list[PersonErasureRow], frozenset[str]]:
        """List the erasures that a service has not done, and the ids of those that it may begin.

        None for a service that erases no persons.
        """
        if service not in _AFTER:
            return [], frozenset()
        before = self._clock.now() - _SETTLE[service]
        async with db.connection(self._pool) as connection:
            return await person_erasures.pending(connection, service, _AFTER[service], before, _LISTED)

    async def note(self, service: str, tenant_id: str, erasure_id: str, noted: Mapping[str, object]) -> None:
        """Store the progress of a service. Safe to call again.

        Raises:
            PersonErasureNotFound: There is no such erasure.
        """
        await self.get(tenant_id, erasure_id, None)
        async with db.connection(self._pool) as connection:
            await person_erasures.note(connection, erasure_id, service, noted)

    async def confirm(self, service: str, tenant_id: str, erasure_id: str, removed: Mapping[str, int]) -> None:
        """Record that a service has erased a person. Safe to call again.

        Raises:
            PersonErasureNotFound: There is no such erasure.
        """
        await self.get(tenant_id, erasure_id, None)
        async with db.connection(self._pool) as connection:
            await person_erasures.confirm(connection, erasure_id, service, removed, self._clock.now())

    async def round(self) -> int:
        """Note our own cut-offs, and finish the erasures that all services have confirmed; return how many moved."""
        async with db.connection(self._pool) as connection:
            running, _ = await person_erasures.pending(connection, NAME, "", self._clock.now(), _LISTED)
            ready = await person_erasures.ready(connection, list(_AFTER), _BATCH)
        await self._erasing.drop([row.erasure_id for row in (*running, *ready)])
        for row in running:
            if NAME not in row.progress:
                await self._note_own(row, await self._erasing.cut_off(_named(row)))
        return await erase_each(ready, self._finish, lambda row: row.tenant_id)

    async def _finish(self, begun: PersonErasureRow) -> bool:
        if begun.address and not await self._erase_own(begun):
            return True
        await renew_statistics(self._pool, _SCHEMA)  # they have the addresses of erasures
        row, now = await self.get(begun.tenant_id, begun.erasure_id, None), self._clock.now()
        report = _report(row, now, now + self._backups_kept)
        signed = self._signer.sign(report)
        async with db.transaction(self._pool) as connection:
            if not await person_erasures.finish(connection, row.erasure_id, now, self._backups_kept, report, signed):
                return True
            await audit.append(connection, _entry("person.erase", ITSELF, row, now))
        logger.info("person erased", tenant_id=row.tenant_id)
        return True

    async def _erase_own(self, row: PersonErasureRow) -> bool:
        """Remove the person from our own rows, the erasure's last; return whether this is done."""
        progress = await self._erasing.advance(_named(row))
        await self._note_own(row, progress)
        if not progress.mark.is_done:
            return False
        async with db.transaction(self._pool) as connection:
            await person_erasures.confirm(connection, row.erasure_id, NAME, progress.mark.removed, self._clock.now())
            await person_erasures.forget(connection, row.erasure_id)
        return True

    async def _note_own(self, row: PersonErasureRow, progress: Progress) -> None:
        mark = progress.mark
        noted = noted_progress(mark.cut_off_at, progress.table, mark.checked, mark.removed)
        await self.note(NAME, row.tenant_id, row.erasure_id, noted)


def noted_progress(cut_off_at: datetime, table: str, checked: int, removed: Mapping[str, int]) -> dict[str, object]:
    """Return the progress of a service as it is stored."""
    return {"cutOffAt": cut_off_at.isoformat(), "table": table, "rowsChecked": checked, "removed": dict(removed)}


def _named(row: PersonErasureRow) -> PersonToErase:
    return PersonToErase(row.erasure_id, row.tenant_id, row.address)


def _entry(action: str, author: str, row: PersonErasureRow, at: datetime) -> audit.Entry:
    detail = {"erasure_id": row.erasure_id, "address_digest": row.address_digest}
    return audit.Entry(author, action, at, tenant_id=row.tenant_id, detail=detail)


def _report(row: PersonErasureRow, finished_at: datetime, forget_at: datetime) -> str:
    """Return the report as JSON. It names the person by the digest of the address."""
    return json.dumps(
        {
            "format": 1,
            "erasureId": row.erasure_id,
            "tenantId": row.tenant_id,
            "addressHmacSha256": row.address_digest,
            "requestedAt": row.requested_at.isoformat(),
            "finishedAt": finished_at.isoformat(),
            "backupsForgetAt": forget_at.isoformat(),
            "cutOffs": {name: noted["cutOffAt"] for name, noted in sorted(row.progress.items())},
            "rowsChecked": {name: noted["rowsChecked"] for name, noted in sorted(row.progress.items())},
            "removed": {service: dict(row.parts[service]) for service in sorted(row.parts)},
            "kept": {
                "audit_entries": "the digest of the address, until the audit log's retention ends",
                "requests": "keyed digests of idempotency keys and contents, so that nothing is submitted twice",
                "workflow_runs": "sealed states, questions and answers, until each run ends",
                "later": "rows that were stored behind the cut-offs",
            },
        },
        sort_keys=True,
    )
