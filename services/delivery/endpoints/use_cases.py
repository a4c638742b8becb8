"""The use cases of callers: create, read, change, pause, resume and delete endpoints."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Protocol

from services.delivery.endpoints.access import NO_ACCESS, Access, shown
from services.delivery.endpoints.secrets import KeptKey, Sealer, new_key, public_text, shown_key
from services.delivery.errors import AttemptNotFound, EndpointLimitReached, EndpointNotFound
from services.delivery.store import attempts, deliveries, endpoints
from services.delivery.store.rows import DELIVERING, AttemptRow, Count, Delivery, EndpointRow, Place, State
from services.meshkit import db
from services.meshkit.clock import Clock
from services.meshkit.ids import new_id
from services.meshkit.secret import Secret


@dataclass(frozen=True)
class Scope:
    """The endpoints that exist for a caller.

    Args:
        tenants: The tenants of its key; None means all.
        hidden: The kinds of events that its key may not read.
    """

    tenants: list[str] | None = None
    hidden: Sequence[str] = ()


class Stream(Protocol):
    """The event stream."""

    async def position(self, cursor: str) -> str:
        """Return the cursor that a word such as "latest" stands for, after checking that it can be read from."""

    async def since(self, row: EndpointRow, moment: datetime) -> Place:
        """Return the earlier of an endpoint's position and the place of a time."""

    async def delivery(self, event_id: str) -> Delivery:
        """Return the delivery of an event that is still in the stream."""


class Endpoints:
    """Manages endpoints.

    Args:
        pool: Connections to PostgreSQL.
        sealer: Seals their secrets.
        stream: Resolves cursors, and finds events.
        limit: The largest number of endpoints.
        changed: Called after a change, so that it takes effect soon.
        clock: The time.
    """

    def __init__(
        self,
        pool: db.Pool,
        sealer: Sealer,
        stream: Stream,
        limit: int,
        changed: Callable[[], None],
        clock: Clock,
    ) -> None:
        self._pool = pool
        self._sealer = sealer
        self._stream = stream
        self._limit = limit
        self._changed = changed
        self._clock = clock

    async def create(
        self, values: Mapping[str, Any], headers: dict[str, Secret], cursor: str, access: Access = NO_ACCESS
    ) -> tuple[EndpointRow, Secret]:
        """Create an endpoint. Not idempotent.

        Args:
            values: Checked values by column.
            headers: Checked headers.
            cursor: Where to begin.
            access: The checked access to the receiver.

        Returns:
            The endpoint, and the key that verifies its signatures.

        Raises:
            EndpointLimitReached: There are too many.
            CursorInvalid, CursorExpired, CursorEpochChanged: As Processor answers; the reasons are the same.
        """
        position = await self._stream.position(cursor or "latest")
        endpoint_id, key = new_id(), new_key(values["signature"])
        row = {
            **values,
            **asdict(self._sealer.seal(endpoint_id, [KeptKey(key)], headers, access)),
            **shown(access),
            "endpoint_id": endpoint_id,
            "header_names": sorted(headers),
            "public_key": public_text(key),
            "state": State.ACTIVE,
            "position": position,
        }
        async with db.transaction(self._pool) as connection:
            if await endpoints.count(connection) >= self._limit:
                raise EndpointLimitReached(metadata={"limit": str(self._limit)})
            made = await endpoints.insert(connection, row)
        self._changed()
        return made, shown_key(key)

    async def get(self, endpoint_id: str, scope: Scope) -> EndpointRow:
        """Read an endpoint.

        Raises:
            EndpointNotFound: There is no such endpoint in scope.
        """
        async with db.connection(self._pool) as connection:
            return await _in_scope(connection, endpoint_id, scope)

    async def page(self, scope: Scope, before: str | None, url: str, limit: int) -> list[EndpointRow]:
        """Read a page of endpoints, newest first."""
        async with db.connection(self._pool) as connection:
            return await endpoints.page(connection, scope.tenants, scope.hidden, before, url, limit)

    async def counts(self, rows: list[EndpointRow]) -> dict[str, tuple[int, int]]:
        """Count the waiting and the exhausted deliveries of endpoints."""
        async with db.connection(self._pool) as connection:
            return await endpoints.counts(connection, [row.endpoint_id for row in rows])

    async def attempts(
        self, endpoint_id: str, scope: Scope, event_id: str, before: str | None, limit: int
    ) -> list[AttemptRow]:
        """Read a page of attempts, newest first.

        Raises:
            EndpointNotFound: There is no such endpoint in scope.
        """
        async with db.connection(self._pool) as connection:
            await _in_scope(connection, endpoint_id, scope)
            return await attempts.page(connection, endpoint_id, event_id, before, limit)

    async def update(
        self,
        endpoint_id: str,
        scope: Scope,
        values: Mapping[str, Any],
        headers: dict[str, Secret] | None = None,
        access: Mapping[str, Any] | None = None,
    ) -> EndpointRow:
        """Change an endpoint. Safe to call again.

        Deliveries and attempts of tenants that the new filter excludes are deleted with the change: a key of the
        tenants that are left may read the endpoint from then on, and set its address.

        Args:
            endpoint_id: The endpoint.
            scope: The endpoints that exist for the caller.
            values: Checked values by column.
            headers: All headers, checked; None leaves them as they are.
            access: The parts of the access that change, checked; the others stay as they are.

        Raises:
            EndpointNotFound: There is no such endpoint in scope.
        """

        async def changed(connection: db.Connection, row: EndpointRow) -> EndpointRow:
            sealed: dict[str, Any] = {}
            if headers is not None or access:
                keys = self._sealer.signing_keys(row, self._clock.now())
                names = self._sealer.headers(row) if headers is None else headers
                parts = replace(self._sealer.access(row), **(access or {}))
                sealed = {**asdict(self._sealer.seal(endpoint_id, keys, names, parts)), **shown(parts)}
                sealed["header_names"] = sorted(names)
            if tenants := values.get("tenant_ids"):
                await attempts.delete_of_others(connection, endpoint_id, tenants)
            changes = {**values, **sealed}
            return await endpoints.change(connection, endpoint_id, changes) if changes else row

        return await self._with_locked(endpoint_id, scope, changed)

    async def pause(self, endpoint_id: str, scope: Scope) -> EndpointRow:
        """Stop delivery to an endpoint. Safe to call again.

        Raises:
            EndpointNotFound: There is no such endpoint in scope.
        """

        async def paused(connection: db.Connection, _row: EndpointRow) -> EndpointRow:
            return await endpoints.change(connection, endpoint_id, {"state": State.PAUSED, "reason": ""})

        return await self._with_locked(endpoint_id, scope, paused)

    async def resume(self, endpoint_id: str, scope: Scope, cursor: str) -> EndpointRow:
        """Continue delivery to an endpoint, from its position or from another one. Safe to call again.

        Raises:
            EndpointNotFound: There is no such endpoint in scope.
            CursorInvalid, CursorExpired, CursorEpochChanged: As Processor answers; the reasons are the same.
        """
        known = await self.get(endpoint_id, scope)
        position = await self._stream.position(cursor or known.position)

        async def resumed(connection: db.Connection, row: EndpointRow) -> EndpointRow:
            values: dict[str, Any] = {"position": position} if cursor else {}
            if row.state not in DELIVERING:
                values |= {"state": State.ACTIVE, "reason": "", "failures": 0}
                values |= {"failing_since": None, "throttled_until": None, "warnings": 0}
                await deliveries.let_go(connection, endpoint_id)
            return await endpoints.change(connection, endpoint_id, values) if values else row

        return await self._with_locked(endpoint_id, scope, resumed)

    async def rotate_key(self, endpoint_id: str, scope: Scope, overlap: timedelta) -> tuple[EndpointRow, Secret]:
        """Make a new signing key; the previous one signs beside it for a while. Not idempotent.

        Args:
            endpoint_id: The endpoint.
            scope: The endpoints that exist for the caller.
            overlap: How long the previous key still signs.

        Returns:
            The endpoint, and the key that verifies its new signatures.

        Raises:
            EndpointNotFound: There is no such endpoint in scope.
        """
        known = await self.get(endpoint_id, scope)
        key = new_key(known.signature)

        async def rotated(connection: db.Connection, row: EndpointRow) -> EndpointRow:
            now = self._clock.now()
            previous = KeptKey(self._sealer.signing_keys(row, now)[0].key, now + overlap)
            sealed = self._sealer.seal(
                endpoint_id, [KeptKey(key), previous], self._sealer.headers(row), self._sealer.access(row)
            )
            return await endpoints.change(connection, endpoint_id, {**asdict(sealed), "public_key": public_text(key)})

        return await self._with_locked(endpoint_id, scope, rotated), shown_key(key)

    async def retry(self, endpoint_id: str, scope: Scope, attempt_id: str) -> None:
        """Make the event of an attempt due now, whether it waits, is exhausted or was delivered. Safe to call again.

        Raises:
            EndpointNotFound: There is no such endpoint in scope.
            AttemptNotFound: It has no such attempt, or its filter excludes the event's tenant.
            EventNotFound: As Processor answers: the event is past retention.
        """
        async with db.connection(self._pool) as connection:
            await _in_scope(connection, endpoint_id, scope)
            event_id = await attempts.event_of(connection, endpoint_id, attempt_id)
            if event_id is None:
                raise _no_attempt(attempt_id)
            is_queued = await deliveries.revive(connection, endpoint_id, event_id)
        if not is_queued:
            again = await self._stream.delivery(event_id)
            async with db.transaction(self._pool) as connection:
                row = await _in_scope(connection, endpoint_id, scope, lock=True)
                if not row.covers(again.tenant_id):
                    raise _no_attempt(attempt_id)
                await deliveries.insert(connection, endpoint_id, [again])
        await self._with_locked(endpoint_id, scope, _touched)

    async def recover(self, endpoint_id: str, scope: Scope, since: datetime | None, *, is_dry: bool) -> int:
        """Make exhausted deliveries due again; return their number. Safe to call again.

        Args:
            endpoint_id: The endpoint.
            scope: The endpoints that exist for the caller.
            since: Only those that were exhausted then or later; None means all.
            is_dry: Only count them.

        Raises:
            EndpointNotFound: There is no such endpoint in scope.
        """
        if is_dry:
            await self.get(endpoint_id, scope)
            async with db.connection(self._pool) as connection:
                return await deliveries.count_exhausted(connection, endpoint_id, since)
        recovered = 0

        async def revived(connection: db.Connection, row: EndpointRow) -> EndpointRow:
            nonlocal recovered
            recovered = await deliveries.recover(connection, endpoint_id, since)
            return await _touched(connection, row)

        await self._with_locked(endpoint_id, scope, revived)
        return recovered

    async def recover_events(self, endpoint_id: str, scope: Scope, moment: datetime, *, is_dry: bool) -> Count:
        """Deliver the events from a time on once more; return their count. Safe to call again.

        Args:
            endpoint_id: The endpoint.
            scope: The endpoints that exist for the caller.
            moment: Events that came into the stream then or later are delivered; a position before it stays.
            is_dry: Only count them.

        Raises:
            EndpointNotFound: There is no such endpoint in scope.
            CursorExpired, CursorEpochChanged: As Processor answers for the endpoint's position.
        """
        place = await self._stream.since(await self.get(endpoint_id, scope), moment)

        async def moved(connection: db.Connection, _row: EndpointRow) -> EndpointRow:
            # An exhausted delivery keeps its event from being queued: those of the chosen time ended after it.
            await deliveries.recover(connection, endpoint_id, moment)
            return await endpoints.change(connection, endpoint_id, {"position": place.cursor})

        if not is_dry:
            await self._with_locked(endpoint_id, scope, moved)
        return place.events

    async def delete(self, endpoint_id: str, scope: Scope) -> None:
        """Delete an endpoint and its secrets at once, and the rest of it in the background.

        Raises:
            EndpointNotFound: There is no such endpoint in scope.
        """

        async def erased(connection: db.Connection, row: EndpointRow) -> EndpointRow:
            await endpoints.erase(connection, endpoint_id)
            return row

        await self._with_locked(endpoint_id, scope, erased)

    async def _with_locked(
        self,
        endpoint_id: str,
        scope: Scope,
        work: Callable[[db.Connection, EndpointRow], Awaitable[EndpointRow]],
    ) -> EndpointRow:
        async with db.transaction(self._pool) as connection:
            row = await work(connection, await _in_scope(connection, endpoint_id, scope, lock=True))
        self._changed()
        return row


async def _in_scope(connection: db.Connection, endpoint_id: str, scope: Scope, *, lock: bool = False) -> EndpointRow:
    row = await endpoints.get(connection, endpoint_id, scope.tenants, scope.hidden, lock=lock)
    if row is None:
        raise EndpointNotFound(resource=endpoint_id, metadata={"endpoint_id": endpoint_id})
    return row


def _no_attempt(attempt_id: str) -> AttemptNotFound:
    return AttemptNotFound(resource=attempt_id, metadata={"attempt_id": attempt_id})


async def _touched(connection: db.Connection, row: EndpointRow) -> EndpointRow:
    """Let the deliverer notice that its queue was changed."""
    return await endpoints.change(connection, row.endpoint_id, {"state": row.state})
