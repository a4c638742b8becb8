"""The scope of a failure: a message, folder or batch that fails for ever concerns no neighbour and no tenant."""

from collections.abc import Sequence
from typing import Any

import pytest

from mailmesh.vault.v1 import tenant_pb2
from services.processor.worker import running
from tests.store.processor.ground import Ground

CREATED, ENRICHED = "mail.created", "mail.enriched"


async def test_a_graph_message_that_is_refused_for_ever_concerns_itself_alone(ground: Ground) -> None:
    for refused in (
        {"status": 403, "code": "ErrorAccessDenied"},
        {"status": 404, "code": "MailboxNotEnabledForRESTAPI"},
        {"status": 401, "code": "InvalidAuthenticationToken"},
        {"status": 503, "retry_after": 1},
        {"status": 429, "retry_after": 1},
    ):
        tenant = await ground.tenant("ms365")
        mails = (await ground.control.generate(tenant.address, 5))["messages"]
        await _refuse(ground, tenant, "graph.messages.get", mails[2]["id"], refused)
        async with running(ground.worker_settings(fetch_attempts=2)):
            for mail in mails:
                await ground.notify(tenant, "created", mail)
            await _concerns_itself_alone(ground, tenant, mails)


async def test_a_gmail_message_that_is_refused_for_ever_concerns_itself_alone(ground: Ground) -> None:
    for refused in (
        {"status": 403, "code": "domainPolicy"},
        {"status": 400, "code": "failedPrecondition"},
        {"status": 401, "code": "authError"},
        {"status": 503, "retry_after": 1},
        {"status": 403, "code": "userRateLimitExceeded", "retry_after": 1},
    ):
        tenant = await ground.tenant("googlews")
        await ground.begin(tenant)
        mails = (await ground.control.generate(tenant.address, 5))["messages"]
        await _refuse(ground, tenant, "gmail.messages.get", mails[2]["id"], refused)
        async with running(ground.worker_settings(fetch_attempts=2)):
            await ground.push_present(tenant)
            await _concerns_itself_alone(ground, tenant, mails)


async def test_a_passing_refusal_of_one_gmail_message_costs_one_retry_and_no_alarm(ground: Ground) -> None:
    tenant = await ground.tenant("googlews")
    await ground.begin(tenant)
    mail = await ground.control.deliver(tenant.address, subject="Passing")
    await _refuse(ground, tenant, "gmail.messages.get", mail["id"], {"status": 400, "code": "failedPrecondition"}, 1)
    async with running(ground.worker_settings()):
        await ground.push_present(tenant)
        await ground.settled()

    assert [(CREATED, True)] == [(event.event_type, event.mail.is_enriched) for event in await ground.events(tenant)]
    assert [] == ground.vault.faults
    assert 2 == await ground.control.call_count(endpoint="gmail.messages.get", account=tenant.address)


async def test_a_message_that_was_fetched_after_a_pause_may_pause_its_mailbox_again(ground: Ground) -> None:
    tenant = await ground.tenant("googlews")
    await ground.begin(tenant)
    mail = await ground.control.deliver(tenant.address, subject="Slow")
    throttled = {"status": 403, "code": "userRateLimitExceeded", "retry_after": 1}
    async with running(ground.worker_settings()):
        for _ in range(2):
            await _refuse(ground, tenant, "gmail.messages.get", mail["id"], throttled, 1)
            await ground.control.update(tenant.address, mail["id"], isFlagged=True)
            await ground.push_present(tenant)
            await ground.settled()
            await ground.control.update(tenant.address, mail["id"], isFlagged=False)

    assert 0 == await ground.control.call_count(endpoint="gmail.profile", account=tenant.address)


@pytest.mark.parametrize(
    ("kind", "fault"),
    [
        ("missing_answer", {}),
        ("status", {"status": 400, "code": "BadRequest"}),
        ("status", {"status": 403, "code": "ErrorAccessDenied"}),
        ("status", {"status": 500}),
    ],
)
async def test_messages_that_a_batch_gives_no_answer_about_are_fetched_alone(
    ground: Ground, kind: str, fault: dict[str, Any]
) -> None:
    tenant = await ground.tenant("ms365")
    mails = (await ground.control.generate(tenant.address, 5))["messages"]
    await ground.control.add_fault(kind, endpoint="graph.batch", account=tenant.address, **fault)
    async with running(ground.worker_settings()):
        await ground.reconcile(tenant)
        await ground.settled()

    events = await ground.events(tenant)
    assert sorted(mail["id"] for mail in mails) == sorted(
        event.message_id for event in events if event.mail.is_enriched
    )
    assert [] == ground.vault.faults


async def test_a_folder_that_is_refused_for_ever_delays_no_other(ground: Ground) -> None:
    tenant = await ground.tenant("ms365", folder="")
    async with running(ground.worker_settings(fetch_attempts=2)):
        await ground.reconcile(tenant)
        await ground.settled()
        folders = await ground.control.request("GET", f"/accounts/{tenant.address}/folders")
        refused, *others = [folder["id"] for folder in folders][1:4]
        await ground.control.add_fault(
            "status", endpoint="graph.messages.delta", folder=refused, status=403, code="ErrorAccessDenied"
        )
        hidden = await ground.control.deliver(tenant.address, subject="Hidden", folder=refused)
        mails = [await ground.control.deliver(tenant.address, subject="Seen", folder=folder) for folder in others]
        await ground.reconcile(tenant)
        await ground.settled()
        assert {mail["id"] for mail in mails} == {event.message_id for event in await ground.events(tenant)}
        await ground.control.clear_faults()
        await ground.reconcile(tenant)
        await ground.settled()

    assert {mail["id"] for mail in (*mails, hidden)} == {event.message_id for event in await ground.events(tenant)}
    assert [] == ground.vault.faults


async def test_a_page_that_repeats_a_message_makes_one_event(ground: Ground) -> None:
    tenant = await ground.tenant("ms365")
    mails = (await ground.control.generate(tenant.address, 3))["messages"]
    await ground.control.add_fault("repeat_item", endpoint="graph.messages.delta", account=tenant.address)
    async with running(ground.worker_settings()):
        await ground.reconcile(tenant)
        await ground.settled()

    assert sorted(mail["id"] for mail in mails) == sorted(event.message_id for event in await ground.events(tenant))


async def _refuse(
    ground: Ground, tenant: tenant_pb2.Tenant, endpoint: str, message_id: str, refused: dict[str, Any], count: int = 0
) -> None:
    times = {"count": count} if count else {}
    await ground.control.add_fault(
        "status", endpoint=endpoint, message=message_id, account=tenant.address, **refused, **times
    )


async def _concerns_itself_alone(ground: Ground, tenant: tenant_pb2.Tenant, mails: Sequence[dict[str, Any]]) -> None:
    """Wait until all mails are announced, one of them without its message, and that one enriched after the fault."""
    ids = sorted(mail["id"] for mail in mails)

    async def are_announced() -> bool:
        return ids == sorted(event.message_id for event in await ground.events(tenant))

    await ground.until(are_announced, what="announced")
    bare = [event for event in await ground.events(tenant) if not event.mail.is_enriched]
    assert [mails[2]["id"]] == [event.message_id for event in bare]
    assert not bare[0].mail.not_enriched.is_final

    async def are_acknowledged() -> bool:  # which follows the commit of the events
        return not await ground.pending(tenant)

    await ground.until(are_acknowledged, what="acknowledged while the fault lasts")
    assert [] == ground.vault.faults
    await ground.control.clear_faults()
    await ground.settled()
    last = (await ground.events(tenant))[-1]
    assert (ENRICHED, bare[0].event_id) == (last.event_type, last.mail.enriched_event_id)
