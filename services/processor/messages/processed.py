"""Processed mails: the mark that a tenant has chosen, and the modification that applies it to an event's mail."""

from collections.abc import Awaitable, Callable

from mailmesh.processor.v1 import message_service_pb2 as pb2
from services.meshkit import db
from services.meshkit.errors import FieldInvalid
from services.meshkit.text import check_name
from services.processor.errors import TenantNotFound
from services.processor.messages.content import CATEGORY_CHARACTERS, check_provider
from services.processor.messages.errors import ProcessedMarkNotSet
from services.processor.messages.requests import Modifications, provider_of
from services.processor.messages.rows import ModificationRow
from services.processor.messages.store import modifications, processed_marks
from services.processor.stream.store import tenants
from services.providers.abilities import MAIL_MARK
from services.providers.names import GOOGLEWS, MS365

_CHARACTERS = {"category": CATEGORY_CHARACTERS, "label_name": 200, "folder_name": 200}
_PROVIDER_OF = {"category": MS365, "folder_name": MS365, "label_name": GOOGLEWS}

Resolve = Callable[[pb2.ProcessedMark], Awaitable[pb2.MessageChange]]
"""Returns the change that a mark means, after making its label or folder at the provider. Raises `MeshError`."""


class ProcessedMails:
    """Marks mails as processed.

    Args:
        pool: Connections to PostgreSQL.
        made: The use cases of modifications.
    """

    def __init__(self, pool: db.Pool, made: Modifications) -> None:
        self._pool = pool
        self._modifications = made

    async def set_mark(self, tenant_id: str, mark: pb2.ProcessedMark, resolve: Resolve) -> pb2.MessageChange:
        """Set a tenant's mark, and return the change that it means. Safe to call again.

        Args:
            tenant_id: A tenant that the caller may see.
            mark: The mark.
            resolve: Makes the label or the folder of the mark.

        Raises:
            FieldInvalid: The mark is empty, malformed, or not of the tenant's provider.
            TenantNotFound: There is no such tenant.
            AbilityNotGranted: The tenant has not granted marks.
        """
        _check(mark)
        async with db.connection(self._pool) as connection:
            provider = await provider_of(connection, tenant_id, MAIL_MARK)
        for name, its in _PROVIDER_OF.items():
            if getattr(mark, name) and its != provider:
                raise FieldInvalid.of(f"mark.{name}", f"is not a field of {provider}")
        change = await resolve(mark)
        check_provider(change, provider)
        async with db.transaction(self._pool) as connection:
            if await tenants.granted(connection, tenant_id) is None:
                raise TenantNotFound.of(tenant_id)
            await processed_marks.put(connection, tenant_id, mark, change)
        return change

    async def mark_of(self, tenant_id: str) -> tuple[pb2.ProcessedMark, pb2.MessageChange]:
        """Return a tenant's mark, and the change that it means.

        Raises:
            TenantNotFound: There is no such tenant.
            ProcessedMarkNotSet: It has none.
        """
        async with db.connection(self._pool) as connection:
            if await tenants.granted(connection, tenant_id) is None:
                raise TenantNotFound.of(tenant_id)
            found = await processed_marks.get(connection, tenant_id)
        if found is None:
            raise ProcessedMarkNotSet(subject=tenant_id, metadata={"tenant_id": tenant_id})
        return found

    async def apply(
        self, event_id: str, tenant_id: str, message_id: str, key_id: str | None
    ) -> tuple[ModificationRow, bool]:
        """Commit the modification that marks the mail of an event. Safe to call again: the first call decides.

        Args:
            event_id: The event.
            tenant_id: Its tenant, which the caller may see.
            message_id: The provider's id of its mail.
            key_id: The API key of the call, whose bytes are bounded; None for a call of the mesh.

        Returns:
            The modification, and whether an earlier call had committed it.

        Raises:
            TenantNotFound: The tenant is disconnected.
            ProcessedMarkNotSet: The tenant has no mark.
            AbilityNotGranted: The tenant has not granted marks.
            ModificationQueueFull: The tenant has too many unfinished modifications.
            TenantStorageFull: The tenant keeps too many bytes.
            KeyStorageFull: The API key keeps too many bytes.
        """
        key = f"processed:{event_id}"
        async with db.connection(self._pool) as connection:
            known = await modifications.by_key(connection, tenant_id, key, b"")
        if known is not None:
            return known[0], True
        _, change = await self.mark_of(tenant_id)
        request = pb2.ModifyMessagesRequest(
            idempotency_key=key, tenant_id=tenant_id, message_ids=[message_id], change=change
        )
        return await self._modifications.accept(request, key_id=key_id)


def _check(mark: pb2.ProcessedMark) -> None:
    if not mark.ListFields():
        raise FieldInvalid.of("mark", "must mark something")
    for name, characters in _CHARACTERS.items():
        if text := getattr(mark, name):
            check_name(f"mark.{name}", text, characters, least=1)
