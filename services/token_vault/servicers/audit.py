"""AuditService: the audit log of credentials."""

import re
from datetime import UTC
from typing import Any

import grpc
from typing_extensions import override

from mailmesh.vault.v1 import audit_service_pb2 as pb
from mailmesh.vault.v1.audit_service_pb2_grpc import AuditServiceServicer
from services.meshkit import db
from services.meshkit.errors import FieldInvalid
from services.meshkit.identity.caller import current_caller
from services.meshkit.ids import check_id
from services.meshkit.pages import PageTokens, Position, is_row_id, is_time, page_size
from services.token_vault.errors import TenantNotFound
from services.token_vault.store.audit import Entry, EntryFilter, list_entries

_Context = grpc.aio.ServicerContext
_ACTION = re.compile(r"[a-z0-9_.]{0,100}")


class AuditServicer(AuditServiceServicer):
    """Serves admins: list the audit log."""

    def __init__(self, pool: db.Pool) -> None:
        self._pool = pool
        self._pages = PageTokens(columns=(is_time, is_row_id))

    @override
    async def ListAuditEntries(
        self, request: pb.ListAuditEntriesRequest, context: "_Context[Any, Any]"
    ) -> pb.ListAuditEntriesResponse:
        size, position, scope = page_size(request.page_size), self._pages.read(request), current_caller().tenants
        before = (str(position[0]), str(position[1])) if position else None
        wanted = _filter(request)
        if wanted.tenant_id and scope is not None and wanted.tenant_id not in scope:
            raise TenantNotFound.of(wanted.tenant_id)
        async with db.connection(self._pool) as connection:
            entries = await list_entries(connection, wanted, scope, before, size + 1)
        given = entries[:size]
        behind: Position | None = (
            [given[-1].occurred_at.isoformat(), given[-1].audit_entry_id] if len(entries) > size else None
        )
        return pb.ListAuditEntriesResponse(
            audit_entries=[_message(entry) for entry in given], next_page_token=self._pages.write(request, behind)
        )


def _filter(request: pb.ListAuditEntriesRequest) -> EntryFilter:
    if not _ACTION.fullmatch(request.action):
        raise FieldInvalid.of("action", "must be the name of an action, such as token.issue")
    return EntryFilter(
        tenant_id=check_id("tenant_id", request.tenant_id) if request.tenant_id else "",
        action=request.action,
        occurred_from=request.occurred_from.ToDatetime(UTC) if request.HasField("occurred_from") else None,
        occurred_before=request.occurred_before.ToDatetime(UTC) if request.HasField("occurred_before") else None,
    )


def _message(entry: Entry) -> pb.AuditEntry:
    message = pb.AuditEntry(
        audit_entry_id=entry.audit_entry_id,
        actor=entry.actor,
        action=entry.action,
        tenant_id=entry.tenant_id,
        outcome=entry.outcome,
        detail=entry.detail,
        correlation_id=entry.correlation_id,
    )
    message.occurred_at.FromDatetime(entry.occurred_at)
    return message
