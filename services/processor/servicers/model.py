"""ModelService: callers ask the model that the operator names, for tenants whose settings allow it."""

from typing import TYPE_CHECKING, Any

import grpc
from google.protobuf import json_format
from typing_extensions import override

from mailmesh.processor.v1 import model_service_pb2 as pb2
from mailmesh.processor.v1.model_service_pb2_grpc import ModelServiceServicer as Base
from services.meshkit.errors import FieldInvalid
from services.meshkit.identity.caller import current_caller
from services.meshkit.ids import check_id
from services.meshkit.pages import PageTokens, is_row_id, page_size
from services.message.labels import label_fault
from services.processor.model.asking import Asker
from services.processor.model.prompts import MAX_SCHEMA
from services.processor.model.requests import Models
from services.processor.stream.filter import scope_of

if TYPE_CHECKING:
    Context = grpc.aio.ServicerContext[Any, Any]
_MAX_SUBJECT, _MAX_TEXT = 1000, 65_536


class ModelServicer(Base):
    """Answers ModelService.

    Args:
        models: The use cases.
    """

    def __init__(self, models: Models) -> None:
        self._models = models
        self._tokens = PageTokens(columns=(is_row_id,))

    @override
    async def GetModelSettings(
        self, request: pb2.GetModelSettingsRequest, context: "Context"
    ) -> pb2.GetModelSettingsResponse:
        """Return a tenant's settings."""
        settings, state = await self._models.settings(_asker(request.tenant_id))
        return pb2.GetModelSettingsResponse(settings=settings, state=state)

    @override
    async def UpdateModelSettings(
        self, request: pb2.UpdateModelSettingsRequest, context: "Context"
    ) -> pb2.UpdateModelSettingsResponse:
        """Store a tenant's settings."""
        asker = _asker(request.tenant_id)
        if not request.HasField("settings"):
            raise FieldInvalid.of("settings", "is required")
        settings, state = await self._models.update_settings(asker, request.settings)
        return pb2.UpdateModelSettingsResponse(settings=settings, state=state)

    @override
    async def ClassifyByModel(
        self, request: pb2.ClassifyByModelRequest, context: "Context"
    ) -> pb2.ClassifyByModelResponse:
        """Classify a text."""
        asker = _asker(request.tenant_id)
        _check_length("subject", request.subject, _MAX_SUBJECT)
        _check_length("text", request.text, _MAX_TEXT)
        if not (request.subject.strip() or request.text.strip()):
            raise FieldInvalid.of("text", "is empty, and so is subject")
        if (fault := label_fault(request.labels)) is not None:
            raise FieldInvalid.of(*fault)
        return await self._models.classify(asker, request)

    @override
    async def ExtractByModel(
        self, request: pb2.ExtractByModelRequest, context: "Context"
    ) -> pb2.ExtractByModelResponse:
        """Extract the values of a schema from a text."""
        asker = _asker(request.tenant_id)
        if not request.text.strip():
            raise FieldInvalid.of("text", "is empty")
        _check_length("text", request.text, _MAX_TEXT)
        try:
            _check_length("schema", json_format.MessageToJson(request.schema, indent=None), MAX_SCHEMA)
        except (ValueError, json_format.SerializeToJsonError) as exc:  # a number that JSON does not have
            raise FieldInvalid.of("schema", "is no JSON") from exc
        return await self._models.extract(asker, request)

    @override
    async def ListModelCalls(
        self, request: pb2.ListModelCallsRequest, context: "Context"
    ) -> pb2.ListModelCallsResponse:
        """Return a page of a tenant's calls."""
        asker, size = _asker(request.tenant_id), page_size(request.page_size)
        place = self._tokens.read(request)
        found = await self._models.calls(asker, None if place is None else str(place[0]), size + 1)
        position = [found[size - 1].call_id] if len(found) > size else None
        token = self._tokens.write(request, position)  # type: ignore[arg-type] # texts are among its values
        return pb2.ListModelCallsResponse(calls=found[:size], next_page_token=token)


def _asker(tenant_id: str) -> Asker:
    caller = current_caller()
    return Asker(check_id("tenant_id", tenant_id), scope_of(caller), caller.key_id)


def _check_length(field: str, value: str, most: int) -> None:
    if len(value) > most:
        raise FieldInvalid.of(field, f"has more than {most} characters")
