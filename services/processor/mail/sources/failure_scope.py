"""Tell the failure of one message or folder from the failure of its mailbox, by what was asked and one cheap call."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from services.processor.mail.sources.findings import Failed, Finding, Missing
from services.processor.mailbox.failures import Remedy, SourceError, narrowed
from services.providers.failures import Meaning

_TRUST_SECONDS = 10.0
_MAX_THROTTLED = 1000
_OF_THE_THING = frozenset({Meaning.NOT_FOUND, Meaning.CURSOR_LOST, Meaning.FINAL})
"""Answers about the thing that was asked for: no mailbox answers so."""
_UNCLEAR = frozenset({Remedy.PERSON, Remedy.NEW_TOKEN, Remedy.THROTTLED})
_ABOUT_THE_CALL = frozenset({Remedy.MISSING, Remedy.PERMANENT, Remedy.CURSOR_LOST})


class FailureScope:
    """The scope of failures at one mailbox.

    Args:
        probe: A cheap call that needs the mailbox and nothing in it. It raises the mailbox's own failure.
        throttled: The ids of the mailbox's messages whose last fetch was throttled; it outlives the lease.
    """

    def __init__(self, probe: Callable[[], Awaitable[object]], throttled: set[str]) -> None:
        self._probe = probe
        self._throttled = throttled
        self._one_at_a_time = asyncio.Lock()
        self._answered_at = float("-inf")

    def succeeded(self, message_id: str) -> None:
        """Note that a message was fetched: its next throttled answer is the first one again."""
        self._throttled.discard(message_id)

    async def finding_of(self, message_id: str, error: SourceError) -> Finding:
        """Return the finding that the failed fetch of one message means.

        A throttled fetch pauses the mailbox. One that is throttled again after the pause is held against the cheap
        call like any other failure, so that no message pauses its mailbox for ever.

        Raises:
            SourceError: The failure of the whole mailbox.
        """
        if error.remedy is Remedy.MISSING:
            self.succeeded(message_id)
            return Missing()
        if error.meaning is Meaning.THROTTLED and message_id in self._throttled:
            await self._hold_against_probe(error)
        elif error.meaning is Meaning.THROTTLED:
            if len(self._throttled) >= _MAX_THROTTLED:
                self._throttled.clear()
            self._throttled.add(message_id)
            raise error
        elif error.meaning is None or error.remedy in _UNCLEAR:
            await self.check(error)
        return Failed(narrowed(error))

    async def check(self, error: SourceError) -> None:
        """Return when a failure concerns only the message or folder that was asked for.

        A provider throttles mailboxes and applications; every other answer is held against the cheap call. One success
        of that call counts for ten seconds.

        Raises:
            SourceError: The failure of the whole mailbox.
        """
        if error.meaning in _OF_THE_THING:
            return
        if error.meaning is None or error.meaning is Meaning.THROTTLED:
            raise error
        await self._hold_against_probe(error)

    async def _hold_against_probe(self, error: SourceError) -> None:
        async with self._one_at_a_time:
            if time.monotonic() - self._answered_at < _TRUST_SECONDS:
                return
            try:
                await self._probe()
            except SourceError as exc:
                raise error if exc.remedy in _ABOUT_THE_CALL else exc from error
            self._answered_at = time.monotonic()
