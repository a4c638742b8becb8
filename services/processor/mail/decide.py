"""Decide the events of a message from the reported change, the finding and the known state: no I/O, one answer.

reported, and found           -> created, updated, enriched, or nothing new
reported, and missing         -> wait a while; then deleted (after created, if it was not announced yet)
reported, but its report of a bounce was not read -> retry; after a number of attempts as found
reported, but the fetch failed -> retry; after a number of attempts the event goes out without the message
"""

from dataclasses import replace

from mailmesh.mail.v1 import event_pb2
from services.processor.mail.coverage import Coverage
from services.processor.mail.decide_drafts import begin_generation, record_draft, was_draft
from services.processor.mail.decide_unfetched import await_report, decide_failed, decide_missing
from services.processor.mail.decision import NOTHING, Decision, PendingEvent, seen
from services.processor.mail.field_digests import differing
from services.processor.mail.sources.findings import Failed, Finding, Found, Missing
from services.processor.mail.sources.mapped import MappedMessage
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
from services.processor.mailbox.retry_policy import RetryPolicy


def decide(
    reported: ReportedChange,
    finding: Finding,
    known: MessageState | None,
    coverage: Coverage,
    retry_policy: RetryPolicy,
) -> Decision:
    """Decide. The same arguments give the same answer, except for the jitter of waits."""
    match finding:
        case Found(mapped, unread):
            decision = _found(reported, mapped, known, coverage)
            return decision if unread is None else await_report(decision, reported, unread, retry_policy)
        case Missing(is_certain):
            return decide_missing(reported, known, coverage, retry_policy, is_certain=is_certain)
        case Failed(error):
            return decide_failed(reported, error, known, coverage, retry_policy)


def _found(reported: ReportedChange, mapped: MappedMessage, known: MessageState | None, coverage: Coverage) -> Decision:
    # A draft of ours is a step of a send, and no person wrote it.
    is_silent_draft = mapped.is_draft and (not coverage.has_draft_events or bool(mapped.send_mark))
    if is_silent_draft and not (known and known.open_event_id):
        return record_draft(reported, mapped, known, coverage)
    is_backfilled = BACKFILLED in reported.kinds and (known is None or known.is_unannounced)
    if is_backfilled or known is None or known.state is State.DELETED:
        return (_backfilled if is_backfilled else _first_sight)(reported, mapped, known, coverage)
    if known.open_event_id:
        event_to_publish = PendingEvent(
            "mail.enriched", known.generation, mapped.version, mapped, enriched_event_id=known.open_event_id
        )
        return Decision((event_to_publish,), seen(mapped, known.generation, State.ANNOUNCED, reported))
    if mapped.version and mapped.version == known.version:
        return NOTHING
    if known.generation == UNSENT or was_draft(mapped, known):
        return begin_generation(reported, mapped, known, coverage)
    return _changed(reported, mapped, known, coverage)


def _backfilled(
    reported: ReportedChange, mapped: MappedMessage, known: MessageState | None, coverage: Coverage
) -> Decision:
    """Publish a mail whatever its age, if a subscription covers it; otherwise only record it."""
    generation = known.generation if known else 1
    is_covered = coverage.covers(mapped.folder_id, mapped.label_ids) and coverage.allows("mail.created")
    state = State.ANNOUNCED if is_covered else State.KNOWN
    pending = (PendingEvent("mail.created", generation, mapped.version, mapped),) if is_covered else ()
    return Decision(pending, seen(mapped, generation, state, reported))


def _first_sight(
    reported: ReportedChange, mapped: MappedMessage, known: MessageState | None, coverage: Coverage
) -> Decision:
    generation = known.generation + 1 if known else 1
    event_type = _first_event(reported, mapped, known, coverage)
    if not event_type:
        return Decision((), seen(mapped, generation, State.KNOWN, reported))
    change = event_pb2.MailChange() if event_type == "mail.updated" else None
    event_to_publish = PendingEvent(event_type, generation, mapped.version, mapped, change=change)
    return Decision((event_to_publish,), seen(mapped, generation, State.ANNOUNCED, reported))


def _first_event(
    reported: ReportedChange, mapped: MappedMessage, known: MessageState | None, coverage: Coverage
) -> str:
    """Return the type of the first event of a generation; empty when there is none to publish."""
    is_older = (
        known is None and CREATED not in reported.kinds and coverage.is_older(mapped.folder_id, mapped.received_at)
    )
    if is_older and reported.kinds == {LISTED}:
        return ""
    if not is_older and coverage.allows("mail.created"):
        return "mail.created"
    is_update = bool(reported.kinds & {UPDATED, DELETED})
    return "mail.updated" if is_update and coverage.allows("mail.updated") else ""


def _changed(reported: ReportedChange, mapped: MappedMessage, known: MessageState, coverage: Coverage) -> Decision:
    after = seen(mapped, known.generation, State.ANNOUNCED, reported)
    was_covered = coverage.covers(known.folder_id, known.label_ids)
    is_covered = coverage.covers(mapped.folder_id, mapped.label_ids)
    if not (was_covered or is_covered) or not coverage.allows("mail.updated"):
        return Decision((), replace(after, state=known.state))
    change = _change(known, after)
    is_compared = known.digests is not None
    pending = PendingEvent(
        "mail.updated", known.generation, mapped.version, mapped, change=change, is_compared=is_compared
    )
    return Decision((pending,), after)


def _change(before: MessageState, after: MessageState) -> event_pb2.MailChange:
    if before.digests is None or after.digests is None:
        return event_pb2.MailChange(previous_folder_id=_other(before.folder_id, after.folder_id))
    old, new = set(before.label_ids), set(after.label_ids)
    return event_pb2.MailChange(
        fields=differing(before.digests, after.digests),
        label_ids_added=sorted(new - old),
        label_ids_removed=sorted(old - new),
        previous_folder_id=_other(before.folder_id, after.folder_id),
    )


def _other(before: str, after: str) -> str:
    return before if before != after else ""
