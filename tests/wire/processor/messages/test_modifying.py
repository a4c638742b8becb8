"""The requests of modifications, against the simulated providers."""

from collections.abc import AsyncIterator

import pytest

from mailmesh.processor.v1 import message_service_pb2 as pb2
from services.processor.mailbox.failures import Remedy, SourceError
from services.processor.messages.gmail import GmailMessages
from services.processor.messages.graph import GraphMessages
from services.processor.messages.rows import Outcome
from tests.programs.simulator import RunningSimulator
from tests.wire.processor.messages.acting import Acting, acting


@pytest.fixture
async def microsoft(simulator: RunningSimulator) -> AsyncIterator[Acting]:
    async with acting(simulator, "ms365") as opened:
        yield opened


@pytest.fixture
async def google(simulator: RunningSimulator) -> AsyncIterator[Acting]:
    async with acting(simulator, "googlews") as opened:
        yield opened


def graph(account: Acting) -> GraphMessages:
    return GraphMessages(account.access, account.url)


def gmail(account: Acting) -> GmailMessages:
    return GmailMessages(account.access, account.url, lambda _tenant, _units: 0.0)


async def test_only_the_differences_are_set_and_the_version_is_that_of_the_mail(microsoft: Acting) -> None:
    one, two = await microsoft.deliver(), await microsoft.deliver()
    await microsoft.control.update(microsoft.address, one, categories=["Kept"])
    change = pb2.MessageChange(is_read=True, add_categories=["Done"], place=pb2.MAIL_PLACE_TRASH)
    mailbox = graph(microsoft)
    plan = await mailbox.plan(change, [one, two, "no-such-mail"])
    applied = await mailbox.apply(plan.changes)
    again = await mailbox.plan(change, [one, two])
    mails = await microsoft.mails()

    assert {"no-such-mail": Outcome.NOT_FOUND} == {key: result.outcome for key, result in plan.results.items()}
    assert {("is_read", "categories", "folder_id")} == {change.fields for change in plan.changes}
    assert [(["Kept", "Done"], True, "deleteditems"), (["Done"], True, "deleteditems")] == [
        (mails[key]["categories"], mails[key]["isRead"], mails[key]["wellKnownFolder"]) for key in (one, two)
    ]
    assert {key: result.version for key, result in applied.results.items()} == {
        key: mails[key]["etag"].removeprefix('W/"').rstrip('"') for key in (one, two)
    }
    assert ([], {Outcome.DONE}) == (list(again.changes), {result.outcome for result in again.results.values()})


async def test_a_conflict_without_if_match_is_retried_and_concerns_its_mail_alone(microsoft: Acting) -> None:
    one, two = await microsoft.deliver(), await microsoft.deliver()
    await microsoft.control.add_fault(
        "status", endpoint="graph.messages.update", message=one, status=412, code="ErrorIrresolvableConflict", count=1
    )
    change, mailbox = pb2.MessageChange(is_read=True), graph(microsoft)
    applied = await mailbox.apply((await mailbox.plan(change, [one, two])).changes)
    again = await mailbox.apply((await mailbox.plan(change, [one])).changes)

    assert ({two}, Remedy.LATER) == (set(applied.results), applied.failure and applied.failure.remedy)
    assert ({one}, None) == (set(again.results), again.failure)


async def test_a_lost_answer_is_found_as_done_by_the_next_plan(microsoft: Acting) -> None:
    one = await microsoft.deliver()
    await microsoft.control.add_fault("status", endpoint="graph.messages.update", phase="after", status=504, count=1)
    change, mailbox = pb2.MessageChange(is_read=True), graph(microsoft)
    applied = await mailbox.apply((await mailbox.plan(change, [one])).changes)
    again = await mailbox.plan(change, [one])

    assert ({}, Remedy.LATER) == (dict(applied.results), applied.failure and applied.failure.remedy)
    assert (Outcome.DONE, []) == (again.results[one].outcome, list(again.changes))


async def test_a_throttled_part_of_a_batch_stops_the_mailbox_and_keeps_the_others_results(microsoft: Acting) -> None:
    one, two = await microsoft.deliver(), await microsoft.deliver()
    await microsoft.control.add_fault(
        "status", endpoint="graph.messages.update", message=two, status=429, retry_after=7, count=1
    )
    mailbox = graph(microsoft)
    applied = await mailbox.apply((await mailbox.plan(pb2.MessageChange(is_read=True), [one, two])).changes)

    assert applied.failure is not None
    assert (Remedy.THROTTLED, 7) == (applied.failure.remedy, applied.failure.retry_after.seconds)  # type: ignore[union-attr]
    assert {one} == set(applied.results)


@pytest.mark.parametrize(("status", "outcome"), [(403, Outcome.REFUSED), (404, Outcome.NOT_FOUND)])
async def test_a_refused_move_keeps_the_version_of_what_was_set(
    microsoft: Acting, status: int, outcome: Outcome
) -> None:
    one = await microsoft.deliver()
    await microsoft.control.add_fault("status", endpoint="graph.messages.move", message=one, status=status, count=1)
    change, mailbox = pb2.MessageChange(is_read=True, place=pb2.MAIL_PLACE_TRASH), graph(microsoft)
    result = (await mailbox.apply((await mailbox.plan(change, [one])).changes)).results[one]
    version = (await microsoft.mails())[one]["etag"].removeprefix('W/"').rstrip('"')

    assert (outcome, version) == (result.outcome, result.version)


async def test_a_folder_that_is_not_there_is_refused_for_each_mail(microsoft: Acting) -> None:
    one = await microsoft.deliver()
    plan = await graph(microsoft).plan(pb2.MessageChange(folder_id="no-such-folder"), [one])

    assert (Outcome.REFUSED, []) == (plan.results[one].outcome, list(plan.changes))


async def test_a_thousand_labels_take_one_call(google: Acting) -> None:
    ids = [await google.deliver() for _ in range(30)]
    label = (await google.control.add_folder(google.address, "Done"))["id"]
    mailbox = gmail(google)
    change = pb2.MessageChange(is_read=True, add_label_ids=[label], place=pb2.MAIL_PLACE_ARCHIVE)
    plan = await mailbox.plan(change, ids)
    applied = await mailbox.apply(plan.changes)
    mails = await google.mails()

    assert set(ids) == set(applied.results)
    assert 1 == await google.control.call_count("gmail.messages.batch_modify", google.address)
    assert all(
        {"UNREAD", "INBOX"}.isdisjoint(mails[key]["labelIds"]) and label in mails[key]["labelIds"] for key in ids
    )


async def test_a_mail_that_is_gone_does_not_keep_the_others_unchanged(google: Acting) -> None:
    one = await google.deliver()
    mailbox = gmail(google)
    applied = await mailbox.apply(
        (await mailbox.plan(pb2.MessageChange(is_read=True), [one, "18ffffffffffffff"])).changes
    )

    assert [Outcome.DONE, Outcome.NOT_FOUND] == [result.outcome for result in applied.results.values()]
    assert "UNREAD" not in (await google.mails())[one]["labelIds"]


async def test_one_refused_id_does_not_keep_a_hundred_mails_unchanged(google: Acting) -> None:
    ids = [await google.deliver() for _ in range(30)]
    mailbox = gmail(google)
    await google.control.add_fault(
        "status", endpoint="gmail.messages.batch_modify", account=google.address, status=400, code="invalidArgument",
        count=3,
    )  # fmt: skip
    await google.control.add_fault(
        "status", endpoint="gmail.messages.modify", account=google.address, status=400, code="invalidArgument", count=1
    )
    applied = await mailbox.apply((await mailbox.plan(pb2.MessageChange(is_read=True), ids)).changes)
    outcomes = [applied.results[one].outcome for one in ids]

    assert (None, [Outcome.REFUSED] + [Outcome.DONE] * 29) == (applied.failure, outcomes)
    assert 1 == sum("UNREAD" in mail["labelIds"] for mail in (await google.mails()).values())


@pytest.mark.parametrize("endpoint", ["gmail.messages.batch_modify", "gmail.messages.modify"])
async def test_a_forbidden_account_has_no_outcome_for_its_mails(google: Acting, endpoint: str) -> None:
    one, mailbox = await google.deliver(), gmail(google)
    await google.control.add_fault(
        "status", endpoint=endpoint, account=google.address, status=403, code="insufficientPermissions", count=1
    )
    plan = await mailbox.plan(pb2.MessageChange(is_read=True), ["18ffffffffffffff", one])
    try:
        applied = await mailbox.apply(plan.changes)
    except SourceError as exc:
        failure: SourceError | None = exc
    else:
        failure = applied.failure
        assert one not in applied.results

    assert Remedy.PERSON is (failure and failure.remedy)


async def test_a_label_that_is_not_there_is_refused(google: Acting) -> None:
    one, mailbox = await google.deliver(), gmail(google)
    applied = await mailbox.apply((await mailbox.plan(pb2.MessageChange(add_label_ids=["Label_404"]), [one])).changes)

    assert [Outcome.REFUSED] == [result.outcome for result in applied.results.values()]


async def test_the_own_quota_stops_before_the_provider_is_asked(google: Acting) -> None:
    one = await google.deliver()
    mailbox = GmailMessages(google.access, google.url, lambda _tenant, _units: 30.0)
    plan = await mailbox.plan(pb2.MessageChange(is_read=True), [one])
    with pytest.raises(SourceError) as stopped:
        await mailbox.apply(plan.changes)

    assert Remedy.THROTTLED is stopped.value.remedy
    assert 0 == await google.control.call_count("gmail.messages.*", google.address)
