"""What becomes of a message, given what was told, what was found and what is known: no I/O, one answer.

told of, and found      -> created, updated, enriched, or nothing new
told of, and not there  -> wait a while; then deleted (after created, if nobody knows of it yet)
told of, and not had    -> try again; after so many tries the event goes out without the message
"""

import random
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from mailmesh.mail.v1 import event_pb2
from services.processor.mail.coverage import Coverage
from services.processor.mail.field_digests import differing, digests_of
from services.processor.mail.sources.findings import Failed, Finding, Found, Missing
from services.processor.mail.sources.mapped import MappedMessage
from services.processor.mail.state import CREATED, DELETED, LISTED, UPDATED, Hint, Known, State
from services.processor.mailbox.failures import GOOGLEWS, Remedy, SourceError
from services.processor.settings import ProcessorSettings

_FIRST_LOOKS_SECONDS = 0.5


@dataclass(frozen=True)
class Patience:
    """How long what is waited for.

    Args:
        now: The present.
        missing: How long a message must be gone before it counts as deleted.
        attempts: Failed tries after which an event goes out without its message.
        announce_after: Age at which it does so in any case.
        give_up_after: How long content is tried for.
        retry_base: First wait after a failure.
        retry_max: Longest wait.
    """

    now: datetime
    missing: timedelta
    attempts: int
    announce_after: timedelta
    give_up_after: timedelta
    retry_base: timedelta
    retry_max: timedelta

    @classmethod
    def waits(cls, settings: ProcessorSettings, now: datetime) -> "Patience":
        """As the settings have it, at a time."""
        return cls(
            now=now,
            missing=timedelta(seconds=settings.missing_seconds),
            attempts=settings.fetch_attempts,
            announce_after=timedelta(seconds=settings.announce_after_seconds),
            give_up_after=timedelta(seconds=settings.give_up_seconds),
            retry_base=timedelta(seconds=settings.retry_base_seconds),
            retry_max=timedelta(seconds=settings.retry_max_seconds),
        )

    def after(self, attempts: int, base: timedelta | None = None) -> datetime:
        """When to try again: exponentially later, with jitter."""
        wait: timedelta = min((base or self.retry_base) * 2 ** min(attempts, 20), self.retry_max)
        return self.now + wait * random.uniform(0.75, 1.25)  # noqa: S311 - spreads load, guards nothing


@dataclass(frozen=True)
class Happening:
    """One event to be published.

    Args:
        event_type: Such as "mail.created".
        generation: The message's life.
        version: The provider's version that is told.
        mapped: The message; None when it was not had or is gone.
        not_enriched: Why there is no message.
        change: What an update changed.
        enriched_event_id: The event that now gets its message.
    """

    event_type: str
    generation: int
    version: str = ""
    mapped: MappedMessage | None = None
    not_enriched: event_pb2.NotEnriched | None = None
    change: event_pb2.MailChange | None = None
    enriched_event_id: str = ""


@dataclass(frozen=True)
class Verdict:
    """What is to be committed about one message.

    Args:
        happenings: Events, in their order.
        known: What is known from now on; None leaves it as it is.
        again_at: When to look again; None when all is said.
        hint: What to remember until then.
    """

    happenings: tuple[Happening, ...] = ()
    known: Known | None = None
    again_at: datetime | None = None
    hint: Hint | None = None


NOTHING = Verdict()


def decide(hint: Hint, finding: Finding, known: Known | None, coverage: Coverage, patience: Patience) -> Verdict:
    """Decides. The same arguments give the same answer, but for the jitter of waits."""
    match finding:
        case Found(mapped):
            return _found(hint, mapped, known, coverage)
        case Missing(is_certain):
            return _missing(hint, known, coverage, patience, is_certain=is_certain)
        case Failed(error):
            return _failed(hint, error, known, coverage, patience)


def _found(hint: Hint, mapped: MappedMessage, known: Known | None, coverage: Coverage) -> Verdict:
    if coverage.provider == GOOGLEWS and mapped.is_draft:
        return NOTHING
    if known is None or known.state is State.DELETED:
        return _first_sight(hint, mapped, known, coverage)
    if known.open_event_id:
        happening = Happening(
            "mail.enriched", known.generation, mapped.version, mapped, enriched_event_id=known.open_event_id
        )
        return Verdict((happening,), _seen(mapped, known.generation, State.ANNOUNCED, hint))
    if mapped.version and mapped.version == known.version:
        return NOTHING
    return _changed(hint, mapped, known, coverage)


def _first_sight(hint: Hint, mapped: MappedMessage, known: Known | None, coverage: Coverage) -> Verdict:
    generation = known.generation + 1 if known else 1
    event_type = _first_event(hint, mapped, known, coverage)
    if not event_type:
        return Verdict((), _seen(mapped, generation, State.KNOWN, hint))
    change = event_pb2.MailChange() if event_type == "mail.updated" else None
    happening = Happening(event_type, generation, mapped.version, mapped, change=change)
    return Verdict((happening,), _seen(mapped, generation, State.ANNOUNCED, hint))


def _first_event(hint: Hint, mapped: MappedMessage, known: Known | None, coverage: Coverage) -> str:
    """The type of the first event of a life; empty when there is none to tell."""
    is_older = known is None and CREATED not in hint.kinds and coverage.is_older(mapped.folder_id, mapped.received_at)
    if is_older and hint.kinds == {LISTED}:
        return ""
    if not is_older and coverage.allows("mail.created"):
        return "mail.created"
    is_update = bool(hint.kinds & {UPDATED, DELETED})
    return "mail.updated" if is_update and coverage.allows("mail.updated") else ""


def _changed(hint: Hint, mapped: MappedMessage, known: Known, coverage: Coverage) -> Verdict:
    after = _seen(mapped, known.generation, State.ANNOUNCED, hint)
    was_covered = coverage.covers(known.folder_id, known.label_ids)
    is_covered = coverage.covers(mapped.folder_id, mapped.label_ids)
    if not (was_covered or is_covered) or not coverage.allows("mail.updated"):
        return Verdict((), replace(after, state=known.state))
    change = _change(known, after)
    return Verdict((Happening("mail.updated", known.generation, mapped.version, mapped, change=change),), after)


def _change(before: Known, after: Known) -> event_pb2.MailChange:
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


def _missing(hint: Hint, known: Known | None, coverage: Coverage, patience: Patience, *, is_certain: bool) -> Verdict:
    since = hint.missing_since or patience.now
    if not is_certain and patience.now - since < patience.missing:
        return _look_again(replace(hint, missing_since=since, reason="MESSAGE_NOT_FOUND"), known, since, patience)
    if known is not None and known.state is State.DELETED:
        return NOTHING
    if known is None:
        return _never_seen(hint, coverage)
    gone = (Happening("mail.deleted", known.generation),)
    after = replace(known, state=State.DELETED, open_event_id="")
    return Verdict(_allowed(gone, coverage), after)


def _look_again(hint: Hint, known: Known | None, since: datetime, patience: Patience) -> Verdict:
    """What is new may show up any moment; what was said to be gone is looked for once, at the end."""
    end = since + patience.missing
    if hint.kinds <= {DELETED} or (known is not None and known.state is State.ANNOUNCED and CREATED not in hint.kinds):
        return Verdict((), None, end, hint)
    soon = patience.after(hint.attempts, timedelta(seconds=_FIRST_LOOKS_SECONDS))
    return Verdict((), None, min(soon, end), replace(hint, attempts=hint.attempts + 1))


def _never_seen(hint: Hint, coverage: Coverage) -> Verdict:
    """It came and went before anybody looked: both are told. What only a listing or a deletion named may be old."""
    deleted = Happening("mail.deleted", 1)
    after = Known(hint.message_id, 1, State.DELETED)
    if hint.kinds <= {LISTED}:
        return NOTHING
    if hint.kinds <= {DELETED, LISTED} and not _is_surely_new(coverage):
        return Verdict(_allowed((deleted,), coverage) if hint.was_watched else (), after)
    why = event_pb2.NotEnriched(
        reason="MESSAGE_NOT_FOUND", detail="The mail was gone before it could be fetched.",
        attempts=hint.attempts + 1, is_final=True,
    )  # fmt: skip
    created = Happening("mail.created", 1, "", not_enriched=why)
    return Verdict(_allowed((created, deleted), coverage), after)


def _is_surely_new(coverage: Coverage) -> bool:
    """All that is watched was listed once, so what nobody knows came later."""
    folders = [coverage.folders.get(watch.folder_id, watch.folder_id) for watch in coverage.watches]
    return (
        coverage.provider != GOOGLEWS
        and bool(coverage.listed)
        and all(not folder or folder in coverage.listed for folder in folders)
    )


def _failed(hint: Hint, error: SourceError, known: Known | None, coverage: Coverage, patience: Patience) -> Verdict:
    attempts = hint.attempts + 1
    waiting = replace(hint, attempts=attempts, reason=error.reason)
    is_final = error.remedy is Remedy.PERMANENT
    age = patience.now - hint.received_at
    again = None if is_final or age > patience.give_up_after + patience.announce_after else patience.after(attempts - 1)
    is_due = is_final or attempts >= patience.attempts or age >= patience.announce_after
    happening = _without_message(waiting, error, known, coverage, is_final=is_final) if is_due else None
    if happening is None:
        return Verdict((), None, again, waiting)
    folder = known.folder_id if known else ""
    after = replace(
        known or Known(hint.message_id),
        generation=happening.generation,
        state=State.ANNOUNCED,
        version=hint.version,
        folder_id=folder,
        digests=None,
    )
    return Verdict((happening,), after, again, waiting)


def _without_message(
    hint: Hint, error: SourceError, known: Known | None, coverage: Coverage, *, is_final: bool
) -> Happening | None:
    """The event that goes out without its message; None when it went out already, or tells nothing new."""
    why = event_pb2.NotEnriched(reason=error.reason, detail=error.detail, attempts=hint.attempts, is_final=is_final)
    if known is None or known.state is State.DELETED:
        is_told = hint.kinds - {LISTED} and coverage.allows("mail.created")
        return (
            Happening("mail.created", known.generation + 1 if known else 1, hint.version, not_enriched=why)
            if is_told
            else None
        )
    is_old_news = bool(known.open_event_id) or not hint.version or hint.version == known.version
    if is_old_news or not coverage.allows("mail.updated"):
        return None
    return Happening("mail.updated", known.generation, hint.version, not_enriched=why, change=event_pb2.MailChange())


def _seen(mapped: MappedMessage, generation: int, state: State, hint: Hint) -> Known:
    return Known(
        hint.message_id,
        generation,
        state,
        mapped.version,
        mapped.folder_id,
        mapped.label_ids,
        digests_of(mapped.message) if state is State.ANNOUNCED else None,
        "",
        mapped.received_at,
    )


def _allowed(happenings: Iterable[Happening], coverage: Coverage) -> tuple[Happening, ...]:
    return tuple(happening for happening in happenings if coverage.allows(happening.event_type))
