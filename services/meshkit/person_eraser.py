"""Rounds in which a service erases the persons that are pending, each for a slice of time; for a periodic loop."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from services.meshkit.erasing import erase_each
from services.meshkit.erasing_marks import PersonToErase
from services.meshkit.erasing_persons import PersonErasing, Progress


@dataclass(frozen=True)
class Pending:
    """A pending erasure.

    Args:
        person: The person.
        is_due: Whether the service may begin; before, it only notes its cut-off.
    """

    person: PersonToErase
    is_due: bool


class PersonEraser:
    """Erases persons in rounds.

    Args:
        erasing: Erases from the service's schema.
        pending: Lists the pending erasures, a bounded number.
        report: Tells the progress to the owner of the erasures; it is confirmed once the progress is done.
    """

    def __init__(
        self,
        erasing: PersonErasing,
        pending: Callable[[], Awaitable[Sequence[Pending]]],
        report: Callable[[PersonToErase, Progress], Awaitable[None]],
    ) -> None:
        self._erasing = erasing
        self._pending = pending
        self._report = report
        self._reported: dict[str, Progress] = {}

    async def round(self) -> int:
        """Erase for a slice of time each; return how many erasures moved. Safe to call again and concurrently."""
        pending = await self._pending()
        ids = [one.person.erasure_id for one in pending]
        await self._erasing.drop(ids)
        self._reported = {key: value for key, value in self._reported.items() if key in ids}
        for one in pending:  # all cut-offs first: none waits for the work of those before it in the list
            await self._erasing.cut_off(one.person)
        return await erase_each(pending, self._advance, lambda one: one.person.tenant_id)

    async def _advance(self, one: Pending) -> bool:
        progress = await (self._erasing.advance if one.is_due else self._erasing.cut_off)(one.person)
        if progress.mark.is_done or not self._is_reported(one.person, progress):
            await self._report(one.person, progress)
            self._reported[one.person.erasure_id] = progress
        return progress.moved

    def _is_reported(self, person: PersonToErase, progress: Progress) -> bool:
        known = self._reported.get(person.erasure_id)
        return known is not None and (known.table, known.mark.checked) == (progress.table, progress.mark.checked)
