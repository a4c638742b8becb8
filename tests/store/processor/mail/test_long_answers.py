"""Long answers of the providers: a worker hands them to a mapping process unparsed, and publishes the same events."""

import re
from collections.abc import Sequence
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import httpx
import pytest

from mailmesh.vault.v1 import tenant_pb2
from services.processor.outbox.rows import State
from stack.ports import free_ports
from tests.store.processor.calendar.following import HASTE, FollowedCalendar
from tests.store.processor.ground import Ground, Told
from tests.store.processor.outbox.sending import HASTE as SENDING_HASTE
from tests.store.processor.outbox.sending import Outgoing
from tests.store.processor.workers import worker_process

LONG_HTML = "<p>Long <b>words</b></p>" * 150_000
SHORT_HTML = "<p>Short</p>"


def _mail(subject: str, html: str, fields: int = 0) -> str:
    made = EmailMessage()
    made["From"], made["To"], made["Subject"] = "ana@contoso.test", "ben@contoso.test", subject
    for number in range(fields):
        made[f"X-Field-{number}"] = "value"
    made.set_content("Plain")
    made.add_alternative(html, subtype="html", cte="8bit")
    return made.as_string()


async def _published(
    ground: Ground, tenant: tenant_pb2.Tenant, mails: Sequence[str], folder: Path
) -> tuple[list[Told], str]:
    """Process mails in a worker of its own process; return the events and the worker's metrics."""
    (port,) = free_ports(1)
    delivered: list[Any] = [await ground.control.deliver(tenant.address, eml=mail) for mail in mails]
    with worker_process(ground, folder, metrics_listen=f"127.0.0.1:{port}"):
        if tenant.provider == "ms365":
            for mail in delivered:
                await ground.notify(tenant, "created", mail)
        else:
            await ground.push_present(tenant)
        await ground.settled()
        async with httpx.AsyncClient() as client:
            metrics = (await client.get(f"http://127.0.0.1:{port}/metrics")).text
    return await ground.events(tenant), metrics


def _count(metrics: str, provider: str, operation: str) -> int:
    """The answers that the worker did not parse."""
    labels = re.escape(f'{{operation="{operation}",provider="{provider}"}}')
    found = re.search(rf"^mailmesh_processor_long_answers_total{labels} (\S+)", metrics, re.MULTILINE)
    return int(float(found[1])) if found else 0


@pytest.mark.parametrize("provider", ["ms365", "googlews"])
async def test_long_answers_are_parsed_in_a_process_and_mapped_as_short_ones(
    ground: Ground, provider: str, tmp_path: Path
) -> None:
    tenant = await ground.tenant(provider)
    if provider == "googlews":
        await ground.begin(tenant)
    mails = [_mail("Short", SHORT_HTML), _mail("Long", LONG_HTML), _mail("Fields", SHORT_HTML, fields=9000)]
    events, metrics = await _published(ground, tenant, mails, tmp_path)
    found = {event.mail.message.subject: event.mail for event in events}

    assert {"Short", "Long", "Fields"} == set(found)
    assert all(event.event_type == "mail.created" for event in events)
    assert found["Short"].message.body.html == SHORT_HTML
    assert found["Long"].message.body.html.startswith("<p>Long <b>words</b></p>")
    assert found["Long"].truncation.is_html_cut
    assert found["Fields"].truncation.are_headers_cut
    assert not found["Short"].HasField("truncation")
    if provider == "googlews":  # the body is held back; the fields stand in the message
        assert (1, 1) == (_count(metrics, provider, "attachment"), _count(metrics, provider, "message"))
    else:  # all together, or each alone: by how they arrived
        assert 1 <= _count(metrics, provider, "batch") + _count(metrics, provider, "message")


async def test_a_long_page_of_a_calendar_and_a_long_draft_are_parsed_in_a_process(
    ground: Ground, tmp_path: Path
) -> None:
    followed, outgoing = await FollowedCalendar.of(ground, "googlews"), await Outgoing.of(ground)
    times = {name: {"dateTime": f"2026-11-30T{hour}:00:00Z"} for name, hour in (("start", 14), ("end", 15))}
    for number in range(3):
        await ground.control.create_event(
            followed.tenant.address, followed.provider_id, **times, summary=f"Plan {number}", description="ä" * 150_000
        )
    (port,) = free_ports(1)
    with worker_process(ground, tmp_path, metrics_listen=f"127.0.0.1:{port}", **HASTE, **SENDING_HASTE):
        await followed.follow()
        row = await outgoing.answer(text="How much? " * 100_000)
        sent = await outgoing.ended(row.send_id)
        async with httpx.AsyncClient() as client:
            metrics = (await client.get(f"http://127.0.0.1:{port}/metrics")).text
    events = (await followed.page()).events

    assert {("Plan 0", 150_000), ("Plan 1", 150_000), ("Plan 2", 150_000)} == {
        (event.subject, len(event.body_text)) for event in events
    }
    assert State.SENT is sent.state
    assert 1 <= _count(metrics, "googlews", "calendar_events")
    assert 1 == _count(metrics, "ms365", "send_draft")  # with the quote
