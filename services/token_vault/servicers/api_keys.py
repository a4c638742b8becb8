"""ApiKeyService: keys for people and machines at the edge."""

import hashlib
from datetime import UTC
from typing import Any

import grpc
from typing_extensions import override

from mailmesh.access.v1 import access_pb2
from mailmesh.vault.v1 import api_key_service_pb2 as pb
from mailmesh.vault.v1.api_key_service_pb2_grpc import ApiKeyServiceServicer
from services.meshkit.errors import FieldInvalid
from services.meshkit.identity.caller import Role, current_caller
from services.meshkit.ids import check_id
from services.meshkit.pages import PageTokens, Position, is_row_id, is_time, page_size
from services.token_vault.api_access.api_keys import ApiKeys, NewKey
from services.token_vault.store.api_keys import ApiKeyRow

_Context = grpc.aio.ServicerContext


class ApiKeyServicer(ApiKeyServiceServicer):
    """Serves admins: create, list and revoke keys."""

    def __init__(self, api_keys: ApiKeys) -> None:
        self._api_keys = api_keys
        self._pages = PageTokens(columns=(is_time, is_row_id))

    @override
    async def CreateApiKey(
        self, request: pb.CreateApiKeyRequest, context: "_Context[Any, Any]"
    ) -> pb.CreateApiKeyResponse:
        row, secret = await self._api_keys.create(current_caller(), _new_key(request))
        return pb.CreateApiKeyResponse(api_key=to_message(row), secret=secret.reveal() if secret else "")

    @override
    async def ListApiKeys(
        self, request: pb.ListApiKeysRequest, context: "_Context[Any, Any]"
    ) -> pb.ListApiKeysResponse:
        size, position = page_size(request.page_size), self._pages.read(request)
        after = (str(position[0]), str(position[1])) if position else None
        rows = await self._api_keys.page(
            current_caller().tenants, after, size + 1, include_revoked=request.include_revoked
        )
        given = rows[:size]
        behind: Position | None = [given[-1].created_at.isoformat(), given[-1].api_key_id] if len(rows) > size else None
        return pb.ListApiKeysResponse(
            api_keys=[to_message(row) for row in given], next_page_token=self._pages.write(request, behind)
        )

    @override
    async def RevokeApiKey(
        self, request: pb.RevokeApiKeyRequest, context: "_Context[Any, Any]"
    ) -> pb.RevokeApiKeyResponse:
        row = await self._api_keys.revoke(current_caller(), check_id("api_key_id", request.api_key_id))
        return pb.RevokeApiKeyResponse(api_key=to_message(row))


def _new_key(request: pb.CreateApiKeyRequest) -> NewKey:
    content = pb.CreateApiKeyRequest()
    content.CopyFrom(request)
    content.ClearField("request_id")
    if request.role not in access_pb2.Role.values():
        raise FieldInvalid.of("role", "must be reader, operator or admin")
    return NewKey(
        display_name=request.display_name,
        role=Role(request.role),
        tenant_ids=frozenset(check_id(f"tenant_ids[{at}]", one) for at, one in enumerate(request.tenant_ids)),
        expires_at=request.expires_at.ToDatetime(UTC) if request.HasField("expires_at") else None,
        request_id=check_id("request_id", request.request_id) if request.request_id else "",
        content=hashlib.sha256(content.SerializeToString(deterministic=True)).digest(),
        abilities=tuple(request.abilities),
    )


def to_message(row: ApiKeyRow) -> pb.ApiKey:
    """Describe a key without its secret."""
    message = pb.ApiKey(
        api_key_id=row.api_key_id,
        display_name=row.display_name,
        prefix=f"mm_{row.prefix}",
        role=access_pb2.Role.Value(f"ROLE_{row.role.upper()}"),
        tenant_ids=row.tenant_ids,
        created_by=row.created_by,
        abilities=row.abilities,
    )
    for name in ("created_at", "expires_at", "last_used_at", "revoked_at"):
        at = getattr(row, name)
        if at is not None:
            getattr(message, name).FromDatetime(at)
    return message
