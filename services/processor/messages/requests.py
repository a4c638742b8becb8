"""The use cases of callers: commit a modification, and read it."""

import hashlib
from datetime import timedelta

from mailmesh.processor.v1 import message_service_pb2 as pb2
from services.meshkit import db
from services.meshkit.clock import Clock
from services.meshkit.correlation import correlation_id
from services.meshkit.ids import new_id
from services.meshkit.queue import WakeQueue
from services.processor.errors import AbilityNotGranted, IdempotencyKeyReused, TenantNotFound
from services.processor.mailbox.kept import reserve
from services.processor.messages.content import check_provider, checked
from services.processor.messages.errors import ModificationNotFound, ModificationQueueFull
from services.processor.messages.rows import ModificationRow, Outcome, State
from services.processor.messages.store import modifications
from services.processor.settings import ProcessorSettings
from services.processor.stream.store import tenants
from services.providers.abilities import MAIL_MARK, connect_command

WAKE_PREFIX = "modification:"
"""The beginning of the keys by which workers are woken for modifications."""


class Modifications:
    """Commits modifications.

    Args:
        pool: Connections to PostgreSQL.
        wakes: Wakes a worker.
        settings: Bounds.
        clock: The time.
    """

    def __init__(self, pool: db.Pool, wakes: WakeQueue, settings: ProcessorSettings, clock: Clock) -> None:
        self._pool = pool
        self._wakes = wakes
        self._settings = settings
        self._clock = clock

    async def accept(
        self, request: pb2.ModifyMessagesRequest, *, is_in_scope: bool = True, key_id: str | None = None
    ) -> tuple[ModificationRow, bool]:
        """Commit a modification. Safe to call again: the same key with the same content is the same modification.

        Args:
            request: The request, with a well-formed tenant id.
            is_in_scope: Whether the caller may see the tenant. The content is checked first, for all callers alike.
            key_id: The API key of the call, whose bytes are bounded; None for a call of the mesh.

        Returns:
            The modification, and whether an earlier call had committed it.

        Raises:
            FieldInvalid: The content is missing, malformed, out of its range, or not of the tenant's provider.
            TenantNotFound: There is no such tenant.
            IdempotencyKeyReused: The key has another content.
            AbilityNotGranted: The tenant has not granted marks.
            ModificationQueueFull: The tenant has too many unfinished modifications.
            TenantStorageFull: The tenant keeps too many bytes.
            KeyStorageFull: The API key keeps too many bytes.
        """
        content, digest = checked(request), digest_of(request)
        if not is_in_scope:
            raise TenantNotFound.of(request.tenant_id)
        async with db.transaction(self._pool) as connection:
            by_key = (connection, request.tenant_id, request.idempotency_key, digest)
            known = await modifications.by_key(*by_key)
            made = None if known else await self._insert(connection, content, digest, key_id)
            found = (made, True) if made else known or await modifications.by_key(*by_key)
        if found is None or not found[1]:
            raise IdempotencyKeyReused(metadata={"idempotency_key": request.idempotency_key})
        row = found[0]
        if known is None:
            self._wakes.wake(f"{WAKE_PREFIX}{row.tenant_id}")
        return row, made is None

    async def get(self, modification_id: str, scope: list[str] | None) -> ModificationRow:
        """Read a modification.

        Raises:
            ModificationNotFound: There is no such modification in scope.
        """
        async with db.connection(self._pool) as connection:
            row = await modifications.by_id(connection, modification_id, scope)
        if row is None:
            raise ModificationNotFound(resource=modification_id, metadata={"modification_id": modification_id})
        return row

    async def _insert(
        self, connection: db.Connection, content: pb2.ModifyMessagesRequest, digest: bytes, key_id: str | None
    ) -> ModificationRow | None:
        provider = await provider_of(connection, content.tenant_id, MAIL_MARK)
        check_provider(content.change, provider)
        if await modifications.count_waiting(connection, content.tenant_id) >= self._settings.modifications_waiting:
            raise ModificationQueueFull(metadata={"tenant_id": content.tenant_id})
        size = content.ByteSize() + len(content.message_ids)
        await reserve(connection, self._settings, content.tenant_id, key_id, size)
        now = self._clock.now()
        row = {
            "modification_id": new_id(),
            "tenant_id": content.tenant_id,
            "idempotency_key": content.idempotency_key,
            "digest": digest,
            "provider": provider,
            "content": content.SerializeToString(),
            "state": State.PENDING,
            "outcomes": bytes([Outcome.PENDING]) * len(content.message_ids),
            "correlation_id": correlation_id(),
            "due_at": now,
            "deadline_at": now + timedelta(seconds=self._settings.modification_deadline_seconds),
            "key_id": key_id,
        }
        return await modifications.insert(connection, row)


def digest_of(request: pb2.ModifyMessagesRequest) -> bytes:
    """Return the digest of a request's content, without its key."""
    content = pb2.ModifyMessagesRequest()
    content.CopyFrom(request)
    content.ClearField("idempotency_key")
    return hashlib.sha256(content.SerializeToString(deterministic=True)).digest()


async def provider_of(connection: db.Connection, tenant_id: str, ability: str) -> str:
    """Return the provider of a tenant that has granted an ability.

    Raises:
        TenantNotFound: It is unknown or disconnected.
        AbilityNotGranted: It has not granted the ability.
    """
    found = await tenants.granted(connection, tenant_id)
    if found is None:
        raise TenantNotFound.of(tenant_id)
    provider, abilities = found
    if ability not in abilities:
        command = connect_command(provider, tenant_id, (ability,))
        metadata = {"ability": ability, "tenant_id": tenant_id, "command": command}
        message = f"The tenant has not granted {ability}. Connect its account again with this ability: {command}"
        raise AbilityNotGranted(message, subject=tenant_id, metadata=metadata)
    return provider
