"""Erase a tenant: disconnect it, let each service remove its rows, remove our own, and sign a report of it all."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import structlog
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from services.meshkit import db
from services.meshkit.clock import Clock
from services.meshkit.erasing import Plan, erase_each, erase_rows
from services.token_vault.accounts.disconnect import Disconnector
from services.token_vault.audit import ITSELF, actor
from services.token_vault.errors import InstallationMisconfigured, TenantNotFound
from services.token_vault.exporting import KEPT
from services.token_vault.store import audit, directories, erasures
from services.token_vault.store.erasures import ErasureRow
from services.token_vault.store.tenants import Scope, get_tenant

logger = structlog.get_logger(__name__)

NAME = "token-vault"
_AFTER = {"ingest": "", "processor": "ingest", "delivery": "processor", "workflows": "processor"}
"""By service that erases tenants: the one from which it gets its data, and which is erased before it."""
_PLAN = Plan("vault", kept=KEPT)
_SETTLE = timedelta(seconds=12)
"""The time for which a service may still write what it had read before its source was erased: longer than the ten
seconds of a call between services. Delivery needs no time for its requests: it records none of an erased tenant."""
_BATCH, _LISTED = 20, 100
_ACCOUNT = "SELECT address, directory_id FROM vault.tenants WHERE tenant_id = $1"
_FLOWS = "DELETE FROM vault.authorization_flows WHERE login_hint <> '' AND lower(login_hint) = lower($1)"


@dataclass(frozen=True)
class ReportSigner:
    """Signs reports by the key of TokenVault's mesh certificate.

    Args:
        certificate: The certificate's file, PEM. It is read for each report, since certificates are renewed.
        key: The file of its key, PEM.
    """

    certificate: Path
    key: Path

    def sign(self, report: str) -> tuple[str, str]:
        """Return the signature in base64, and the certificate.

        Raises:
            InstallationMisconfigured: The key is neither an elliptic-curve key nor an RSA key.
        """
        key = load_pem_private_key(self.key.read_bytes(), None)
        if isinstance(key, ec.EllipticCurvePrivateKey):
            signature = key.sign(report.encode(), ec.ECDSA(hashes.SHA256()))
        elif isinstance(key, rsa.RSAPrivateKey):  # the padding that `openssl dgst` verifies without options
            signature = key.sign(report.encode(), padding.PKCS1v15(), hashes.SHA256())
        else:
            raise InstallationMisconfigured(metadata={"setting": "MAILMESH_TLS_KEY"})
        return base64.b64encode(signature).decode(), self.certificate.read_text(encoding="utf-8")


class Eraser:
    """The steps of an erasure.

    Args:
        pool: Connections to the database.
        disconnector: Disconnects the tenant first.
        signer: Signs the report.
        clock: The time.
        backups_kept: The time for which the operator keeps backups.
    """

    def __init__(
        self, pool: db.Pool, disconnector: Disconnector, signer: ReportSigner, clock: Clock, backups_kept: timedelta
    ) -> None:
        self._pool = pool
        self._disconnector = disconnector
        self._signer = signer
        self._clock = clock
        self._backups_kept = backups_kept

    async def start(self, tenant_id: str, scope: Scope) -> ErasureRow:
        """Start to erase a tenant. Safe to call again: yes, also after the end.

        Raises:
            TenantNotFound: The tenant does not exist, or is outside the scope.
        """
        async with db.connection(self._pool) as connection:
            begun = await erasures.find(connection, tenant_id, scope)
        if begun is not None:
            return begun
        await self._disconnector.start(tenant_id, scope)
        now = self._clock.now()
        async with db.transaction(self._pool) as connection:
            await get_tenant(connection, tenant_id, scope, lock=True)
            await erasures.begin(connection, tenant_id, now)
            await audit.append(connection, audit.Entry(actor(), "tenant.erase", now, tenant_id=tenant_id))
        return await self.get(tenant_id, scope)

    async def get(self, tenant_id: str, scope: Scope) -> ErasureRow:
        """Read an erasure.

        Raises:
            TenantNotFound: The tenant is not being erased, or is outside the scope.
        """
        async with db.connection(self._pool) as connection:
            found = await erasures.find(connection, tenant_id, scope)
        if found is None:
            raise TenantNotFound.of(tenant_id)
        return found

    async def pending(self, service: str) -> list[str]:
        """List the tenants that a service has to erase now: none for a service that erases no tenants."""
        if service not in _AFTER:
            return []
        async with db.connection(self._pool) as connection:
            before = self._clock.now() - _SETTLE
            return await erasures.pending(connection, service, _AFTER[service], before, _LISTED)

    async def confirm(self, service: str, tenant_id: str, removed: Mapping[str, int]) -> None:
        """Record that a service has erased a tenant. Safe to call again: yes.

        Raises:
            TenantNotFound: The tenant is not being erased.
        """
        await self.get(tenant_id, None)
        async with db.connection(self._pool) as connection:
            await erasures.confirm(connection, tenant_id, service, removed, self._clock.now())

    async def round(self) -> int:
        """Finish the erasures that all services have confirmed; return their number."""
        async with db.connection(self._pool) as connection:
            ready = await erasures.ready(connection, list(_AFTER), _BATCH)
        return await erase_each([row.tenant_id for row in ready], self._finish, str)

    async def _finish(self, tenant_id: str) -> bool:
        await self._erase_own(tenant_id)
        row, now = await self.get(tenant_id, None), self._clock.now()
        report = _report(row, now, now + self._backups_kept)
        signed = self._signer.sign(report)
        async with db.transaction(self._pool) as connection:
            if not await erasures.finish(connection, tenant_id, now, self._backups_kept, report, signed):
                return True
            await audit.append(connection, audit.Entry(ITSELF, "tenant.erase", now, tenant_id=tenant_id))
        logger.info("tenant erased", tenant_id=tenant_id)
        return True

    async def _erase_own(self, tenant_id: str) -> None:
        """Remove our own rows, and those of attempts to connect that name the account's address."""
        async with db.connection(self._pool) as connection:
            found = await connection.fetchrow(_ACCOUNT, tenant_id)
            if found is not None and found["address"]:
                await connection.execute(_FLOWS, found["address"])
                await directories.forget_address(connection, found["directory_id"] or "", found["address"])
        removed = await erase_rows(self._pool, _PLAN, tenant_id)
        async with db.connection(self._pool) as connection:
            await erasures.confirm(connection, tenant_id, NAME, removed, self._clock.now())


def _report(row: ErasureRow, finished_at: datetime, forget_at: datetime) -> str:
    """Return the report as JSON. It names no person: the tenant's id is random."""
    return json.dumps(
        {
            "format": 1,
            "tenantId": row.tenant_id,
            "requestedAt": row.requested_at.isoformat(),
            "finishedAt": finished_at.isoformat(),
            "backupsForgetAt": forget_at.isoformat(),
            "removed": {service: dict(row.parts[service]) for service in sorted(row.parts)},
            "kept": {"audit_entries": "actions with the tenant's id, until the audit log's retention ends"},
        },
        sort_keys=True,
    )
