"""ClassificationService: callers choose whose mail is classified on arrival, and by which labels."""

from typing import TYPE_CHECKING, Any

import grpc
from typing_extensions import override

from mailmesh.processor.v1 import classification_service_pb2 as pb2
from mailmesh.processor.v1.classification_service_pb2_grpc import ClassificationServiceServicer as Base
from services.meshkit.errors import FieldInvalid
from services.meshkit.identity.caller import current_caller
from services.meshkit.ids import check_id
from services.processor.classification.requests import Classification, checked_settings
from services.processor.stream.filter import scope_of

if TYPE_CHECKING:
    Context = grpc.aio.ServicerContext[Any, Any]


class ClassificationServicer(Base):
    """Answers ClassificationService.

    Args:
        classification: The use cases.
    """

    def __init__(self, classification: Classification) -> None:
        self._classification = classification

    @override
    async def GetClassificationSettings(
        self, request: pb2.GetClassificationSettingsRequest, context: "Context"
    ) -> pb2.GetClassificationSettingsResponse:
        """Return a tenant's settings."""
        tenant_id = check_id("tenant_id", request.tenant_id)
        settings, progress = await self._classification.settings(tenant_id, scope_of(current_caller()))
        return pb2.GetClassificationSettingsResponse(settings=settings, progress=progress)

    @override
    async def UpdateClassificationSettings(
        self, request: pb2.UpdateClassificationSettingsRequest, context: "Context"
    ) -> pb2.UpdateClassificationSettingsResponse:
        """Store a tenant's settings."""
        tenant_id = check_id("tenant_id", request.tenant_id)
        if not request.HasField("settings"):
            raise FieldInvalid.of("settings", "is required")
        given = checked_settings(request.settings)
        settings, progress = await self._classification.update_settings(tenant_id, given, scope_of(current_caller()))
        return pb2.UpdateClassificationSettingsResponse(settings=settings, progress=progress)
