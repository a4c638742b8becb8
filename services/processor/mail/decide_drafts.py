"""Decide about drafts, and about the mail that a draft becomes."""

from dataclasses import replace

from mailmesh.mail.v1 import event_pb2
from services.processor.mail.coverage import Coverage
from services.processor.mail.decision import NOTHING, Decision, PendingEvent, seen
from services.processor.mail.field_digests import differing, digests_of
from services.processor.mail.sources.mapped import MappedMessage
from services.processor.mail.state import UNSENT, MessageState, ReportedChange, State
from services.providers.names import GOOGLEWS


def record_draft(
    reported: ReportedChange, mapped: MappedMessage, known: MessageState | None, coverage: Coverage
) -> Decision:
    """Record a draft without an event. At Google each save is another message, so that there is nothing to record."""
    if known is None and coverage.provider != GOOGLEWS:
        return Decision((), seen(mapped, UNSENT, State.KNOWN, reported))
    if known is None or known.state is State.DELETED:
        return NOTHING
    is_untold = known.state is State.KNOWN and known.generation == 1
    generation = UNSENT if is_untold else known.generation
    return Decision((), replace(known, generation=generation, version=mapped.version, folder_id=mapped.folder_id))


def was_draft(mapped: MappedMessage, known: MessageState) -> bool:
    """Return whether a message was a draft when it was last seen, also by a release that reported drafts.

    A message that was recorded without its fields has the time of receipt: only sending a draft moves it.
    """
    if mapped.is_draft:
        return False
    if known.digests is not None:
        return "is_draft" in differing(known.digests, digests_of(mapped.message))
    before, now = known.mail_received_at, mapped.received_at
    return known.state is State.KNOWN and before is not None and now is not None and before < now


def begin_generation(
    reported: ReportedChange, mapped: MappedMessage, known: MessageState, coverage: Coverage
) -> Decision:
    """Announce the mail that a draft became, or a draft that was recorded before drafts made events.

    A mail that was reported as a draft begins another generation.
    """
    is_next = known.state is State.ANNOUNCED or known.generation == UNSENT
    generation = known.generation + 1 if is_next else known.generation
    is_covered = coverage.covers(known.folder_id, known.label_ids) or coverage.covers(
        mapped.folder_id, mapped.label_ids
    )
    event_type = next((name for name in ("mail.created", "mail.updated") if is_covered and coverage.allows(name)), "")
    if not event_type:
        return Decision((), seen(mapped, generation, State.KNOWN, reported))
    change = event_pb2.MailChange() if event_type == "mail.updated" else None
    pending = PendingEvent(event_type, generation, mapped.version, mapped, change=change)
    return Decision((pending,), seen(mapped, generation, State.ANNOUNCED, reported))
