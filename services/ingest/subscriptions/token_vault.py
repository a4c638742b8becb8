"""Reports to TokenVault about tenants: faults, and completed releases."""

from collections.abc import Awaitable, Callable
from typing import Any

import structlog

from mailmesh.vault.v1.token_vault_service_pb2 import ConfirmTenantReleaseRequest, ReportTenantFaultRequest
from services.meshkit.errors import MeshError

logger = structlog.get_logger(__name__)

MAX_CODE_CHARACTERS = 200
MAX_DETAIL_CHARACTERS = 500


class FaultReporter:
    """Reports tenants' faults at the providers to TokenVault.

    Args:
        report: The stub's `ReportTenantFault`.
    """

    def __init__(self, report: Callable[[ReportTenantFaultRequest], Awaitable[Any]]) -> None:
        self._report = report

    async def report(self, tenant_id: str, fault: int, provider_code: str, detail: str) -> None:
        """Report a fault. A failure of the report is logged: the next failure of the tenant is reported again."""
        request = ReportTenantFaultRequest(
            tenant_id=tenant_id,
            fault=fault,  # type: ignore[arg-type]
            provider_code=provider_code[:MAX_CODE_CHARACTERS],
            detail=detail[:MAX_DETAIL_CHARACTERS],
        )
        try:
            await self._report(request)
        except MeshError as exc:
            logger.warning("tenant fault not reported", tenant_id=tenant_id, reason=exc.reason)


class ReleaseConfirmer:
    """Confirms to TokenVault that the provider has nothing of a tenant any more.

    Args:
        confirm: The stub's `ConfirmTenantRelease`.
    """

    def __init__(self, confirm: Callable[[ConfirmTenantReleaseRequest], Awaitable[Any]]) -> None:
        self._confirm = confirm

    async def confirm(self, tenant_id: str) -> None:
        """Confirm one tenant's release. Safe to call again.

        Raises:
            MeshError: TokenVault failed; the release is confirmed again later.
        """
        await self._confirm(ConfirmTenantReleaseRequest(tenant_id=tenant_id))
