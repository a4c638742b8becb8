"""A tenant whose mail is classified in a test's database: mail is published, and Primitives' own servicer answers."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from mailmesh.mail.v1 import event_pb2 as mail_pb2
from mailmesh.mail.v1 import message_pb2
from mailmesh.primitives.v1 import arrival_service_pb2
from mailmesh.primitives.v1.primitive_service_pb2 import ClassifyLabel
from mailmesh.processor.v1 import classification_service_pb2 as pb2
from mailmesh.processor.v1 import event_pb2
from mailmesh.vault.v1 import tenant_pb2
from services.meshkit import db
from services.meshkit.clock import SystemClock
from services.meshkit.errors import MeshError
from services.meshkit.ids import new_id
from services.primitives.sandbox.confine import Confinement
from services.primitives.sandbox.pool import Sandbox, SandboxLimits
from services.primitives.servicers.arrivals import ArrivalServicer
from services.primitives.servicers.classifying import Classifier
from services.primitives.texts.budget import ModelBudget
from services.processor.classification.arrivals import ArrivalClassifier
from services.processor.classification.requests import Classification
from services.processor.stream.filter import Selection
from services.processor.stream.pages import EARLIEST, EventReader
from services.processor.stream.publish import EventDraft, PublishedEvent, publish
from services.processor.stream.retention import Retention
from services.processor.stream.store import tenants

LIMITS = SandboxLimits(1, 120, Confinement(1024 * 1024 * 1024, 60.0, 65534, has_model=True))
LABELS = (
    ClassifyLabel(name="bill", examples=["The amount on your bill is wrong.", "Our invoice is attached."]),
    ClassifyLabel(name="delivery", examples=["Where is my parcel?", "My order has not arrived."]),
)
SETTINGS = pb2.ClassificationSettings(is_enabled=True, labels=LABELS)
PARCEL = "Two of the five chairs that we ordered are missing from the parcel."
INVOICE = "The amount on the invoice that you sent us is twice what we agreed."


class Primitives:
    """Primitives' servicer with the real model, which a test lets fail.

    Args:
        servicer: The servicer.
    """

    def __init__(self, servicer: ArrivalServicer) -> None:
        self.asked: list[arrival_service_pb2.ClassifyArrivalRequest] = []
        self.failures: list[MeshError | Exception] = []
        self._servicer = servicer

    async def ClassifyArrival(
        self, request: arrival_service_pb2.ClassifyArrivalRequest, timeout: float
    ) -> arrival_service_pb2.ClassifyArrivalResponse:
        self.asked.append(request)
        assert timeout > 0
        if self.failures:
            raise self.failures.pop(0)
        return await self._servicer.ClassifyArrival(request, None)  # type: ignore[arg-type]


@asynccontextmanager
async def primitives(characters: int = 60_000) -> AsyncIterator[Primitives]:
    """Open processes without rights, and the servicer in front of them."""
    async with Sandbox.open(LIMITS) as texts:
        yield Primitives(ArrivalServicer(Classifier(texts, ModelBudget(characters))))


class Labelled:
    """A tenant whose mail is classified once `enable` was called."""

    def __init__(self, pool: db.Pool, service: Primitives) -> None:
        self.pool, self.tenant, self.service = pool, new_id(), service
        self.reader = EventReader(pool)
        self.requests = Classification(pool, self.reader, is_available=True)
        self.classifier = self.another()
        self._count = 0

    def another(self) -> ArrivalClassifier:
        """Return the classifier of another process."""
        return ArrivalClassifier(self.pool, self.reader, self.service, SystemClock())  # type: ignore[arg-type]

    async def begin(self, provider: str = "ms365") -> None:
        await Retention(self.pool, 30, SystemClock()).prepare()
        tenant = tenant_pb2.Tenant(tenant_id=self.tenant, provider=provider, external_tenant_id="o", user_id="u")
        async with db.transaction(self.pool) as connection:
            await tenants.save(connection, tenant, "active", SystemClock().now())

    async def enable(self, settings: pb2.ClassificationSettings = SETTINGS) -> pb2.ClassificationProgress:
        return (await self.requests.update_settings(self.tenant, settings, None))[1]

    async def progress(self) -> pb2.ClassificationProgress:
        return (await self.requests.settings(self.tenant, None))[1]

    def mail(self, text: str, **more: Any) -> mail_pb2.NormalizedMailEvent:
        """Return the event of a mail with this text."""
        self._count += 1
        event = mail_pb2.NormalizedMailEvent(
            provider="ms365", tenant_id=self.tenant, external_tenant_id="o", user_id="u", event_type="mail.created",
            generation=1, message_id=str(self._count), version="1", is_enriched=True, correlation_id=new_id(),
        )  # fmt: skip
        event.message.subject = "Chairs"
        event.message.headers.add(name="Received", value="from outside")
        event.message.body.text = text
        if text:
            event.message.body.spans.add(kind=message_pb2.TEXT_SPAN_KIND_REPLY, start=0, end=len(text))
        event.received_at.FromDatetime(SystemClock().now())
        event.MergeFrom(mail_pb2.NormalizedMailEvent(**more))
        return event

    async def publish(self, *events: mail_pb2.NormalizedMailEvent) -> list[PublishedEvent]:
        async with db.transaction(self.pool) as connection:
            return await publish(connection, [EventDraft(mail=one) for one in events])

    async def classify(self) -> None:
        while await self.classifier.round():
            pass

    async def labels(self) -> list[mail_pb2.NormalizedMailEvent]:
        """Return the events with labels, in order."""
        start = await self.reader.start(EARLIEST, EARLIEST)
        selection = Selection(tenants=frozenset((self.tenant,)), event_types=["mail.classified"])
        page = await self.reader.page(start, selection, event_pb2.EVENT_VIEW_FULL, 1000)
        return [one.mail for one in page.events]

    async def retry_now(self) -> None:
        """Let the time of the next attempt come."""
        await self.pool.execute("UPDATE processor.classification_settings SET retry_at = NULL")
