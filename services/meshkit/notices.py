"""Publish notices: rows that a service commits with a change, until another service has made events of them."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from services.meshkit import db
from services.meshkit.errors import InvalidArgument

_BATCH = 100


class Notice(Protocol):
    """A notice as the other service takes it."""

    @property
    def notice_id(self) -> str:
        """Its id, by which it becomes one event."""


class NoticeStore(Protocol):
    """The statements over the notices of a service; a module of its store."""

    async def oldest(self, connection: db.Connection, limit: int) -> list[tuple[str, bytes]]:
        """Read the oldest notices: ids and contents."""

    async def delete(self, connection: db.Connection, notice_ids: Sequence[str]) -> None:
        """Delete notices. Safe to call again."""


One = TypeVar("One", bound=Notice)


@dataclass(frozen=True)
class NoticePublisher(Generic[One]):
    """Publishes notices, and forgets them once the other service has them.

    A notice that the other service refuses is deleted: repeating it fails again, and it would hold up the others.

    Args:
        pool: Connections to PostgreSQL.
        store: The statements.
        read: Makes a notice from its id and its stored content.
        publish: Gives notices to the other service; safe to repeat.
        on_refused: Logs a notice that is deleted for the failure.
    """

    pool: db.Pool
    store: NoticeStore
    read: Callable[[str, bytes], One]
    publish: Callable[[list[One]], Awaitable[None]]
    on_refused: Callable[[One, InvalidArgument], None]

    async def round(self) -> int:
        """Publish the oldest notices; return their number. Safe to call again, and in several processes at a time.

        Raises:
            MeshError: The other service or PostgreSQL is away; the notices stay.
        """
        async with db.connection(self.pool) as connection:
            kept = await self.store.oldest(connection, _BATCH)
        if not kept:
            return 0
        given = [self.read(notice_id, content) for notice_id, content in kept]
        try:
            await self._give(given)
        except InvalidArgument:
            for one in given:
                await self._give_or_drop(one)
        return len(given)

    async def _give(self, given: list[One]) -> None:
        await self.publish(given)
        await self._forget(given)

    async def _give_or_drop(self, one: One) -> None:
        try:
            await self._give([one])
        except InvalidArgument as exc:
            self.on_refused(one, exc)
            await self._forget([one])

    async def _forget(self, given: list[One]) -> None:
        async with db.connection(self.pool) as connection:
            await self.store.delete(connection, [one.notice_id for one in given])
