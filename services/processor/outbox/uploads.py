"""Files that callers upload in parts, for the mails of a tenant."""

import re
from collections.abc import Sequence
from datetime import timedelta

from mailmesh.processor.v1 import send_service_pb2 as pb2
from services.meshkit import db
from services.meshkit.clock import Clock
from services.meshkit.errors import FieldInvalid
from services.meshkit.ids import new_id
from services.meshkit.text import check_name
from services.processor.mailbox.kept import reserve
from services.processor.outbox.content import FILE_BYTES
from services.processor.outbox.errors import UploadIncomplete, UploadNotFound, UploadsFull
from services.processor.outbox.sender import provider_of_sender
from services.processor.outbox.store import uploads
from services.processor.outbox.store.uploads import UploadRow
from services.processor.settings import ProcessorSettings

PART_BYTES = 512 * 1024
_LEAST_PART_BYTES = 64 * 1024
_KEPT = timedelta(days=1)
_NAME_CHARACTERS = 200
_TYPE = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,126}/[a-z0-9][a-z0-9!#$&^_.+-]{0,126}")


class Uploads:
    """Takes the files of callers.

    Args:
        pool: Connections to PostgreSQL.
        settings: Bounds.
        clock: The time.
    """

    def __init__(self, pool: db.Pool, settings: ProcessorSettings, clock: Clock) -> None:
        self._pool = pool
        self._settings = settings
        self._clock = clock

    async def take(self, request: pb2.UploadAttachmentRequest, key_id: str | None = None) -> UploadRow:
        """Add a part to a file, or begin one.

        Args:
            request: The part.
            key_id: The API key of the call, whose bytes are bounded; None for a call of the mesh.

        Raises:
            FieldInvalid: A field is missing, malformed or out of its range.
            TenantNotFound: There is no such tenant.
            AbilityNotGranted: The tenant has not granted sending.
            UploadNotFound: The tenant has no such file.
            UploadsFull: The tenant's files have too many bytes.
            TenantStorageFull: The tenant keeps too many bytes.
            KeyStorageFull: The API key keeps too many bytes.
        """
        if not 0 < len(request.content) <= PART_BYTES:
            raise FieldInvalid.of("content", f"must have 1 to {PART_BYTES} bytes")
        async with db.transaction(self._pool) as connection:
            await provider_of_sender(connection, request.tenant_id)
            if request.upload_id:
                row = await uploads.lock(connection, request.tenant_id, request.upload_id)
            else:
                row = await self._begin(connection, request, key_id)
            if row is None:
                raise UploadNotFound(resource=request.upload_id, metadata={"upload_id": request.upload_id})
            return await _append(connection, row, request)

    async def _begin(
        self, connection: db.Connection, request: pb2.UploadAttachmentRequest, key_id: str | None
    ) -> UploadRow:
        row = UploadRow(
            upload_id=new_id(),
            tenant_id=request.tenant_id,
            name=request.name,
            content_type=request.content_type or "application/octet-stream",
            size_bytes=request.size_bytes,
            received_bytes=0,
            expires_at=self._clock.now() + _KEPT,
        )
        _check(row)
        kept = await reserve(connection, self._settings, row.tenant_id, key_id, row.size_bytes)
        if kept.uploads + row.size_bytes > self._settings.upload_bytes:
            raise UploadsFull(metadata={"tenant_id": row.tenant_id})
        await uploads.insert(connection, row, key_id)
        return row


def _check(row: UploadRow) -> None:
    check_name("name", row.name.strip(), _NAME_CHARACTERS, least=1)
    if not _TYPE.fullmatch(row.content_type):
        raise FieldInvalid.of("content_type", 'must be a media type in lower case, such as "application/pdf"')
    if not 0 < row.size_bytes <= FILE_BYTES:
        raise FieldInvalid.of("size_bytes", f"must be 1 to {FILE_BYTES}")


async def _append(connection: db.Connection, row: UploadRow, request: pb2.UploadAttachmentRequest) -> UploadRow:
    end = request.start_byte + len(request.content)
    if 0 <= request.start_byte < row.received_bytes and end <= row.received_bytes:
        return row  # an earlier call has brought it
    if request.start_byte != row.received_bytes or end > row.size_bytes:
        raise FieldInvalid.of("start_byte", f"must be {row.received_bytes}, and the part end by {row.size_bytes}")
    if end < row.size_bytes and len(request.content) < _LEAST_PART_BYTES:
        raise FieldInvalid.of("content", f"must have at least {_LEAST_PART_BYTES} bytes, but for the last part")
    return await uploads.append(connection, row, request.content)


async def check_files(connection: db.Connection, content: pb2.SendRequest) -> Sequence[str]:
    """Return the ids of a send's files, which are complete, locked, and within the bounds.

    Raises:
        FieldInvalid: The files are too large.
        UploadNotFound: The tenant has no such file.
        UploadIncomplete: Parts of a file are missing.
    """
    total, found = 0, []
    for attachment in content.attachments:
        if attachment.HasField("received"):
            continue  # it is read when the mail is written
        row = await uploads.lock(connection, content.tenant_id, attachment.upload_id)
        if row is None:
            raise UploadNotFound(resource=attachment.upload_id, metadata={"upload_id": attachment.upload_id})
        if row.received_bytes < row.size_bytes:
            metadata = {"upload_id": row.upload_id, "received_bytes": str(row.received_bytes)}
            raise UploadIncomplete(subject=row.upload_id, metadata=metadata)
        total += row.size_bytes
        found.append(row.upload_id)
    if total > FILE_BYTES:
        raise FieldInvalid.of("attachments", f"must have at most {FILE_BYTES} bytes together")
    return found
