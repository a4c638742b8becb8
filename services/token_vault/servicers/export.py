"""ExportService: what the mesh has stored about a tenant, in the scope of a key."""

from typing import Any

import grpc
from typing_extensions import override

from mailmesh.vault.v1 import export_service_pb2 as pb
from mailmesh.vault.v1.export_service_pb2_grpc import ExportServiceServicer
from services.meshkit.clock import Clock
from services.meshkit.identity.caller import current_caller
from services.meshkit.ids import check_id
from services.token_vault.accounts.export import Exporter

_ABILITIES = ("mail.read", "calendar.read", "conversation.read")
"""An export has what these abilities read."""


class ExportServicer(ExportServiceServicer):
    """Serves admins.

    Args:
        exporter: Reads the pages.
        clock: The time.
    """

    def __init__(self, exporter: Exporter, clock: Clock) -> None:
        self._exporter = exporter
        self._clock = clock

    @override
    async def ExportTenant(
        self, request: pb.ExportTenantRequest, context: "grpc.aio.ServicerContext[Any, Any]"
    ) -> pb.ExportTenantResponse:
        tenant_id, caller = check_id("tenant_id", request.tenant_id), current_caller()
        for ability in _ABILITIES:
            caller.require_ability(ability)
        page = await self._exporter.page(tenant_id, request.address, request.page_token, caller.tenants)
        response = pb.ExportTenantResponse(
            service=page.service,
            schema_version=page.rows.schema_version,
            table=page.rows.table,
            rows=page.rows.rows,
            left_out=page.rows.left_out,
            next_page_token=page.next_token,
        )
        response.read_at.FromDatetime(self._clock.now())
        return response
