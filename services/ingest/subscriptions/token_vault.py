"""What Ingest tells TokenVault about tenants."""

from collections.abc import Awaitable, Callable
from typing import Any

import structlog

from mailmesh.vault.v1.token_vault_service_pb2 import ConfirmTenantReleaseRequest, ReportTenantFaultRequest
from services.meshkit.errors import MeshError

logger = structlog.get_logger(__name__)

MAX_CODE_CHARACTERS = 200
MAX_DETAIL_CHARACTERS = 500


class FaultReporter:
    """Tells TokenVault what was learned about tenants at the providers.

    Args:
        report: The stub's `ReportTenantFault`.
    """

    def __init__(self, report: Callable[[ReportTenantFaultRequest], Awaitable[Any]]) -> None:
        self._report = report

    async def report(self, tenant_id: str, fault: int, provider_code: str, detail: str) -> None:
        """Tells a fault. That TokenVault does not answer is logged: the next failure tells it again."""
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
    """Tells TokenVault that the provider has nothing of a tenant any more.

    Args:
        confirm: The stub's `ConfirmTenantRelease`.
    """

    def __init__(self, confirm: Callable[[ConfirmTenantReleaseRequest], Awaitable[Any]]) -> None:
        self._confirm = confirm

    async def confirm(self, tenant_id: str) -> None:
        """Confirms one tenant's release. Safe to call again.

        Raises:
            MeshError: TokenVault did not take it; it is confirmed again later.
        """
        await self._confirm(ConfirmTenantReleaseRequest(tenant_id=tenant_id))
