"""Free and busy times are those of the providers' calendars, within the window, and with a failure for each address."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from mailmesh.calendar.v1 import calendar_event_pb2 as event_pb2
from mailmesh.processor.v1 import calendar_service_pb2 as pb2
from services.meshkit.errors import FieldInvalid
from services.meshkit.ids import new_id
from services.processor.calendar.errors import FreeBusyRefused
from services.processor.calendar.free_busy.asking import refusal_of
from services.processor.calendar.free_busy.google import google_free_busy
from services.processor.calendar.free_busy.graph import graph_free_busy
from services.processor.calendar.free_busy.query import Query, query_of
from services.processor.errors import AbilityNotGranted
from services.processor.mail.sources.reading import read_answer
from services.processor.mailbox.access import MailboxAccess
from services.processor.mailbox.failures import SourceError
from services.processor.mailbox.provider_http import ProviderHttp
from simulator.control_client import SimulatorControl
from tests.programs.simulator import RunningSimulator
from tests.wire.processor.outbox.sending import DOMAINS, OneToken

GOOGLE = "https://www.googleapis.com/auth/"
SCOPES = {
    "ms365": "openid profile email offline_access User.Read Calendars.Read Calendars.Read.Shared",
    "googlews": f"openid email {GOOGLE}calendar.events.readonly {GOOGLE}calendar.freebusy",
}
URLS = {"ms365": "MAILMESH_MS365_GRAPH_URL", "googlews": "MAILMESH_GOOGLEWS_CALENDAR_URL"}
ASK = {"ms365": graph_free_busy, "googlews": google_free_busy}


class Asker:
    """An account that asks, and a colleague of the same provider."""

    def __init__(self, provider: str, url: str, control: SimulatorControl, access: MailboxAccess) -> None:
        self.provider = provider
        self.url = url
        self.control = control
        self.access = access
        self.colleague = ""

    async def add(self, subject: str, start: str, end: str, **fields: Any) -> None:
        """Add an event to the colleague's calendar; the times are in UTC."""
        calendar = (await self.control.calendars(self.colleague))[0]["id"]
        if self.provider == "ms365":
            times: dict[str, Any] = {"subject": subject, "start": start, "end": end}
        else:
            times = {"summary": subject, "start": {"dateTime": f"{start}Z"}, "end": {"dateTime": f"{end}Z"}}
        await self.control.create_event(self.colleague, calendar, **times, **fields)

    async def ask(self, *addresses: str) -> list[pb2.FreeBusySchedule]:
        """Ask for the times of the first of December."""
        return await ASK[self.provider](self.access, self.url, query(*addresses))


def query(*addresses: str) -> Query:
    """Return a checked question for the first of December."""
    return query_of(request(addresses=addresses))


def request(**changed: Any) -> pb2.QueryFreeBusyRequest:
    """Return a question for the first of December."""
    asked = {"tenant_id": new_id(), "addresses": ["ada@example.com"], **changed}
    return pb2.QueryFreeBusyRequest(**{"window_start": moment(1), "window_end": moment(2), **asked})


def moment(day: int) -> Timestamp:
    """Return the midnight that begins a day of December 2026."""
    made = Timestamp()
    made.FromJsonString(f"2026-12-{day:02}T00:00:00Z")
    return made


@pytest.fixture(params=ASK)
async def asker(request: pytest.FixtureRequest, simulator: RunningSimulator) -> AsyncIterator[Asker]:
    provider = str(request.param)
    async with (
        simulator.control() as control,
        ProviderHttp.open(
            authority=simulator.ca_file, connections=8, timeout_seconds=5.0, max_bytes=2**23, read_long=read_answer
        ) as http,
    ):
        address, colleague = (f"{name}-{new_id()[-12:]}@{DOMAINS[provider]}" for name in ("a", "c"))
        for one in (address, colleague):
            await control.create_account(provider, one)
        token = (await control.issue_tokens(address, scopes=SCOPES[provider]))["access_token"]
        access = MailboxAccess(http, OneToken(token), "tenant", provider, 1, "calendar.read")  # type: ignore[arg-type]
        made = Asker(provider, simulator.settings[URLS[provider]], control, access)
        made.colleague = colleague
        yield made
        await control.reset()


def busy(found: pb2.FreeBusySchedule) -> list[tuple[str, str]]:
    """Return the busy times as text."""
    return [(one.start.ToJsonString(), one.end.ToJsonString()) for one in found.busy_times]


async def test_the_times_are_cut_to_the_window_and_free_events_are_left_out(asker: Asker) -> None:
    free: dict[str, Any] = {"showAs": "free"} if asker.provider == "ms365" else {"transparency": "transparent"}
    await asker.add("Late", "2026-12-01T23:00:00", "2026-12-02T01:00:00")
    await asker.add("Early", "2026-12-01T09:00:00", "2026-12-01T10:00:00")
    await asker.add("Free", "2026-12-01T12:00:00", "2026-12-01T13:00:00", **free)
    await asker.add("Before", "2026-11-30T23:00:00", "2026-12-01T00:00:00")
    (found,) = await asker.ask(asker.colleague.upper())

    assert asker.colleague.upper() == found.address
    assert [
        ("2026-12-01T09:00:00Z", "2026-12-01T10:00:00Z"),
        ("2026-12-01T23:00:00Z", "2026-12-02T00:00:00Z"),
    ] == busy(found)
    assert {event_pb2.EVENT_BUSY_BUSY} == {one.busy for one in found.busy_times}


async def test_an_unknown_address_has_a_failure_of_its_own(asker: Asker) -> None:
    await asker.add("Review", "2026-12-01T09:00:00", "2026-12-01T10:00:00")
    unknown, known = await asker.ask("nobody@elsewhere.example", asker.colleague)

    assert (pb2.FREE_BUSY_FAILURE_NOT_FOUND, 0) == (unknown.failure, len(unknown.busy_times))
    assert "notfound" in unknown.detail.lower()
    assert (pb2.FREE_BUSY_FAILURE_UNSPECIFIED, 1) == (known.failure, len(known.busy_times))


@pytest.mark.parametrize("asker", ["ms365"], indirect=True)
async def test_microsoft_tells_the_kind_of_busy_and_the_working_hours(asker: Asker) -> None:
    await asker.add("Away", "2026-12-01T09:00:00", "2026-12-01T10:00:00", showAs="oof")
    await asker.add("Perhaps", "2026-12-01T11:00:00", "2026-12-01T12:00:00", showAs="tentative")
    (found,) = await asker.ask(asker.colleague)

    kinds = [event_pb2.EVENT_BUSY_OUT_OF_OFFICE, event_pb2.EVENT_BUSY_TENTATIVE]
    assert kinds == [one.busy for one in found.busy_times]
    assert pb2.WorkingHours(
        days_of_week=["MO", "TU", "WE", "TH", "FR"],
        start="08:00:00",
        end="17:00:00",
        iana_zone="America/Los_Angeles",
        provider_zone="Pacific Standard Time",
    ) == (found.working_hours)


async def test_a_refusal_of_the_whole_question_names_its_remedy(asker: Asker) -> None:
    mail = {"ms365": "User.Read Mail.Read", "googlews": f"openid email {GOOGLE}calendar.events.readonly"}
    lacking = await asker.control.issue_tokens(asker.colleague, scopes=mail[asker.provider])
    asker.access._tokens = OneToken(lacking["access_token"])  # type: ignore[assignment]
    with pytest.raises(SourceError) as refused:
        await asker.ask(asker.colleague)

    told = refusal_of(refused.value, asker.provider, "tenant")
    assert {"ms365": FreeBusyRefused, "googlews": AbilityNotGranted}[asker.provider] is type(told)


@pytest.mark.parametrize(
    "wrong",
    [
        {"addresses": []},
        {"addresses": [f"a{number}@example.com" for number in range(21)]},
        {"addresses": ["no address"]},
        {"window_end": moment(1)},
        {"window_start": moment(1), "window_end": Timestamp(seconds=moment(1).seconds + 31 * 86_400 + 1)},
        {"tenant_id": "one"},
    ],
)
def test_a_question_out_of_its_bounds_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(FieldInvalid):
        query_of(request(**wrong))
