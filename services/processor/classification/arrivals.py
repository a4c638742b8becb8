"""Follow the stream, and classify the mail that arrives for tenants that enabled it: off the way of events.

The labels of a page and the tenant's place in the stream are one commit, so a mail gets one label event whatever
process ends in between. The text of a mail is read once, handed to Primitives, and stored nowhere.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta

import structlog

from mailmesh.mail.v1 import event_pb2 as mail_pb2
from mailmesh.primitives.v1 import arrival_service_pb2 as arrivals_pb2
from mailmesh.primitives.v1 import primitive_service_pb2 as primitives_pb2
from mailmesh.primitives.v1.arrival_service_pb2_grpc import ArrivalServiceAsyncStub
from mailmesh.processor.v1 import event_pb2
from services.meshkit import db
from services.meshkit.clock import Clock
from services.meshkit.errors import Internal, MeshError
from services.meshkit.ids import new_id
from services.meshkit.metrics import UNEXPECTED
from services.message.labels import UNKNOWN
from services.processor.classification.store import settings as store
from services.processor.classification.store.settings import Arrivals
from services.processor.stream.cursor import Cursor, read_cursor
from services.processor.stream.filter import Selection
from services.processor.stream.metrics import CLASSIFIED
from services.processor.stream.pages import EventReader
from services.processor.stream.publish import MAIL_CLASSIFIED, EventDraft, publish
from services.processor.stream.store import tenants
from services.processor.stream.turns import Turns, resume
from services.providers.names import GOOGLEWS

logger = structlog.get_logger(__name__)

TYPES = ["mail.created", "mail.enriched"]
MAX_ATTEMPTS = 5
"""Failed attempts at one mail, for reasons that may pass, after which it is published as unknown."""
CALL_SECONDS = 45.0
"""Above the time that Primitives gives one text by default: its wait for a process, and its reading."""
_PAGE = 50
_TURN_SECONDS = 10.0
"""The time after which a tenant's turn ends with the mail in hand: a long page must not hold the others back."""
_DUTY = "classification"
_DUTY_LASTS = timedelta(seconds=60)
"""Longer than a tenant's turn. Another process goes on so long after the one that classifies has died."""
_WAITS = frozenset(
    ("SERVICE_UNAVAILABLE", "SHUTTING_DOWN", "OVERLOADED", "RATE_LIMITED", "MODEL_BUDGET_SPENT", "MODEL_NOT_INSTALLED")
)
"""Failures of Primitives as a whole. Mail waits for their end, however long it takes; none is skipped."""
_FINAL = frozenset(("CONTENT_UNREADABLE", "FIELD_INVALID"))
"""Failures that the same mail meets again."""
_UNEXPECTED = "UNEXPECTED"
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS, _DOUBLINGS = 2.0, 300.0, 10
_MAX_SUBJECT, _MAX_TEXT = 1000, 16_384
_SENT = "SENT"


class ArrivalClassifier:
    """Classifies mail in rounds; for a periodic loop.

    Args:
        pool: Connections to PostgreSQL.
        reader: Reads the stream.
        primitives: The service that classifies.
        clock: The time.
    """

    def __init__(self, pool: db.Pool, reader: EventReader, primitives: ArrivalServiceAsyncStub, clock: Clock) -> None:
        self._pool, self._reader, self._primitives, self._clock = pool, reader, primitives, clock
        self._holder = new_id()
        self._turns = Turns(
            pool, "classification", store.TABLE, self._advance, is_paused=store.IS_PAUSED, may_begin=self._may_begin
        )

    async def round(self) -> int:
        """Classify the next mails of some tenants; return how many had a turn. Safe to call again: one event a mail.

        One process at a time does it. Should two do it, one of them finds its work done, and commits nothing.
        """
        return await self._turns.round()

    async def _may_begin(self, connection: db.Connection) -> bool:
        return await tenants.take_duty(connection, _DUTY, self._holder, _DUTY_LASTS)

    async def _advance(self, tenant_id: str) -> None:
        """Classify a page of a tenant. One whose page cannot be read waits, as one whose mail cannot."""
        try:
            await self._classify(tenant_id)
        except MeshError:
            raise
        except Exception:
            await self._put_off(tenant_id)
            raise

    async def _classify(self, tenant_id: str) -> None:
        async with db.connection(self._pool) as connection:
            before = await store.read(connection, tenant_id)
        if before is None or not before.settings.is_enabled:
            return
        selection = Selection(tenants=frozenset((tenant_id,)), event_types=TYPES)
        # From the oldest event when retention has passed the place: no label comes twice.
        start = await resume(self._reader, before.cursor)
        page = await self._reader.page(start, selection, event_pb2.EVENT_VIEW_BODY, _PAGE)
        turn = _Turn(before)
        ends_at = time.monotonic() + _TURN_SECONDS
        for event in page.events:
            await self._take(event.mail, turn)
            if turn.failure is not None or time.monotonic() > ends_at:
                break
        else:  # behind the events of other types, too
            turn.place = page.next
        await self._commit(tenant_id, before, turn)

    async def _take(self, event: mail_pb2.NormalizedMailEvent, turn: "_Turn") -> None:
        """Classify one mail, or note why it has to wait."""
        if _arrived(event):
            try:
                label = await self._tried(event, turn.before)
            except MeshError as exc:
                if exc.reason in _WAITS or (exc.reason not in _FINAL and turn.attempts < MAX_ATTEMPTS - 1):
                    turn.failure = exc
                    return
                label = mail_pb2.MailClassification(label=UNKNOWN, reason=exc.reason)
            turn.drafts.append(_draft(event, label, turn.before.version, self._clock))
        turn.attempts = 0
        turn.place = read_cursor(event.position)

    async def _tried(self, event: mail_pb2.NormalizedMailEvent, tenant: Arrivals) -> mail_pb2.MailClassification:
        """Label a mail. An unexpected failure is an attempt like others, so that no mail stops a tenant for good."""
        try:
            return await self._label(event, tenant)
        except MeshError:
            raise
        except Exception as exc:
            logger.exception("mail not classified", tenant_id=event.tenant_id)
            UNEXPECTED.labels("classification").inc()
            raise Internal(reason=_UNEXPECTED) from exc

    async def _label(self, event: mail_pb2.NormalizedMailEvent, tenant: Arrivals) -> mail_pb2.MailClassification:
        request = _request(event, tenant)
        if not (request.subject.strip() or request.text.strip()):
            return mail_pb2.MailClassification(label=UNKNOWN)
        asked = arrivals_pb2.ClassifyArrivalRequest(tenant_id=event.tenant_id, request=request)
        answer = (await self._primitives.ClassifyArrival(asked, timeout=CALL_SECONDS)).answer
        return mail_pb2.MailClassification(
            label=answer.label, margin=answer.margin, method=answer.method, is_text_cut=answer.is_text_cut
        )

    async def _commit(self, tenant_id: str, before: Arrivals, turn: "_Turn") -> None:
        async with db.transaction(self._pool) as connection:
            current = await store.read(connection, tenant_id, lock=True)
            # Another process was faster, or the settings were changed or erased meanwhile.
            if current is None or (current.cursor, current.version) != (before.cursor, before.version):
                return
            if turn.place is not None:
                await store.advance(connection, tenant_id, turn.place.write(), turn.place.position)
            if turn.failure is not None:
                attempts = turn.failed_before + 1
                await store.put_off(connection, tenant_id, turn.failure.reason, attempts, _pause(turn))
            drafts = await self._of_events_left(connection, tenant_id, turn.drafts)
            if drafts:
                await publish(connection, drafts)
        for draft in drafts:
            CLASSIFIED.labels(_outcome(draft)).inc()
        if turn.failure is not None:
            CLASSIFIED.labels("waiting").inc()
            logger.info("mail waits for its label", tenant_id=tenant_id, error=turn.failure.reason)

    async def _of_events_left(
        self, connection: db.Connection, tenant_id: str, drafts: Sequence[EventDraft]
    ) -> list[EventDraft]:
        """Leave out labels of mails that were erased while they were classified."""
        by_event = {one.mail.classification.classified_event_id: one for one in drafts if one.mail is not None}
        left = await store.still_there(connection, tenant_id, list(by_event)) if by_event else frozenset()
        return [one for event_id, one in by_event.items() if event_id in left]

    async def _put_off(self, tenant_id: str) -> None:
        async with db.connection(self._pool) as connection:
            # No attempt at a mail: the next one to fail is not given up for what its page went through.
            await store.put_off(connection, tenant_id, _UNEXPECTED, 0, _LONGEST_PAUSE_SECONDS)


@dataclass
class _Turn:
    """The outcome of a page.

    Args:
        before: The tenant at the start.
        attempts: The failed attempts at the next mail, without those that failed for reasons of Primitives as a whole.
        place: The place behind the last mail that is done; None before the first.
        drafts: The labels.
        failure: Why the next mail has to wait.
    """

    before: Arrivals
    attempts: int = field(init=False)
    place: Cursor | None = None
    drafts: list[EventDraft] = field(default_factory=list)
    failure: MeshError | None = None

    def __post_init__(self) -> None:
        self.attempts = 0 if self.before.reason in _WAITS else self.before.attempts

    @property
    def failed_before(self) -> int:
        """The failed attempts before this one: at the same mail, or at Primitives as a whole when that is away."""
        if self.failure is None or self.failure.reason not in _WAITS:
            return self.attempts
        return self.before.attempts if self.place is None else 0


def _arrived(event: mail_pb2.NormalizedMailEvent) -> bool:
    """Tell whether an event has a mail that arrived: no draft, no mail from before, and no copy of a sent mail.

    Graph has no header fields of a mail that the account itself sent; Gmail labels it.
    """
    if not event.is_enriched or event.message.is_draft or event.source == mail_pb2.EVENT_SOURCE_BACKFILL:
        return False
    if event.provider == GOOGLEWS:
        return _SENT not in event.message.label_ids
    return not event.send_id and bool(event.message.headers)


def _request(event: mail_pb2.NormalizedMailEvent, tenant: Arrivals) -> primitives_pb2.ClassifyMessageRequest:
    """Return the question about a mail: its subject and its new text, as far as a model reads them."""
    settings = tenant.settings
    return primitives_pb2.ClassifyMessageRequest(
        subject=event.message.subject[:_MAX_SUBJECT],
        text=event.message.body.reply_text[:_MAX_TEXT],
        labels=settings.labels,
        minimum_margin=settings.minimum_margin if settings.HasField("minimum_margin") else None,
    )


def _draft(
    event: mail_pb2.NormalizedMailEvent, label: mail_pb2.MailClassification, version: int, clock: Clock
) -> EventDraft:
    label.classified_event_id, label.settings_version = event.event_id, version
    made = mail_pb2.NormalizedMailEvent(
        provider=event.provider,
        tenant_id=event.tenant_id,
        external_tenant_id=event.external_tenant_id,
        user_id=event.user_id,
        event_type=MAIL_CLASSIFIED,
        message_id=event.message_id,
        correlation_id=event.correlation_id,
        generation=event.generation,
        version=event.version,
        subscription_ids=event.subscription_ids,
        source=event.source,
        classification=label,
    )
    made.received_at.FromDatetime(clock.now())
    return EventDraft(mail=made)


def _outcome(draft: EventDraft) -> str:
    label = draft.mail.classification if draft.mail is not None else mail_pb2.MailClassification()
    return "failed" if label.reason else "unknown" if label.label == UNKNOWN else "labelled"


def _pause(turn: _Turn) -> float:
    """Return how long a tenant waits: as long as Primitives says, else longer each time."""
    asked = turn.failure.retry_after if turn.failure is not None else None
    grown = _FIRST_PAUSE_SECONDS * 2.0 ** min(turn.failed_before, _DOUBLINGS)
    return min(_LONGEST_PAUSE_SECONDS, grown if asked is None else max(1.0, asked.total_seconds()))
