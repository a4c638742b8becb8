"""Labels wait for what fails, and no tenant, mail or process waits for another one longer than a turn."""

from datetime import timedelta
from typing import Any

import pytest

from services.meshkit import db
from services.meshkit.clock import SystemClock
from services.meshkit.errors import DeadlineExceeded, Internal, Overloaded, ServiceUnavailable
from services.primitives.errors import ContentUnreadable, ModelBudgetSpent
from services.processor.classification import arrivals
from services.processor.classification.arrivals import MAX_ATTEMPTS
from services.processor.stream import turns
from services.processor.stream.retention import Retention
from tests.store.processor.classification.labelling import (
    INVOICE,
    PARCEL,
    Labelled,
    primitives,
)


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
