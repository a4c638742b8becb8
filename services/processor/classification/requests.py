"""The use cases of callers: choose the tenants whose mail is classified, and their labels."""

from mailmesh.processor.v1 import classification_service_pb2 as pb2
from services.meshkit import db
from services.meshkit.erasing import marked
from services.meshkit.errors import FieldInvalid
from services.message.labels import label_fault
from services.processor.classification.store import settings as store
from services.processor.errors import PrimitivesNotAvailable, TenantNotFound
from services.processor.stream.pages import LATEST, EventReader
from services.processor.stream.store import tenants, turns

_SCHEMA = "processor"


class Classification:
    """Classification on arrival for callers.

    Args:
        pool: Connections to PostgreSQL.
        reader: Knows the end of the stream.
        is_available: Whether Processor has the address of Primitives.
    """

    def __init__(self, pool: db.Pool, reader: EventReader, *, is_available: bool) -> None:
        self._pool, self._reader, self._is_available = pool, reader, is_available

    async def settings(
        self, tenant_id: str, scope: list[str] | None
    ) -> tuple[pb2.ClassificationSettings, pb2.ClassificationProgress]:
        """Return a tenant's settings, and how far its mail is classified. Raises `TenantNotFound`."""
        async with db.connection(self._pool) as connection:
            await _check_tenant(connection, tenant_id, scope)
            found = await store.read(connection, tenant_id)
            if found is None:
                return pb2.ClassificationSettings(), pb2.ClassificationProgress()
            is_waiting = found.settings.is_enabled and await turns.is_behind(connection, store.TABLE, tenant_id)
        progress = pb2.ClassificationProgress(
            settings_version=found.version, is_waiting=is_waiting, reason=found.reason
        )
        if found.reason and found.retry_at is not None:
            progress.retry_at.FromDatetime(found.retry_at)
        return found.settings, progress

    async def update_settings(
        self, tenant_id: str, settings: pb2.ClassificationSettings, scope: list[str] | None
    ) -> tuple[pb2.ClassificationSettings, pb2.ClassificationProgress]:
        """Store a tenant's settings. Safe to call again: equal settings change nothing.

        Raises:
            TenantNotFound: There is no such tenant in scope.
            PrimitivesNotAvailable: Nothing can classify its mail.
        """
        start = await self._reader.start(LATEST, LATEST)
        async with db.transaction(self._pool) as connection:
            await _check_tenant(connection, tenant_id, scope)
            if tenant_id in await marked(connection, _SCHEMA, [tenant_id]):
                raise TenantNotFound.of(tenant_id)
            if settings.is_enabled and not self._is_available:
                raise PrimitivesNotAvailable(subject=tenant_id)
            await store.save(connection, tenant_id, settings, start.write(), start.position)
        return await self.settings(tenant_id, scope)


def checked_settings(settings: pb2.ClassificationSettings) -> pb2.ClassificationSettings:
    """Check settings. Raises `FieldInvalid`."""
    fault = label_fault(settings.labels) if settings.is_enabled or settings.labels else None
    if fault is not None:
        raise FieldInvalid.of(f"settings.{fault[0]}", fault[1])
    if not 0 <= settings.minimum_margin <= 1:  # a number that is none is out of it too
        raise FieldInvalid.of("settings.minimum_margin", "is not between 0 and 1")
    return settings


async def _check_tenant(connection: db.Connection, tenant_id: str, scope: list[str] | None) -> None:
    is_in_scope = scope is None or tenant_id in scope
    if not is_in_scope or await tenants.granted(connection, tenant_id) is None:
        raise TenantNotFound.of(tenant_id)
