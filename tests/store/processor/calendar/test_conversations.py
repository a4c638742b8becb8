"""A calendar event has the thread of the mail that invites to it, whichever of the two comes first."""

import base64
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from mailmesh.processor.v1 import calendar_service_pb2 as pb2
from services.meshkit import db
from services.meshkit.clock import SystemClock
from services.meshkit.ids import new_id
from services.message.invitations import uid_digest
from services.processor.calendar.choice import choice_of
from services.processor.calendar.invitations import KEPT, InvitationRetention
from services.processor.calendar.reading import Place
from services.processor.calendar.store import invitations
from services.processor.calendar.versions import EventVersions
from services.processor.errors import TenantNotFound
from services.processor.stream.pages import EventReader
from services.processor.worker import running
from tests.store.processor.calendar.following import HASTE, MONDAYS, WINDOW, FollowedCalendar
from tests.store.processor.calendar.meetings import TIMES
from tests.store.processor.ground import Ground

pytestmark = pytest.mark.timeout(300)
UID = "qa87q2t552detf773508pdrchc@google.com"
GRAPH_UID = (
    "040000008200E00074C5B7101A82E0080000000000000000000000000000000000000000320000007643616C2D55696401000000"
    "716138377132743535326465746637373335303870647263686340676F6F676C652E636F6D00"
)
OF_EVENT: dict[str, dict[str, Any]] = {"ms365": {"iCalUId": GRAPH_UID}, "googlews": {"iCalUID": UID}}
PROVIDERS = tuple(OF_EVENT)
TITLE = {"ms365": "subject", "googlews": "summary"}


class Invited:
    """An account that is invited to an event: its calendar has the event, and its mailbox the invitation."""

    def __init__(self, followed: FollowedCalendar) -> None:
        self.followed = followed
        self.ground = followed.ground
        self.tenant = followed.tenant

    @classmethod
    async def of(cls, ground: Ground, provider: str) -> "Invited":
        """Add the account; its calendar is not followed yet."""
        made = cls(await FollowedCalendar.of(ground, provider))
        if provider == "googlews":
            await ground.begin(made.tenant)
        return made

    async def event(self, **fields: Any) -> dict[str, Any]:
        """Add the event at the provider."""
        provider = self.tenant.provider
        account, calendar = self.tenant.address, self.followed.provider_id
        return await self.ground.control.create_event(
            account, calendar, **{**TIMES[provider], **OF_EVENT[provider], **fields}
        )

    async def mail(self, method: str = "REQUEST", padding: int = 0) -> str:
        """Deliver a mail with the event as iCalendar, and return the thread of its mail event."""
        before = len(await self.ground.events(self.tenant))
        lines = ["BEGIN:VCALENDAR", f"METHOD:{method}", "BEGIN:VEVENT", f"UID:{UID}", "END:VEVENT", "END:VCALENDAR"]
        content = "\r\n".join([*lines, " " * padding, ""]).encode()
        calendar = {"name": "invite.ics", "contentType": "text/calendar", "base64": base64.b64encode(content).decode()}
        mail = await self.ground.control.deliver(
            self.tenant.address, subject="Plan", text="Come", attachments=[calendar]
        )
        if self.tenant.provider == "googlews":
            await self.ground.push_present(self.tenant)
        else:
            await self.ground.notify(self.tenant, "created", mail)

        async def is_there() -> bool:
            return len(await self.ground.events(self.tenant)) > before

        await self.ground.until(is_there, what="the mail is published")
        return (await self.ground.events(self.tenant))[-1].mail.message.thread.thread_id

    async def shown(self, *, is_expanded: bool = False) -> list[str]:
        """Return the conversations of the calendar's events as lists show them."""
        return [one.conversation_id for one in (await self.followed.page(is_expanded=is_expanded)).events]


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_an_event_after_its_invitation_is_published_with_the_conversation(ground: Ground, provider: str) -> None:
    invited = await Invited.of(ground, provider)
    async with running(ground.worker_settings(**HASTE)):
        await invited.followed.follow()
        thread = await invited.mail()
        await invited.event()
        (told,) = await invited.followed.awaited("event.created")

    event = await invited.followed.calendars.event(told.event.calendar_event_id, None)
    assert event is not None
    assert (thread, thread, [thread]) == (told.event.conversation_id, event.conversation_id, await invited.shown())


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_an_invitation_after_its_event_is_one_update_of_it(ground: Ground, provider: str) -> None:
    invited = await Invited.of(ground, provider)
    async with running(ground.worker_settings(**HASTE)):
        await invited.followed.follow()
        made = await invited.event()
        (created,) = await invited.followed.awaited("event.created")
        thread = await invited.mail(padding=3000)
        _, updated = await invited.followed.awaited("event.created", "event.updated")
        await ground.control.update_event(
            invited.tenant.address, invited.followed.provider_id, made["id"], **{TITLE[provider]: "Other"}
        )
        *_, renamed = await invited.followed.awaited("event.created", "event.updated", "event.updated")

    assert ("", thread, ["conversation_id"]) == (
        created.event.conversation_id,
        updated.event.conversation_id,
        list(updated.change.fields),
    )
    assert (thread, ["subject"]) == (renamed.event.conversation_id, list(renamed.change.fields))


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_answers_and_later_invitations_leave_the_conversation(ground: Ground, provider: str) -> None:
    invited = await Invited.of(ground, provider)
    async with running(ground.worker_settings(**HASTE)):
        await invited.followed.follow()
        await invited.event()
        await invited.followed.awaited("event.created")
        await invited.mail("REPLY")
        assert [""] == await invited.shown()
        first, second = await invited.mail(), await invited.mail()
        await invited.followed.awaited("event.created", "event.updated")

    assert first != second
    assert [first] == await invited.shown()


async def test_each_instance_of_a_series_has_the_conversation_and_a_filter_finds_it(ground: Ground) -> None:
    invited = await Invited.of(ground, "ms365")
    async with running(ground.worker_settings(**HASTE)):
        await invited.event(recurrence=MONDAYS)
        await invited.event(iCalUId="another")
        row = await invited.followed.follow()
        thread = await invited.mail()

    assert ["", thread, thread, thread, thread, thread] == sorted(await invited.shown(is_expanded=True))
    wanted = choice_of(pb2.ListCalendarEventsRequest(conversation_id=thread))
    found = await invited.followed.reader.chosen(row.calendar_id, None, WINDOW, Place(), 10, wanted, is_expanded=True)
    (series,) = {one.series_master_id for one in found.events}
    page = await invited.followed.reader.instances(series, None, WINDOW, Place(), 10)
    occurrence = await invited.followed.reader.occurrence(series, page.events[0].original_start.local, None)
    assert ([thread] * 5, [thread] * 5, thread) == (
        [one.conversation_id for one in found.events],
        [one.conversation_id for one in page.events],
        occurrence.conversation_id,
    )


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_all_versions_of_a_conversation_are_listed_from_before_its_mail_too(
    ground: Ground, provider: str
) -> None:
    invited = await Invited.of(ground, provider)
    async with running(ground.worker_settings(**HASTE)):
        await invited.followed.follow()
        made = await invited.event()
        await invited.followed.awaited("event.created")
        thread = await invited.mail()
        await ground.control.update_event(
            invited.tenant.address, invited.followed.provider_id, made["id"], **{TITLE[provider]: "Other"}
        )
        told = await invited.followed.awaited("event.created", "event.updated", "event.updated")

    versions, tenant_id = EventVersions(ground.processor, EventReader(ground.processor)), invited.tenant.tenant_id
    found, cursor = [], ""
    while True:
        page = await versions.page(tenant_id, thread, cursor, 2, is_in_scope=True)
        assert len(page.versions) <= 2
        found += page.versions
        if not (cursor := page.next):
            break
    assert [one.event_id for one in told] == [one.event_id for one in found]
    assert {thread} == {one.event.conversation_id for one in found}
    (present,) = await versions.present(tenant_id, thread)
    assert ("Other", thread) == (present.subject, present.conversation_id)
    assert [] == (await versions.page(tenant_id, new_id(), "", 10, is_in_scope=True)).versions
    with pytest.raises(TenantNotFound):
        await versions.page(tenant_id, thread, "", 10, is_in_scope=False)


async def test_an_invitation_is_kept_while_its_event_is_and_goes_by_age_otherwise(ground: Ground) -> None:
    invited = await Invited.of(ground, "ms365")
    async with running(ground.worker_settings(**HASTE)):
        await invited.event()
        await invited.followed.follow()
        thread = await invited.mail()
    tenant_id, now = invited.tenant.tenant_id, datetime.now(UTC)
    async with db.connection(ground.processor) as connection:
        await invitations.add(connection, tenant_id, {uid_digest("gone@x.test"): new_id()}, now + KEPT)
        await connection.execute("UPDATE processor.invitations SET kept_until = now() - interval '1 day'")
    retention = InvitationRetention(ground.processor, SystemClock())

    assert (1, 0) == (await retention.round(), await retention.round())
    assert [thread] == await invited.shown()
    left = await ground.processor.fetch("SELECT kept_until FROM processor.invitations WHERE tenant_id = $1", tenant_id)
    assert [True] == [row["kept_until"] > now + KEPT - timedelta(minutes=1) for row in left]
