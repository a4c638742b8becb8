"""The common part of both providers' mailboxes: mails by number, their order in time, their threads."""

import random
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from simulator.clock import Clock
from simulator.eml import MailSource


class MailboxError(Exception):
    """The mailbox cannot do that; ``kind`` is ``not_found`` or ``invalid``."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


@dataclass(slots=True, kw_only=True)
class Mail:
    """One mail as a mailbox keeps it.

    Attributes:
        serial: Number in the mailbox, never used again.
        thread: Serial of the mail that began the conversation.
        version: Grows with every change.
    """

    serial: int
    source: MailSource
    received_ms: int
    thread: int
    is_read: bool = False
    is_draft: bool = False
    version: int = 1
    modified_ms: int = 0


@dataclass(slots=True)
class Timeline:
    """Serials ordered by time of receipt, for pages that stay put while mail arrives."""

    _entries: list[tuple[int, int]] = field(default_factory=list)

    def add(self, mail: Mail) -> None:
        """Put a mail in its place."""
        insort(self._entries, (mail.received_ms, mail.serial))

    def add_many(self, mails: Iterable[Mail]) -> None:
        """Put many mails in their places at once."""
        self._entries.extend((mail.received_ms, mail.serial) for mail in mails)
        self._entries.sort()

    def remove(self, mail: Mail) -> None:
        """Take a mail out."""
        at = bisect_left(self._entries, (mail.received_ms, mail.serial))
        if at < len(self._entries) and self._entries[at] == (mail.received_ms, mail.serial):
            del self._entries[at]

    def newest_first(self, before: tuple[int, int] | None = None) -> Iterator[tuple[int, int]]:
        """Yield (received_ms, serial) from the newest on, or from just before a position."""
        at = len(self._entries) if before is None else bisect_left(self._entries, before)
        for index in range(at - 1, -1, -1):
            yield self._entries[index]

    def oldest_first(self, after: tuple[int, int] | None = None) -> Iterator[tuple[int, int]]:
        """Yield (received_ms, serial) from the oldest on, or from just after a position."""
        at = 0 if after is None else bisect_right(self._entries, after)
        for index in range(at, len(self._entries)):
            yield self._entries[index]

    def __len__(self) -> int:
        return len(self._entries)


# An earlier run may have given out more numbers after its last save; they must not be given out again.
_GAP = 100_000


class Threads:
    """Finds the conversation a mail belongs to by the Message-IDs it refers to."""

    def __init__(self) -> None:
        self._root: dict[str, int] = {}

    def join(self, source: MailSource, serial: int, fits: Callable[[int], bool] = lambda _root: True) -> int:
        """Return the serial of the conversation's first mail, and remember this one.

        Args:
            source: The mail.
            serial: Its number, which is the answer when it begins a conversation.
            fits: Says whether the mail may join the conversation with that root.
        """
        roots = (self._root[reference] for reference in reversed(source.references) if reference in self._root)
        root = next((root for root in roots if fits(root)), serial)
        if source.message_id:
            self._root.setdefault(source.message_id, root)
        return root

    def remember(self, mails: Iterable[Mail]) -> None:
        """Learn the conversations of mails that have theirs already."""
        self._root.update((mail.source.message_id, mail.thread) for mail in mails if mail.source.message_id)


M = TypeVar("M", bound=Mail)


class Mailbox(Generic[M]):
    """Mails of one account; the providers' classes add the operations on them."""

    def __init__(self, address: str, clock: Clock, seed: int) -> None:
        self.address = address
        self.clock = clock
        self.random = random.Random(f"mailbox:{seed}:{address}")
        self.token = self.random.randbytes(9)
        self.mails: dict[int, M] = {}
        self.timeline = Timeline()
        self.threads = Threads()
        self.deleted: list[dict[str, Any]] = []
        self.list_lag_ms = 0
        self.history_lag_ms = 0
        self.old_history_answers = 0
        self._arrived: dict[int, int] = {}
        self._serial = 0

    def next_serial(self) -> int:
        """Return a number that no mail has had before."""
        self._serial += 1
        return self._serial

    def resume(self, serial: int, mails: Iterable[M]) -> None:
        """Put back mails of an earlier run; new ones are numbered well behind them."""
        self.mails = {mail.serial: mail for mail in mails}
        self.timeline.add_many(self.mails.values())
        self.threads.remember(self.mails.values())
        self._serial = serial + _GAP

    @property
    def serial(self) -> int:
        """The newest number given."""
        return self._serial

    def store(self, mail: M) -> None:
        """Store a new mail."""
        self.mails[mail.serial] = mail
        self.timeline.add(mail)
        if self.list_lag_ms:
            self._arrived[mail.serial] = self.clock.milliseconds()

    def drop(self, mail: M) -> None:
        """Delete a mail for good."""
        del self.mails[mail.serial]
        self.timeline.remove(mail)

    def is_listed(self, mail: M) -> bool:
        """Return whether lists and searches know a mail yet; they can lag behind its arrival."""
        if not self._arrived or mail.serial not in self._arrived:
            return True
        return self._arrived[mail.serial] + self.list_lag_ms <= self.clock.milliseconds()
