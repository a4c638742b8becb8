"""Labels on arrival in PostgreSQL: one event for each mail, whatever fails or ends, and never in mail's way."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from mailmesh.mail.v1 import event_pb2 as mail_pb2
from mailmesh.primitives.v1.primitive_service_pb2 import ClassifyLabel
from mailmesh.processor.v1 import classification_service_pb2 as pb2
from services.meshkit import db
from services.meshkit.clock import SystemClock
from services.meshkit.erasing import erase_rows
from services.meshkit.errors import DeadlineExceeded, FieldInvalid, Internal, Overloaded, ServiceUnavailable
from services.primitives.errors import ContentUnreadable, ModelBudgetSpent
from services.processor.classification import arrivals
from services.processor.classification.arrivals import MAX_ATTEMPTS
from services.processor.classification.requests import Classification, checked_settings
from services.processor.erasing import PLAN
from services.processor.errors import PrimitivesNotAvailable, TenantNotFound
from services.processor.stream import turns
from services.processor.stream.retention import Retention
from services.processor.stream.store import tenants
from tests.store.processor.classification.labelling import (
    INVOICE,
    LABELS,
    PARCEL,
    SETTINGS,
    Labelled,
    Primitives,
    primitives,
)


@pytest.fixture
async def service() -> AsyncIterator[Primitives]:
    async with primitives() as opened:
        yield opened


@pytest.fixture
async def labelled(pool: db.Pool, service: Primitives) -> Labelled:
    made = Labelled(pool, service)
    await made.begin()
    return made


async def test_classification_is_off_until_it_is_enabled_and_then_labels_what_arrives(labelled: Labelled) -> None:
    await labelled.publish(labelled.mail(INVOICE))
    await labelled.classify()
    before = (await labelled.labels(), await labelled.progress(), list(labelled.service.asked))
    enabled = await labelled.enable()
    first, second = await labelled.publish(labelled.mail(PARCEL), labelled.mail(INVOICE))
    await labelled.classify()
    labels = await labelled.labels()

    assert before == ([], pb2.ClassificationProgress(), [])
    assert (1, False) == (enabled.settings_version, enabled.is_waiting)
    assert [("2", first.event_id, "delivery"), ("3", second.event_id, "bill")] == [
        (one.message_id, one.classification.classified_event_id, one.classification.label) for one in labels
    ]
    assert all(one.classification.margin >= 0.01 and one.classification.settings_version == 1 for one in labels)
    assert all(not one.HasField("message") and not one.is_enriched and one.generation == 1 for one in labels)
    assert all(one.external_tenant_id == "o" and one.correlation_id for one in labels)


async def test_what_did_not_arrive_gets_no_label(labelled: Labelled) -> None:
    await labelled.enable()
    draft, own, unfetched = (labelled.mail(PARCEL) for _ in range(3))
    draft.message.is_draft = True
    own.message.ClearField("headers")
    unfetched.ClearField("message")
    unfetched.is_enriched = False
    sent_by_gmail = labelled.mail(PARCEL, provider="googlews")
    sent_by_gmail.message.label_ids.append("SENT")
    older = labelled.mail(PARCEL, source=mail_pb2.EVENT_SOURCE_BACKFILL)
    changed = labelled.mail(PARCEL, event_type="mail.updated")
    await labelled.publish(draft, own, unfetched, sent_by_gmail, older, changed)
    await labelled.classify()

    assert [] == await labelled.labels()
    assert [] == labelled.service.asked
    assert not (await labelled.progress()).reason


async def test_a_mail_without_text_is_unknown_and_asks_nobody(labelled: Labelled) -> None:
    await labelled.enable()
    empty = labelled.mail("")
    empty.message.subject = ""
    await labelled.publish(empty)
    await labelled.classify()
    (label,) = await labelled.labels()

    assert ("unknown", "", "") == (label.classification.label, label.classification.method, label.classification.reason)
    assert [] == labelled.service.asked


async def test_quoted_mail_is_not_read(labelled: Labelled) -> None:
    await labelled.enable()
    event = labelled.mail(PARCEL)
    event.message.body.text += "\n> the quoted words"
    await labelled.publish(event)
    await labelled.classify()

    assert [PARCEL] == [one.request.text for one in labelled.service.asked]


@pytest.mark.parametrize(
    "failure", [ServiceUnavailable(), Overloaded(), ModelBudgetSpent(retry_after=timedelta(seconds=30))]
)
async def test_mail_waits_for_primitives_and_nothing_is_skipped(labelled: Labelled, failure: Exception) -> None:
    await labelled.enable()
    await labelled.publish(labelled.mail(PARCEL), labelled.mail(INVOICE))
    labelled.service.failures = [failure] * (MAX_ATTEMPTS + 2)
    waiting = []
    for _ in range(MAX_ATTEMPTS + 2):
        await labelled.classify()
        waiting.append(await labelled.progress())
        assert [] == await labelled.labels()
        await labelled.retry_now()
    await labelled.classify()

    assert {failure.reason} == {one.reason for one in waiting}  # type: ignore[attr-defined]
    assert all(one.is_waiting and one.HasField("retry_at") for one in waiting)
    assert ["delivery", "bill"] == [one.classification.label for one in await labelled.labels()]
    assert ("", False) == ((await labelled.progress()).reason, (await labelled.progress()).HasField("retry_at"))


@pytest.mark.parametrize("failure", [Internal(reason="UNEXPECTED"), RuntimeError("a mail of no kind that we know")])
async def test_a_mail_that_fails_again_and_again_is_published_as_unknown_with_the_reason(
    labelled: Labelled, failure: Exception
) -> None:
    await labelled.enable()
    await labelled.publish(labelled.mail(PARCEL), labelled.mail(INVOICE))
    labelled.service.failures = [failure] * MAX_ATTEMPTS
    for _ in range(MAX_ATTEMPTS):
        assert [] == await labelled.labels()
        await labelled.classify()
        await labelled.retry_now()

    assert [("unknown", "UNEXPECTED"), ("bill", "")] == [
        (one.classification.label, one.classification.reason) for one in await labelled.labels()
    ]


async def test_the_absence_of_primitives_uses_up_no_attempt_of_a_mail(labelled: Labelled) -> None:
    await labelled.enable()
    await labelled.publish(labelled.mail(PARCEL))
    labelled.service.failures = [*[ServiceUnavailable()] * MAX_ATTEMPTS, *[DeadlineExceeded()] * (MAX_ATTEMPTS - 1)]
    for _ in range(2 * MAX_ATTEMPTS):
        await labelled.classify()
        await labelled.retry_now()

    assert ["delivery"] == [one.classification.label for one in await labelled.labels()]


async def test_a_page_that_cannot_be_read_uses_up_no_attempt_of_a_mail(
    labelled: Labelled, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: Any) -> Any:
        raise ValueError("a page")

    await labelled.enable()
    await labelled.publish(labelled.mail(PARCEL))
    with monkeypatch.context() as patched:
        patched.setattr(labelled.reader, "page", broken)
        for _ in range(MAX_ATTEMPTS):
            await labelled.classify()
            await labelled.retry_now()
    labelled.service.failures = [DeadlineExceeded()]
    for _ in range(2):
        await labelled.classify()
        await labelled.retry_now()

    assert ["delivery"] == [one.classification.label for one in await labelled.labels()]


async def test_a_mail_that_no_process_can_read_is_unknown_at_once(labelled: Labelled) -> None:
    await labelled.enable()
    await labelled.publish(labelled.mail(PARCEL), labelled.mail(INVOICE))
    labelled.service.failures = [ContentUnreadable(metadata={"cause": "crashed"})]
    await labelled.classify()

    assert [("unknown", "CONTENT_UNREADABLE"), ("bill", "")] == [
        (one.classification.label, one.classification.reason) for one in await labelled.labels()
    ]


async def test_a_tenant_that_waits_does_not_hold_others_back(labelled: Labelled) -> None:
    other = Labelled(labelled.pool, labelled.service)
    await other.begin()
    await labelled.enable()
    await other.enable()
    await labelled.publish(labelled.mail(PARCEL))
    await other.publish(other.mail(INVOICE))
    labelled.service.failures = [Overloaded()]
    await labelled.classifier.round()

    assert 1 == len([*await labelled.labels(), *await other.labels()])


async def test_a_tenant_far_behind_holds_others_back_by_one_turn(
    labelled: Labelled, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tenants far behind come first, and fill each round; the one with a new mail has its turn behind one of theirs."""
    monkeypatch.setattr(arrivals, "_PAGE", 1)
    monkeypatch.setattr(turns, "_TENANTS", 2)
    behind = [labelled, *(Labelled(labelled.pool, labelled.service) for _ in range(3))]
    for one in behind:
        if one is not labelled:
            await one.begin()
        await one.enable()
        await one.publish(*(one.mail(PARCEL) for _ in range(6)))
    other = Labelled(labelled.pool, labelled.service)
    await other.begin()
    await other.enable()
    for _ in range(2):  # each of them has had a turn
        await labelled.classifier.round()
    await other.publish(other.mail(INVOICE))
    await labelled.classifier.round()

    assert ["bill"] == [one.classification.label for one in await other.labels()]
    assert 5 == sum([len(await one.labels()) for one in behind])


async def test_a_tenant_whose_page_cannot_be_read_waits_and_holds_no_other_back(
    labelled: Labelled, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Labelled(labelled.pool, labelled.service)
    await other.begin()
    for one in (labelled, other):
        await one.enable()
        await one.publish(one.mail(PARCEL))
    page = labelled.reader.page

    async def broken(start: Any, selection: Any, *rest: Any) -> Any:
        if labelled.tenant in selection.tenants:
            raise ValueError("a page")
        return await page(start, selection, *rest)

    with monkeypatch.context() as patched:
        patched.setattr(labelled.reader, "page", broken)
        await labelled.classify()
    waiting = await labelled.progress()
    await labelled.retry_now()
    await labelled.classify()

    assert ("UNEXPECTED", True) == (waiting.reason, waiting.HasField("retry_at"))
    assert (1, 1) == (len(await labelled.labels()), len(await other.labels()))


async def test_two_processes_that_classify_the_same_mail_publish_one_label(labelled: Labelled) -> None:
    await labelled.enable()
    await labelled.publish(*(labelled.mail(PARCEL) for _ in range(5)))
    other = labelled.another()
    first, second = labelled.classifier._advance, other._advance  # both have the duty
    await asyncio.gather(first(labelled.tenant), second(labelled.tenant))

    assert ["1", "2", "3", "4", "5"] == [one.message_id for one in await labelled.labels()]


async def test_one_process_at_a_time_has_the_duty(labelled: Labelled) -> None:
    await labelled.enable()
    await labelled.publish(labelled.mail(PARCEL))
    await labelled.classify()
    await labelled.publish(labelled.mail(INVOICE))

    assert 0 == await labelled.another().round()
    await labelled.pool.execute("UPDATE processor.duties SET expires_at = now() - interval '1 second'")
    assert 1 == await labelled.another().round()
    assert 2 == len(await labelled.labels())


async def test_a_mail_that_is_read_again_after_its_label_keeps_the_event_that_it_has(labelled: Labelled) -> None:
    await labelled.enable()
    await labelled.publish(labelled.mail(PARCEL))
    await labelled.classify()
    first = await labelled.labels()
    # The place is lost, as by a store that was restored to an older one: everything is read again.
    await labelled.pool.execute("UPDATE processor.classification_settings SET cursor = 'earliest', position = 0")
    await labelled.classify()

    assert first == await labelled.labels()
    assert 2 == len(labelled.service.asked)


async def test_other_labels_hold_for_what_is_not_classified_yet(labelled: Labelled) -> None:
    await labelled.enable()
    await labelled.publish(labelled.mail(PARCEL))
    other = pb2.ClassificationSettings(
        is_enabled=True, labels=[ClassifyLabel(name="parcel", examples=LABELS[1].examples), LABELS[0]]
    )
    changed, repeated = await labelled.enable(other), await labelled.enable(other)
    await labelled.classify()
    await labelled.enable(pb2.ClassificationSettings())
    await labelled.publish(labelled.mail(PARCEL))
    await labelled.classify()

    assert (2, True, 2) == (changed.settings_version, changed.is_waiting, repeated.settings_version)
    assert [("parcel", 2)] == [
        (one.classification.label, one.classification.settings_version) for one in await labelled.labels()
    ]
    assert pb2.ClassificationSettings() == (await labelled.requests.settings(labelled.tenant, None))[0]


async def test_mail_of_before_is_not_labelled_when_classification_begins_again(labelled: Labelled) -> None:
    await labelled.enable()
    await labelled.enable(pb2.ClassificationSettings())
    await labelled.publish(labelled.mail(PARCEL))
    await labelled.enable()
    await labelled.publish(labelled.mail(INVOICE))
    await labelled.classify()

    assert ["2"] == [one.message_id for one in await labelled.labels()]


async def test_the_budget_of_a_tenant_is_its_own(pool: db.Pool) -> None:
    async with primitives(characters=200) as service:
        one, other = Labelled(pool, service), Labelled(pool, service)
        for each in (one, other):
            await each.begin()
            await each.enable()
            await each.publish(*(each.mail(PARCEL) for _ in range(3)))
        await one.classify()
        spent = await one.progress()

        assert "MODEL_BUDGET_SPENT" == spent.reason
        assert 2 == len(await one.labels())
        assert 2 == len(await other.labels())


async def test_retention_that_passes_the_place_loses_no_later_mail(labelled: Labelled) -> None:
    await labelled.enable()
    await labelled.publish(labelled.mail(PARCEL))
    await labelled.pool.execute(
        "UPDATE processor.stream SET floor = last.head, floor_event_id = last.head_event_id FROM"
        " (SELECT head, head_event_id FROM processor.stream ORDER BY head DESC LIMIT 1) AS last WHERE id = 1"
    )
    await labelled.publish(labelled.mail(INVOICE))
    await labelled.classify()

    assert ["2"] == [one.message_id for one in await labelled.labels()]


async def test_settings_go_with_a_disconnected_tenant_and_with_its_erasure(labelled: Labelled) -> None:
    await labelled.enable()
    other = Labelled(labelled.pool, labelled.service)
    await other.begin()
    await other.enable()
    async with db.transaction(labelled.pool) as connection:
        await tenants.forget_mailbox(connection, labelled.tenant)
    removed = await erase_rows(labelled.pool, PLAN, other.tenant)

    assert 1 == removed["classification_settings"]
    assert 0 == await labelled.pool.fetchval("SELECT count(*) FROM processor.classification_settings")


async def test_only_tenants_in_scope_and_only_with_primitives(labelled: Labelled) -> None:
    without = Classification(labelled.pool, labelled.reader, is_available=False)

    with pytest.raises(TenantNotFound):
        await labelled.requests.settings(labelled.tenant, [])
    with pytest.raises(TenantNotFound):
        await labelled.requests.update_settings(labelled.tenant, SETTINGS, [])
    with pytest.raises(PrimitivesNotAvailable):
        await without.update_settings(labelled.tenant, SETTINGS, None)
    assert not (await without.update_settings(labelled.tenant, pb2.ClassificationSettings(), None))[0].is_enabled


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        (pb2.ClassificationSettings(is_enabled=True), "settings.labels"),
        (pb2.ClassificationSettings(labels=LABELS[:1]), "settings.labels"),
        (pb2.ClassificationSettings(labels=[*LABELS, LABELS[0]]), "settings.labels"),
        (pb2.ClassificationSettings(labels=LABELS, minimum_margin=float("nan")), "settings.minimum_margin"),
        (pb2.ClassificationSettings(labels=LABELS, minimum_margin=1.5), "settings.minimum_margin"),
    ],
)
def test_settings_beyond_their_bounds_are_refused_by_their_field(
    settings: pb2.ClassificationSettings, field: str
) -> None:
    with pytest.raises(FieldInvalid) as refused:
        checked_settings(settings)

    assert [field] == list(refused.value.violations)


async def test_the_event_of_a_mail_comes_first_and_waits_for_nothing(labelled: Labelled) -> None:
    """A label that never comes holds back no event of mail."""
    await labelled.enable()
    labelled.service.failures = [ServiceUnavailable()]
    published = await labelled.publish(labelled.mail(PARCEL))
    await labelled.classify()
    later = await labelled.publish(labelled.mail(INVOICE))

    assert all(one.is_new for one in [*published, *later])
    await Retention(labelled.pool, 30, SystemClock()).round()
    assert [] == await labelled.labels()
