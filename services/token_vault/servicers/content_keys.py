"""ContentKeyService: the keys that seal tenants' stored content, for the service that stores it."""

from typing import Any

import grpc
from typing_extensions import override

from mailmesh.vault.v1 import content_key_service_pb2 as pb
from mailmesh.vault.v1.content_key_service_pb2_grpc import ContentKeyServiceServicer as Base
from services.meshkit.errors import FieldInvalid
from services.meshkit.ids import check_id
from services.token_vault.accounts.content_keys import ContentKeys, LentKey

_Context = grpc.aio.ServicerContext
MAX_TENANTS = 500


class ContentKeyServicer(Base):
    """Serves the mesh.

    Args:
        keys: The use cases.
    """

    def __init__(self, keys: ContentKeys) -> None:
        self._keys = keys

    @override
    async def CreateContentKey(
        self, request: pb.CreateContentKeyRequest, context: "_Context[Any, Any]"
    ) -> pb.CreateContentKeyResponse:
        await self._keys.create(check_id("tenant_id", request.tenant_id))
        return pb.CreateContentKeyResponse()

    @override
    async def LendContentKeys(
        self, request: pb.LendContentKeysRequest, context: "_Context[Any, Any]"
    ) -> pb.LendContentKeysResponse:
        if not 1 <= len(request.tenant_ids) <= MAX_TENANTS:
            raise FieldInvalid.of("tenant_ids", f"must have 1 to {MAX_TENANTS} values")
        wanted = [check_id(f"tenant_ids[{at}]", one) for at, one in enumerate(request.tenant_ids)]
        return pb.LendContentKeysResponse(content_keys=[_message(one) for one in await self._keys.lend(wanted)])


def _message(lent: LentKey) -> pb.ContentKey:
    if lent.key is None:
        return pb.ContentKey(tenant_id=lent.tenant_id, reason=lent.reason)
    return pb.ContentKey(tenant_id=lent.tenant_id, content_key_id=lent.key.content_key_id, key=lent.key.key)
