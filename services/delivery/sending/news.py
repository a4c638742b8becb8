"""Follow the end of the event stream once for the whole process, and wake the endpoints that an event concerns."""

import asyncio

from services.delivery.endpoints.checks import KINDS
from services.delivery.sending.feed import LATEST, Feed
from services.delivery.sending.holder import Holder
from services.meshkit.guard import Guard

_PAGE = 500
_WAIT_SECONDS = 20
_IDLE_SECONDS = 1.0
_LONGEST_PAUSE_SECONDS = 5.0


class News:
    """Wakes deliverers. It only hastens them: each finds its events by its own position.

    While the process holds no endpoint it reads nothing; a deliverer that begins reads by itself.

    Args:
        feed: The event stream.
        holder: The endpoints of this process.
    """

    def __init__(self, feed: Feed, holder: Holder) -> None:
        self._feed = feed
        self._holder = holder
        self._cursor = ""

    async def run(self) -> None:
        """Follow until cancelled."""
        guard = Guard("news", longest_seconds=_LONGEST_PAUSE_SECONDS)
        await guard.until_cancelled(self._step_or_forget)

    async def _step_or_forget(self) -> None:
        try:
            await self._step()
        except Exception:
            self._cursor = ""
            raise

    async def _step(self) -> None:
        if not self._holder.is_holding:
            # Each page costs Processor as much as a consumer does, and would wake no deliverer.
            self._cursor = ""
            await asyncio.sleep(_IDLE_SECONDS)
            return
        if not self._cursor:
            self._cursor = await self._feed.position(LATEST)
            self._holder.wake_all()  # Events up to here may have come unseen.
        page = await self._feed.news(self._cursor, KINDS, _PAGE, _WAIT_SECONDS)
        for event in page.events:
            for deliverer in self._holder.concerned(event):
                deliverer.wake(has_news=True)
        self._cursor = page.next_cursor
