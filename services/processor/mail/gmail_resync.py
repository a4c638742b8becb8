"""The progress of a comparison of a Google mailbox, stored with the mailbox, and the steps that its parts share."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from typing import Any

from services.meshkit import db
from services.processor.mail.commit import Observation
from services.processor.mail.context import MailboxContext
from services.processor.mail.origin import Origin
from services.processor.mail.sources.findings import Found
from services.processor.mail.sources.gmail import GmailMailbox
from services.processor.mail.state import RECONCILIATION, ReportedChange
from services.processor.mail.store import messages
from services.processor.mailbox.retry_policy import RetryPolicy
from services.processor.mailbox.store import row_changes

_TIMES = ("since", "started_at", "not_before")
_ATTEMPTS_AHEAD = 4


@dataclass(frozen=True)
class TimeReconciliation:
    """The progress of a comparison. Any worker can continue it.

    Args:
        target: The history id from before it began: the cursor when the recent mail is listed.
        since: Only messages received since this time are recent.
        started_at: When it began.
        page_token: The token of the next page of the list under way.
        is_listed: Whether the list of recent mail is complete, so that the cursor is valid again.
        after: The last known message that was looked up because no list had it.
        lost: The history id that Gmail forgot; 0 when the cursor was not lost.
        first_id: The id of the first known message of the coverage; a greater id came into the mailbox later.
        is_compared: Whether the list of the whole mailbox is complete, too.
        checked: The number of messages that were checked for a change since `lost`.
        is_cut: Whether messages were left unchecked, because they were too many or Gmail refused a list for good.
        round: 1, then 2 for the second comparison, which finds mail that the lists did not know in the first.
        not_before: When it continues; None at once.
        refusals: The refusals in a row of the page token, or of the list's first page.
    """

    target: int
    since: datetime
    started_at: datetime
    page_token: str = ""
    is_listed: bool = False
    after: str = ""
    lost: int = 0
    first_id: str = ""
    is_compared: bool = False
    checked: int = 0
    is_cut: bool = False
    round: int = 1
    not_before: datetime | None = None
    refusals: int = 0

    @property
    def is_cursor_missing(self) -> bool:
        """Whether history cannot be read before the list of recent mail is complete."""
        return self.round == 1 and not self.is_listed

    def row(self) -> dict[str, Any]:
        """Return the stored form."""
        times = {name: getattr(self, name) for name in _TIMES}
        return {**self.__dict__, **{name: time and time.isoformat() for name, time in times.items()}}

    @classmethod
    def of(cls, row: Mapping[str, Any] | None) -> "TimeReconciliation | None":
        """Read the stored form, also that of another release; None when none is under way."""
        if row is None:
            return None
        known = {field.name: row[field.name] for field in fields(cls) if field.name in row}
        times = {name: datetime.fromisoformat(known[name]) for name in _TIMES if known.get(name)}
        return cls(**{**known, **times})


async def keep(context: MailboxContext, state: TimeReconciliation | None, due_at: datetime | None = None) -> None:
    """Store the progress, and when a worker continues it even without an item; None ends the comparison.

    Args:
        context: The lease.
        state: The progress.
        due_at: By default the pause after some failures: a worker that fails or dies is followed then.
    """
    row = None if state is None else state.row()
    if due_at is None and state is not None:
        due_at = RetryPolicy.from_settings(context.settings, context.clock.now()).after(_ATTEMPTS_AHEAD)
    progress = None if row is None else json.dumps(row)
    await context.change(row_changes.resync(progress, due_at))
    context.mailbox = replace(context.mailbox, resync=row, resync_due_at=due_at)


async def look(
    context: MailboxContext,
    gmail: GmailMailbox,
    kinds: Mapping[str, Collection[str]],
    known: Collection[str],
    origin: Origin,
) -> None:
    """Fetch listed messages and commit them; skip those that are unknown and not watched.

    Args:
        context: The lease.
        gmail: The mailbox at Gmail.
        kinds: The kinds of change to report, by message id.
        known: The ids among them that are known.
        origin: The reason.

    Raises:
        SourceError: A failure of the whole mailbox.
    """
    if not kinds:
        return
    fetched = await gmail.fetch(list(kinds))
    observations = []
    for message_id, finding in fetched.findings.items():
        is_watched = not isinstance(finding, Found) or context.coverage.covers("", finding.mapped.label_ids)
        if message_id in known or is_watched:
            observations.append(Observation(reported(message_id, kinds[message_id], origin), finding))

    async def seen(connection: db.Connection) -> None:
        await messages.mark_seen(connection, context.tenant_id, list(fetched.findings))

    await context.commit(observations, seen)
    if fetched.failure is not None:
        raise fetched.failure


def reported(message_id: str, kinds: Collection[str], origin: Origin) -> ReportedChange:
    """Return the change of a message that a comparison found."""
    return ReportedChange(message_id, frozenset(kinds), origin.received_at, origin.correlation_id, RECONCILIATION)


def stretches(ids: Sequence[str], step: int) -> list[Sequence[str]]:
    """Cut ids into stretches of at most `step`."""
    return [ids[begin : begin + step] for begin in range(0, len(ids), step)]
