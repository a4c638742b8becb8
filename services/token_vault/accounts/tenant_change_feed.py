"""The feed of tenants' changes, for the services that follow it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from mailmesh.vault.v1 import token_vault_service_pb2 as pb
from services.meshkit import db, opaque
from services.meshkit.clock import Clock
from services.meshkit.head_watch import HeadWatch
from services.meshkit.ids import is_id
from services.token_vault.accounts.errors import CursorInvalid
from services.token_vault.store import tenant_changes
from services.token_vault.store.tenant_changes import ChangeRow
from services.token_vault.store.tenants import TenantRow, status_number, tenant_message, tenants_after


@dataclass(frozen=True)
class Cursor:
    """The place of a reader in the feed.

    Args:
        position: Behind the change with this position.
        snapshot_after: During the first read of all tenants, behind the tenant with this id. None once it is complete.
    """

    position: int
    snapshot_after: str | None = None

    def text(self) -> str:
        """Encode the cursor for a reader."""
        return opaque.encode(json.dumps([self.position, self.snapshot_after]).encode())

    @classmethod
    def read(cls, text: str) -> "Cursor":
        """Decode a reader's cursor.

        Raises:
            CursorInvalid: TokenVault did not issue the cursor.
        """
        try:
            position, after = json.loads(opaque.decode(text))
            is_ours = type(position) is int and position >= 0 and (after is None or after == "" or is_id(after))
        except (ValueError, TypeError, AttributeError, RecursionError) as exc:
            raise CursorInvalid(violations={"cursor": "was not issued by this service"}) from exc
        if not is_ours:
            raise CursorInvalid(violations={"cursor": "was not issued by this service"})
        return cls(position, after)


class TenantChangeFeed:
    """Reads the log of tenants' changes for the services that follow it.

    Args:
        pool: Connections to the database.
        clock: The time.
        head: Follows the position of the last change, so that waiting readers ask nothing.
    """

    def __init__(self, pool: db.Pool, clock: Clock, head: HeadWatch) -> None:
        self._pool = pool
        self._clock = clock
        self._head = head

    async def read(self, cursor: str, limit: int, wait_seconds: float) -> pb.ListTenantChangesResponse:
        """Read changes behind a cursor.

        Args:
            cursor: Empty starts with the current state of every tenant.
            limit: The most to return.
            wait_seconds: How long to wait for a change without one.

        Raises:
            CursorInvalid: TokenVault did not issue the cursor.
        """
        deadline = self._clock.monotonic() + wait_seconds
        place = Cursor.read(cursor) if cursor else await self._beginning()
        while True:
            answer = await self._answer(place, limit)
            left = deadline - self._clock.monotonic()
            if answer.changes or place.snapshot_after is not None or left <= 0:
                return answer
            if not await self._head.beyond(place.position, left):
                return answer

    async def _beginning(self) -> Cursor:
        """Start with the current state of all tenants; the changes since this moment follow, so none is missed."""
        async with db.connection(self._pool) as connection:
            return Cursor(await tenant_changes.current_position(connection), "")

    async def _answer(self, place: Cursor, limit: int) -> pb.ListTenantChangesResponse:
        if place.snapshot_after is None and await self._is_lost(place):
            place = await self._beginning()
        if place.snapshot_after is not None:
            return await self._snapshot(place, place.snapshot_after, limit)
        async with db.connection(self._pool) as connection:
            found = await tenant_changes.changes_after(connection, place.position, limit + 1)
        given = found[:limit]
        behind = given[-1].position if given else place.position
        return pb.ListTenantChangesResponse(
            changes=[_message(change) for change in given],
            next_cursor=Cursor(behind).text(),
            has_more=len(found) > limit,
        )

    async def _is_lost(self, place: Cursor) -> bool:
        """Tell whether changes behind the place are pruned, or the place belongs to another log."""
        async with db.connection(self._pool) as connection:
            current = await tenant_changes.current_position(connection)
            if place.position >= current:
                return place.position > current
            oldest = await tenant_changes.oldest_position(connection)
        return oldest is None or place.position < oldest - 1

    async def _snapshot(self, place: Cursor, after: str, limit: int) -> pb.ListTenantChangesResponse:
        async with db.connection(self._pool) as connection:
            rows: Sequence[TenantRow] = await tenants_after(connection, after, limit + 1)
        given, is_last = rows[:limit], len(rows) <= limit
        following = Cursor(place.position) if is_last else Cursor(place.position, given[-1].tenant_id)
        now = self._clock.now()
        answer = pb.ListTenantChangesResponse(next_cursor=following.text(), has_more=not is_last)
        for row in given:
            change = answer.changes.add(change_id=row.tenant_id, tenant=tenant_message(row, now))
            change.changed_at.FromDatetime(row.updated_at)
        return answer


def _message(change: ChangeRow) -> pb.TenantChange:
    message = pb.TenantChange(
        change_id=change.change_id,
        tenant=change.tenant,
        previous_status=status_number(change.previous_status),
        correlation_id=change.correlation_id,
        is_reconnected=change.is_reconnected,
    )
    message.changed_at.FromDatetime(change.changed_at)
    return message
