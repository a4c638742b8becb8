"""The one writer of the inbox: it commits the items of many POSTs in groups.

Past the bound of the buffer a webhook is refused at once, so that the provider retries. A POST that is answered with
success is on disk.
"""

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import structlog

from services.ingest.metrics import BUFFERED, COMMIT_SECONDS, GROUP_SIZE
from services.ingest.store.items import Accepted, NewItem
from services.meshkit.batcher import Batcher, BatchLimits
from services.meshkit.errors import MeshError, StoreUnavailable
from services.meshkit.metrics import UNEXPECTED

logger = structlog.get_logger(__name__)

Accept = Callable[[Sequence[NewItem], float], Awaitable[Accepted]]


@dataclass(frozen=True)
class WriterLimits:
    """Bounds of the writer.

    Args:
        commit_seconds: The longest time from the handing over of items until they are on disk.
        buffered: The most items that may wait. A larger POST is admitted when nothing else waits.
        group: The most items of one commit, unless a single POST is larger.
        gather_seconds: The pause after a commit of several POSTs, in which the next ones gather.
    """

    commit_seconds: float = 2.0
    buffered: int = 5_000
    group: int = 1_000
    gather_seconds: float = 0.003


class GroupWriter:
    """Commits items in groups.

    Args:
        accept: Commits items within a number of seconds.
        limits: Bounds.
        on_due: Receives, after each commit, the tenants that have something due and had nothing due before.
    """

    def __init__(self, accept: Accept, limits: WriterLimits, on_due: Callable[[Sequence[str]], None]) -> None:
        self._accept = accept
        self._limits = limits
        self._on_due = on_due
        self._batcher: Batcher[Sequence[NewItem], None] = Batcher(
            "buffered_notifications",
            self._commit,
            BatchLimits(limits.buffered, limits.group, limits.commit_seconds, gather_seconds=limits.gather_seconds),
        )
        BUFFERED.set_function(lambda: self._batcher.buffered)

    def admit(self, count: int = 1) -> None:
        """Check that the buffer has room, before any work is done for a POST.

        Raises:
            Overloaded: The buffer is full.
        """
        self._batcher.admit(count)

    async def write(self, items: Sequence[NewItem]) -> None:
        """Return when the items are on disk. Safe to call again: a repeat makes nothing.

        Args:
            items: The items of one POST. Without any the call returns at once.

        Raises:
            Overloaded: The buffer is full.
            StoreUnavailable: The items could not be committed in time. They may be on disk all the same.
            ShuttingDown: The writer is closed.
        """
        if items:
            await self._batcher.do(items, len(items))

    async def aclose(self) -> None:
        """Refuse the items that still wait, and all later ones."""
        await self._batcher.close()

    async def _commit(self, posts: Sequence[Sequence[NewItem]]) -> Sequence[None]:
        items = _distinct(posts)
        started = time.perf_counter()
        try:
            accepted = await self._accept(items, self._limits.commit_seconds)
        except MeshError as exc:
            logger.warning("group not committed", items=len(items), error=exc.reason)
            raise StoreUnavailable from exc
        except Exception as exc:
            UNEXPECTED.labels("writer").inc()
            logger.exception("group not committed", items=len(items))
            raise StoreUnavailable from exc
        GROUP_SIZE.observe(len(items))
        COMMIT_SECONDS.observe(time.perf_counter() - started)
        self._on_due(accepted.due_tenant_ids)
        return [None] * len(posts)


def _distinct(posts: Sequence[Sequence[NewItem]]) -> list[NewItem]:
    """Collect the items of a group without its repeats: a statement sees its own repeats only too late."""
    seen: set[str] = set()
    items: list[NewItem] = []
    for items_of_post in posts:
        for item in items_of_post:
            keys = {item.key} if item.other_key is None else {item.key, item.other_key}
            if seen.isdisjoint(keys):
                items.append(item)
            seen |= keys
    return items
