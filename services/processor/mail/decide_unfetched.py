"""Decide about messages that were not fetched, or not wholly: they are missing, or a fetch failed."""

from dataclasses import replace
from datetime import datetime, timedelta

from mailmesh.mail.v1 import event_pb2
from services.processor.mail.coverage import Coverage
from services.processor.mail.decision import NOTHING, Decision, PendingEvent, allowed
from services.processor.mail.state import (
    BACKFILLED,
    CREATED,
    DELETED,
    LISTED,
    UNSENT,
    UPDATED,
    MessageState,
    ReportedChange,
    State,
)
from services.processor.mailbox.failures import Remedy, SourceError
from services.processor.mailbox.retry_policy import RetryPolicy
from services.providers.names import GOOGLEWS

_FIRST_LOOKS_SECONDS = 0.5
_NO_REPORT = frozenset({Remedy.PERMANENT, Remedy.MISSING})
"""The failures of a read of a report that a retry does not change."""


def decide_missing(
    reported: ReportedChange,
    known: MessageState | None,
    coverage: Coverage,
    retry_policy: RetryPolicy,
    *,
    is_certain: bool,
) -> Decision:
    """Decide about a message that the provider does not know: wait a while, then report the deletion."""
    since = reported.missing_since or retry_policy.now
    if not is_certain and retry_policy.now - since < retry_policy.missing:
        return _process_lookups(
            replace(reported, missing_since=since, reason="MESSAGE_NOT_FOUND"), known, since, retry_policy
        )
    if known is not None and known.state is State.DELETED:
        return NOTHING
    if known is None:
        return _never_seen(reported, coverage)
    gone = (PendingEvent("mail.deleted", known.generation),) if known.generation != UNSENT else ()
    after = replace(known, state=State.DELETED, version=reported.version or known.version, open_event_id="")
    return Decision(allowed(gone, coverage), after)


def _process_lookups(
    reported: ReportedChange, known: MessageState | None, since: datetime, retry_policy: RetryPolicy
) -> Decision:
    """Look up a new message again soon, since it may appear at any moment; look up a deleted one once, at the end."""
    end = since + retry_policy.missing
    if reported.kinds <= {DELETED} or (
        known is not None and known.state is State.ANNOUNCED and CREATED not in reported.kinds
    ):
        return Decision((), None, end, reported)
    soon = retry_policy.after(reported.attempts, timedelta(seconds=_FIRST_LOOKS_SECONDS))
    return Decision((), None, min(soon, end), replace(reported, attempts=reported.attempts + 1))


def _never_seen(reported: ReportedChange, coverage: Coverage) -> Decision:
    """Publish both events of a message that came and went before it was fetched.

    A message that only a listing or a deletion named may be old.
    """
    deleted = PendingEvent("mail.deleted", 1)
    after = MessageState(reported.message_id, 1, State.DELETED, reported.version)
    if reported.kinds <= {LISTED, BACKFILLED}:
        return NOTHING
    if reported.kinds <= {DELETED, LISTED} and not _is_surely_new(coverage):
        return Decision(allowed((deleted,), coverage) if reported.was_watched else (), after)
    why = event_pb2.NotEnriched(
        reason="MESSAGE_NOT_FOUND", detail="The mail was deleted before it could be fetched.",
        attempts=reported.attempts + 1, is_final=True,
    )  # fmt: skip
    created = PendingEvent("mail.created", 1, "", not_enriched=why)
    return Decision(allowed((created, deleted), coverage), after)


def _is_surely_new(coverage: Coverage) -> bool:
    """Return whether everything watched was listed once: then an unknown message came later."""
    if coverage.is_all_mail:
        return coverage.is_all_listed
    named = [watch.folder_id for watch in coverage.watches if watch.folder_id]
    return (
        coverage.provider != GOOGLEWS
        and bool(coverage.listed)
        and all(coverage.folders.get(name, name) in coverage.listed for name in named)
    )


def decide_failed(
    reported: ReportedChange,
    error: SourceError,
    known: MessageState | None,
    coverage: Coverage,
    retry_policy: RetryPolicy,
) -> Decision:
    """Decide about a message whose fetch failed: retry, and after some attempts publish the event without it.

    A final failure ends the lookup with its event. Without one it is retried: a known message may have changed or be
    gone, and no other report of that comes. A deletion is retried in any case: an answer that is no content does not
    tell whether the message is gone. A message known as deleted is created again only when it is found, since a late or
    repeated report of it is far likelier than its return.
    """
    attempts = reported.attempts + 1
    waiting = replace(reported, attempts=attempts, reason=error.reason)
    is_known = known is not None and not known.open_event_id
    is_final = error.remedy is Remedy.PERMANENT and DELETED not in reported.kinds
    age = retry_policy.now - reported.received_at
    is_due = is_final or attempts >= retry_policy.attempts or age >= retry_policy.announce_after
    event_to_publish = _without_message(waiting, error, known, coverage, is_final=is_final) if is_due else None
    is_over = is_final and not (is_known and event_to_publish is None)
    again = None if is_over else _again(attempts, age, error, retry_policy)
    if event_to_publish is None:
        return Decision((), None, again, waiting)
    folder = known.folder_id if known else ""
    after = replace(
        known or MessageState(reported.message_id),
        generation=event_to_publish.generation,
        state=State.ANNOUNCED,
        version=reported.version,
        folder_id=folder,
        digests=None,
    )
    return Decision((event_to_publish,), after, again, waiting)


def await_report(
    decision: Decision, reported: ReportedChange, error: SourceError, retry_policy: RetryPolicy
) -> Decision:
    """Put off the events of a mail whose report of a bounce or complaint was not read, a bounded number of times.

    The report counts only with the mail's event, so that event waits for it. The mail goes out without it after the
    attempts of a fetch, after a failure that stays (its mail is known, so MIME that is missing comes no more), and
    when the next read would come after the time that an event may wait.
    """
    attempts = reported.attempts + 1
    if not decision.pending or error.remedy in _NO_REPORT or attempts >= retry_policy.attempts:
        return decision
    again = _again(attempts, retry_policy.now - reported.received_at, error, retry_policy)
    if again is None or again > reported.received_at + retry_policy.announce_after:
        return decision
    return Decision((), None, again, replace(reported, attempts=attempts, reason=error.reason))


def _again(attempts: int, age: timedelta, error: SourceError, retry_policy: RetryPolicy) -> datetime | None:
    """Return when to retry, not before the time that the provider named; None after the time to give up."""
    if age > retry_policy.give_up_after + retry_policy.announce_after:
        return None
    again = retry_policy.after(attempts - 1)
    return again if error.retry_after is None else max(again, retry_policy.now + error.retry_after)


def _without_message(
    reported: ReportedChange, error: SourceError, known: MessageState | None, coverage: Coverage, *, is_final: bool
) -> PendingEvent | None:
    """Return the event that goes out without its message; None when it went out already, or reports nothing new."""
    why = event_pb2.NotEnriched(reason=error.reason, detail=error.detail, attempts=reported.attempts, is_final=is_final)
    if known is not None and known.state is State.DELETED:
        return None
    if known is None or known.generation == UNSENT:
        telling = {CREATED, UPDATED, DELETED, BACKFILLED} if known is None else {CREATED}
        is_told = reported.kinds & telling and coverage.allows("mail.created")
        return (
            PendingEvent("mail.created", known.generation + 1 if known else 1, reported.version, not_enriched=why)
            if is_told
            else None
        )
    if BACKFILLED in reported.kinds and known.is_unannounced:
        is_asked_for = coverage.covers(known.folder_id, known.label_ids) and coverage.allows("mail.created")
        return PendingEvent("mail.created", known.generation, "", not_enriched=why) if is_asked_for else None
    is_old_news = bool(known.open_event_id) or not reported.version or reported.version == known.version
    if is_old_news or not coverage.allows("mail.updated"):
        return None
    return PendingEvent(
        "mail.updated", known.generation, reported.version, not_enriched=why, change=event_pb2.MailChange()
    )
