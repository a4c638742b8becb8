"""Events of mail in a Microsoft mailbox: moves, deletions, restores, early and late notifications, failures."""

from typing import Any

import pytest

from mailmesh.vault.v1 import tenant_pb2
from mailmesh.vault.v1 import token_vault_service_pb2 as vault_pb2
from services.processor.worker import running
from tests.store.processor.ground import Ground

CREATED, UPDATED, DELETED, ENRICHED = "mail.created", "mail.updated", "mail.deleted", "mail.enriched"


async def test_a_move_is_an_update_with_the_new_folder_and_no_deletion(ground: Ground) -> None:
    tenant = await ground.tenant("ms365")
    mail = await ground.control.deliver(tenant.address, subject="Moves")
    async with running(ground.worker_settings()):
        await ground.notify(tenant, "created", mail)
        await ground.settled()
        moved = await ground.control.move(tenant.address, mail["id"], "archive")
        await ground.notify(tenant, "deleted", moved)
        await ground.settled()

    events = await ground.events(tenant)
    assert [CREATED, UPDATED] == [event.event_type for event in events]
    assert mail["folderId"] == events[1].mail.change.previous_folder_id
    assert moved["folderId"] == events[1].mail.message.folder_id


async def test_changes_in_an_unwatched_folder_are_not_published(ground: Ground) -> None:
    tenant = await ground.tenant("ms365")
    mail = await ground.control.deliver(tenant.address, subject="Moves")
    async with running(ground.worker_settings()):
        await ground.notify(tenant, "created", mail)
        await ground.settled()
        await ground.notify(tenant, "deleted", await ground.control.move(tenant.address, mail["id"], "archive"))
        await ground.settled()
        await ground.control.update(tenant.address, mail["id"], isRead=True)
        await ground.reconcile(tenant)
        await ground.settled()

    assert [CREATED, UPDATED] == await ground.types(tenant)


async def test_a_deletion_is_published_once_the_message_was_missing_for_a_while(ground: Ground) -> None:
    tenant = await ground.tenant("ms365")
    mail = await ground.control.deliver(tenant.address, subject="Goes")
    async with running(ground.worker_settings()):
        await ground.notify(tenant, "created", mail)
        await ground.settled()
        await ground.control.delete(tenant.address, mail["id"])
        await ground.notify(tenant, "deleted", mail)
        await ground.settled()

    assert [CREATED, DELETED] == await ground.types(tenant)


async def test_trash_is_an_update_and_a_restored_mail_comes_back_as_an_update(ground: Ground) -> None:
    tenant = await ground.tenant("ms365")
    mail = await ground.control.deliver(tenant.address, subject="Trash")
    async with running(ground.worker_settings()):
        await ground.notify(tenant, "created", mail)
        await ground.settled()
        await ground.notify(tenant, "deleted", await ground.control.trash(tenant.address, mail["id"]))
        await ground.settled()
        await ground.notify(tenant, "created", await ground.control.restore(tenant.address, mail["id"]))
        await ground.settled()

    assert [CREATED, UPDATED, UPDATED] == await ground.types(tenant)


async def test_an_update_that_is_processed_first_makes_the_created_event(ground: Ground) -> None:
    tenant = await ground.tenant("ms365")
    mail = await ground.control.deliver(tenant.address, subject="Late")
    changed = await ground.control.update(tenant.address, mail["id"], isRead=True)
    async with running(ground.worker_settings()):
        await ground.notify(tenant, "updated", changed)
        await ground.settled()
        await ground.notify(tenant, "created", mail)
        await ground.settled()

    assert [CREATED] == await ground.types(tenant)


async def test_a_mail_that_arrived_and_was_deleted_unseen_makes_both_events(ground: Ground) -> None:
    tenant = await ground.tenant("ms365")
    mail = await ground.control.deliver(tenant.address, subject="Short")
    await ground.control.delete(tenant.address, mail["id"])
    async with running(ground.worker_settings()):
        await ground.notify(tenant, "deleted", mail)
        await ground.notify(tenant, "created", mail)
        await ground.settled()

    events = await ground.events(tenant)
    assert [CREATED, DELETED] == [event.event_type for event in events]
    assert ("MESSAGE_NOT_FOUND", True) == (events[0].mail.not_enriched.reason, events[0].mail.not_enriched.is_final)


async def test_a_new_mail_that_cannot_be_found_at_once_is_looked_for_again(ground: Ground) -> None:
    tenant = await ground.tenant("ms365")
    mail = await ground.control.deliver(tenant.address, subject="Early")
    await ground.control.add_fault(
        "status", endpoint="graph.messages.get", status=404, code="ErrorItemNotFound", account=tenant.address, count=1
    )
    async with running(ground.worker_settings()):
        await ground.notify(tenant, "created", mail)
        await ground.settled()

    events = await ground.events(tenant)
    assert [(CREATED, True)] == [(event.event_type, event.mail.is_enriched) for event in events]


async def test_an_update_names_the_fields_that_differ(ground: Ground) -> None:
    tenant = await ground.tenant("ms365")
    mail = await ground.control.deliver(tenant.address, subject="Fields")
    async with running(ground.worker_settings()):
        await ground.notify(tenant, "created", mail)
        await ground.settled()
        await ground.notify(
            tenant, "updated", await ground.control.update(tenant.address, mail["id"], isRead=True, categories=["Blue"])
        )
        await ground.settled()

    assert ["categories", "is_read"] == list((await ground.events(tenant))[1].mail.change.fields)


async def test_an_event_goes_out_without_its_message_and_is_enriched_later(ground: Ground) -> None:
    tenant = await ground.tenant("ms365")
    mail = await ground.control.deliver(tenant.address, subject="Hard to get")
    await ground.control.add_fault("status", endpoint="graph.messages.get", status=500, account=tenant.address, count=4)
    async with running(ground.worker_settings(fetch_attempts=2)):
        await ground.notify(tenant, "created", mail)
        await ground.settled()

    events = await ground.events(tenant)
    assert [(CREATED, False), (ENRICHED, True)] == [(event.event_type, event.mail.is_enriched) for event in events]
    assert events[0].event_id == events[1].mail.enriched_event_id
    assert ("PROVIDER_UNAVAILABLE", 2) == (events[0].mail.not_enriched.reason, events[0].mail.not_enriched.attempts)
    assert "resourceData" in events[0].mail.raw.fields


async def test_one_failing_message_delays_no_other(ground: Ground) -> None:
    tenant = await ground.tenant("ms365")
    mails = (await ground.control.generate(tenant.address, 5))["messages"]
    await ground.control.add_fault("status", endpoint="graph.messages.get", status=500, account=tenant.address, count=1)
    async with running(ground.worker_settings(retry_base_seconds=300, retry_max_seconds=300)):
        for mail in mails:
            await ground.notify(tenant, "created", mail)

        async def four() -> bool:
            return len(await ground.events(tenant)) == 4

        await ground.until(four)
    assert (1, 0) == (await ground.waiting(tenant), await ground.pending(tenant))


async def test_a_refused_token_is_asked_for_once_more(ground: Ground) -> None:
    tenant = await ground.tenant("ms365")
    mail = await ground.control.deliver(tenant.address, subject="Token")
    async with running(ground.worker_settings()):
        await ground.notify(tenant, "created", mail)
        await ground.settled()
        await ground.control.expire_access_tokens(tenant.address)
        await ground.notify(tenant, "updated", await ground.control.update(tenant.address, mail["id"], isRead=True))
        await ground.settled()

    assert [CREATED, UPDATED] == await ground.types(tenant)
    assert 2 == ground.vault.issued


@pytest.mark.parametrize("is_notified", [True, False])
async def test_drafts_make_no_event_and_the_sent_mail_is_created_once(ground: Ground, *, is_notified: bool) -> None:
    tenant = await ground.tenant("ms365", folder="")
    base = f"/accounts/{tenant.address}/drafts"
    async with running(ground.worker_settings()):
        await ground.reconcile(tenant)
        await ground.settled()
        sent, discarded = [await ground.control.request("POST", base, {"subject": name}) for name in ("Go", "Stay")]
        for save in range(5):
            for draft in (sent, discarded):
                saved = await ground.control.request("PATCH", f"{base}/{draft['id']}", {"text": f"Save {save}"})
                await _tell(ground, tenant, saved if is_notified else None)
        mail = await ground.control.request("POST", f"{base}/{sent['id']}/send")
        await ground.control.delete(tenant.address, discarded["id"])
        await _tell(ground, tenant, mail if is_notified else None, "created")
        if is_notified:
            await ground.notify(tenant, "deleted", sent)
            await ground.notify(tenant, "deleted", discarded)
        await ground.reconcile(tenant)
        await ground.settled()

    events = await ground.events(tenant)
    assert [(CREATED, sent["id"], 1)] == [(event.event_type, event.message_id, event.generation) for event in events]
    assert not events[0].mail.message.is_draft


async def test_a_draft_from_before_drafts_made_events_is_created_before_it_is_updated(ground: Ground) -> None:
    tenant = await ground.tenant("ms365", folder="")
    base = f"/accounts/{tenant.address}/drafts"
    draft = await ground.control.request("POST", base, {"subject": "Silent"})
    async with running(ground.worker_settings()):
        await _tell(ground, tenant, draft, "created")
    assert [] == await ground.types(tenant)
    async with running(ground.worker_settings(draft_events=True)):
        for save in range(2):
            saved = await ground.control.request("PATCH", f"{base}/{draft['id']}", {"text": f"Save {save}"})
            await _tell(ground, tenant, saved)

    events = await ground.events(tenant)
    assert [(CREATED, 1), (UPDATED, 1)] == [(event.event_type, event.generation) for event in events]


async def _tell(ground: Ground, tenant: tenant_pb2.Tenant, mail: dict[str, Any] | None, kind: str = "updated") -> None:
    """Let a change be found, by its notification or by a reconciliation."""
    await (ground.reconcile(tenant) if mail is None else ground.notify(tenant, kind, mail))
    await ground.settled()


@pytest.mark.parametrize(
    ("status", "code", "fault"),
    [
        (403, "ErrorAccessDenied", vault_pb2.TENANT_FAULT_PERMISSION_MISSING),
        (404, "MailboxNotEnabledForRESTAPI", vault_pb2.TENANT_FAULT_MAILBOX_UNAVAILABLE),
        (401, "InvalidAuthenticationToken", vault_pb2.TENANT_FAULT_TOKEN_REJECTED),
    ],
)
async def test_a_failure_that_needs_a_person_marks_the_tenant_and_counts_no_attempt(
    ground: Ground, status: int, code: str, fault: int
) -> None:
    tenant = await ground.tenant("ms365")
    mail = await ground.control.deliver(tenant.address, subject="Person")
    await ground.control.add_fault(
        "status", endpoint="graph.messages.*", status=status, code=code, account=tenant.address
    )
    async with running(ground.worker_settings()):
        await ground.notify(tenant, "created", mail)

        async def is_told() -> bool:
            return bool(ground.vault.faults)

        await ground.until(is_told)

        async def is_back() -> bool:
            return bool(
                await ground.ingest.fetchval(
                    "SELECT lease_until IS NULL FROM ingest.mailboxes WHERE tenant_id = $1", tenant.tenant_id
                )
            )

        await ground.until(is_back)
    assert {fault} == {report.fault for report in ground.vault.faults}
    assert 0 == await ground.ingest.fetchval("SELECT attempts FROM ingest.items WHERE tenant_id = $1", tenant.tenant_id)
    assert [] == await ground.types(tenant)


async def test_a_throttled_mailbox_is_left_alone_as_long_as_the_provider_asks(ground: Ground) -> None:
    tenant = await ground.tenant("ms365")
    mail = await ground.control.deliver(tenant.address, subject="Slow")
    await ground.control.add_fault(
        "status", endpoint="graph.messages.get", status=429, retry_after=2, account=tenant.address, count=1
    )
    async with running(ground.worker_settings()):
        await ground.notify(tenant, "created", mail)
        await ground.settled()

    calls = await ground.control.calls(endpoint="graph.messages.get", account=tenant.address)
    assert [429, 200] == [call["status"] for call in calls]
    assert calls[1]["at"] - calls[0]["at"] >= 2
    assert [CREATED] == await ground.types(tenant)


async def test_at_most_four_requests_run_at_once_for_one_mailbox(ground: Ground) -> None:
    tenant = await ground.tenant("ms365")
    await ground.control.set(latency_seconds=0.02)
    mails = (await ground.control.generate(tenant.address, 60))["messages"]
    for mail in mails:
        await ground.notify(tenant, "created", mail)
    async with running(ground.worker_settings()), running(ground.worker_settings()):
        await ground.settled()

    counts = await ground.control.call_counts(account=tenant.address)
    assert 60 == len(await ground.events(tenant))
    assert not [name for name in counts["byStatus"] if name.endswith(" 429")]
