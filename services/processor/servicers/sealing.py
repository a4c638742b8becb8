"""SealingService: callers choose the tenants whose stored mail is sealed."""

from typing import TYPE_CHECKING, Any

import grpc
from typing_extensions import override

from mailmesh.processor.v1 import sealing_service_pb2 as pb2
from mailmesh.processor.v1.sealing_service_pb2_grpc import SealingServiceServicer as Base
from services.meshkit.errors import FieldInvalid
from services.meshkit.identity.caller import current_caller
from services.meshkit.ids import check_id
from services.processor.stream.filter import scope_of
from services.processor.stream.sealing import SealingChoice
from services.processor.stream.store.sealed_tenants import Sealing

if TYPE_CHECKING:
    Context = grpc.aio.ServicerContext[Any, Any]


class SealingServicer(Base):
    """Answers SealingService.

    Args:
        choice: The use cases.
    """

    def __init__(self, choice: SealingChoice) -> None:
        self._choice = choice

    @override
    async def GetSealingSettings(
        self, request: pb2.GetSealingSettingsRequest, context: "Context"
    ) -> pb2.GetSealingSettingsResponse:
        """Return a tenant's settings."""
        found = await self._choice.settings(check_id("tenant_id", request.tenant_id), scope_of(current_caller()))
        settings, state = _messages(found)
        return pb2.GetSealingSettingsResponse(settings=settings, state=state)

    @override
    async def UpdateSealingSettings(
        self, request: pb2.UpdateSealingSettingsRequest, context: "Context"
    ) -> pb2.UpdateSealingSettingsResponse:
        """Enable or disable sealing for a tenant."""
        tenant_id = check_id("tenant_id", request.tenant_id)
        if not request.HasField("settings"):
            raise FieldInvalid.of("settings", "is required")
        found = await self._choice.update(tenant_id, request.settings, scope_of(current_caller()))
        settings, state = _messages(found)
        return pb2.UpdateSealingSettingsResponse(settings=settings, state=state)


def _messages(found: Sealing | None) -> tuple[pb2.SealingSettings, pb2.SealingState]:
    if found is None:
        return pb2.SealingSettings(), pb2.SealingState()
    state = pb2.SealingState(is_sealing_stored=found.is_enabled and not found.is_complete, sealed_rows=found.sealed)
    state.enabled_at.FromDatetime(found.enabled_at)
    return pb2.SealingSettings(is_enabled=found.is_enabled), state
