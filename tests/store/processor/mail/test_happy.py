"""A change at either provider becomes one event."""

from services.processor.worker import running
from tests.store.processor.ground import Ground


async def test_a_graph_notification_becomes_an_event_with_its_content(woken_ground: Ground) -> None:
    ground = woken_ground
    tenant = await ground.tenant("ms365")
    async with running(ground.worker_settings()):
        mail = await ground.control.deliver(tenant.address, subject="Offer", text="How much?")
        await ground.notify(tenant, "created", mail)
        await ground.settled()

        events = await ground.events(tenant)
    assert [("mail.created", mail["id"], 1)] == [(e.event_type, e.message_id, e.generation) for e in events]
    assert (True, "Offer", tenant.user_id) == (
        events[0].mail.is_enriched,
        events[0].mail.message.subject,
        tenant.user_id,
    )
    assert events[0].mail.message.thread.thread_id


async def test_many_graph_notifications_become_as_many_events(ground: Ground) -> None:
    tenant = await ground.tenant("ms365")
    mails = (await ground.control.generate(tenant.address, 45))["messages"]
    for mail in mails:
        await ground.notify(tenant, "created", mail)
    async with running(ground.worker_settings()):
        await ground.settled()

    assert [mail["id"] for mail in mails] == [event.message_id for event in await ground.events(tenant)]
    counts = await ground.control.call_counts(endpoint="graph.*", account=tenant.address)
    assert not [name for name in counts["byStatus"] if name.endswith(" 429")]


async def test_a_gmail_push_becomes_an_event_with_its_content(woken_ground: Ground) -> None:
    ground = woken_ground
    tenant = await ground.tenant("googlews")
    await ground.begin(tenant)
    async with running(ground.worker_settings()):
        mail = await ground.control.deliver(tenant.address, subject="Angebot", text="Wie viel?")
        await ground.push_present(tenant)
        await ground.settled()

        events = await ground.events(tenant)
    assert [("mail.created", mail["id"], 1)] == [(e.event_type, e.message_id, e.generation) for e in events]
    assert (True, "Angebot") == (events[0].mail.is_enriched, events[0].mail.message.subject)
    assert events[0].mail.subscription_ids


async def test_a_reconciliation_finds_changes_that_were_never_reported(ground: Ground) -> None:
    for provider in ("ms365", "googlews"):
        tenant = await ground.tenant(provider)
        if provider == "googlews":
            await ground.begin(tenant)
        mails = (await ground.control.generate(tenant.address, 7))["messages"]
        async with running(ground.worker_settings()):
            await ground.reconcile(tenant)
            await ground.settled()
        assert sorted(mail["id"] for mail in mails) == sorted(event.message_id for event in await ground.events(tenant))
