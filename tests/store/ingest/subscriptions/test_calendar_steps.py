"""The steps of subscriptions to calendars, at the simulated providers: replaced, lost, refused, and stopped."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from aiohttp import web

from mailmesh.ingest.v1 import subscription_service_pb2 as pb
from services.ingest.errors import ProviderUnavailable
from services.ingest.store import channels
from services.meshkit import db
from services.meshkit.clock import SystemClock
from simulator.control_client import SimulatorControl
from tests.programs.simulator import RunningSimulator
from tests.store.ingest.subscriptions.calendar_trial import SCOPES, Trial, opened
from tests.store.ingest.subscriptions.conftest import Ground

pytestmark = pytest.mark.timeout(180)


@pytest.fixture
async def edge() -> AsyncIterator[str]:
    """A server that stands for the edge: it echoes handshakes, and takes pushes."""

    async def handle(request: web.Request) -> web.Response:
        if token := request.query.get("validationToken"):
            return web.Response(text=token, content_type="text/plain")
        return web.Response(status=204)

    application = web.Application()
    application.router.add_post("/{tail:.*}", handle)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


@pytest.fixture
async def control(simulator: RunningSimulator) -> AsyncIterator[SimulatorControl]:
    async with simulator.control() as client:
        await client.reset()
        await client.set(push_timeout_seconds=60, push_retry_timeout_seconds=60)
        yield client


@pytest.fixture(params=["ms365", "googlews"])
def provider(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def trial(
    ground: Ground, control: SimulatorControl, simulator: RunningSimulator, edge: str, provider: str
) -> AsyncIterator[Trial]:
    """An account at a provider."""
    async with opened(ground, control, simulator, edge, provider) as made:
        yield made


@pytest.fixture
async def google_trial(
    ground: Ground, control: SimulatorControl, simulator: RunningSimulator, edge: str
) -> AsyncIterator[Trial]:
    """An account at Google."""
    async with opened(ground, control, simulator, edge, "googlews") as made:
        yield made


async def test_it_is_created_renewed_and_deleted_at_the_provider(trial: Trial, provider: str) -> None:
    await trial.follow()

    made = await trial.step()
    assert (pb.SUBSCRIPTION_STATE_ACTIVE, False) == (made.state, made.is_polled)
    assert [trial.calendar_id] == await trial.account.calendar_items()
    renewed = await trial.step()
    assert (pb.SUBSCRIPTION_STATE_ACTIVE, 0) == (renewed.state, renewed.failures)
    if provider == "googlews":
        assert made.provider_subscription_id != renewed.provider_subscription_id
        assert [renewed.provider_subscription_id] == await trial.at_google()
        assert [renewed.provider_subscription_id] == [one.channel_id for one in await trial.known()]
    else:
        (there,) = await trial.at_graph()
        assert (renewed.provider_subscription_id, f"users/{trial.user_id}/events") == (there["id"], there["resource"])
    await trial.account.lease()
    await trial.account.follow()
    deleted = await trial.step_deletion()
    assert pb.SUBSCRIPTION_STATE_DELETED == deleted.state
    assert [] == (await trial.at_google() if provider == "googlews" else await trial.at_graph())
    assert {"calendar.read"} == set(trial.abilities)


async def test_a_further_calendar_is_subscribed_to_by_its_own_path(trial: Trial, provider: str) -> None:
    team = await trial.control.add_calendar(trial.address, "Team")
    await trial.follow(team["id"], is_default=False)

    assert pb.SUBSCRIPTION_STATE_ACTIVE == (await trial.step()).state
    if provider == "ms365":
        (there,) = await trial.at_graph()
        assert f"users/{trial.user_id}/calendars/{team['id']}/events" == there["resource"].replace("%3D", "=")


async def test_a_calendar_that_the_provider_does_not_push_is_polled_and_says_why(trial: Trial, provider: str) -> None:
    if provider == "ms365":
        await trial.control.set(graph_calendar_subscriptions="default")
    facts: dict[str, Any] = {"pushes": False} if provider == "googlews" else {}
    never = await trial.control.add_calendar(trial.address, "Never pushed", **facts)
    await trial.follow(never["id"], is_default=False)

    row = await trial.step()

    assert (pb.SUBSCRIPTION_STATE_POLLING, "CALENDAR_NOT_PUSHED", None) == (row.state, row.failure_reason, row.renew_at)
    assert "it is polled" in row.failure_detail
    assert [] == await trial.known()
    assert [trial.calendar_id] == await trial.account.calendar_items()


async def test_a_refusal_that_may_pass_is_tried_once_more_after_a_day(trial: Trial, provider: str) -> None:
    await trial.follow()
    endpoint = "calendar.events.watch" if provider == "googlews" else "graph.subscriptions.create"
    code = "forbidden" if provider == "googlews" else "ErrorAccessDenied"
    await trial.control.add_fault(
        kind="status", endpoint=endpoint, status=403, code=code, account=trial.address, count=1
    )

    refused = await trial.step()
    pushed = await trial.step()

    assert (pb.SUBSCRIPTION_STATE_POLLING, True, "CALENDAR_NOT_PUSHED") == (
        refused.state, refused.is_polled, refused.failure_reason
    )  # fmt: skip
    assert refused.renew_at is not None
    assert 20 < (refused.renew_at - SystemClock().now()) / timedelta(hours=1) < 28
    assert (pb.SUBSCRIPTION_STATE_ACTIVE, False, "") == (pushed.state, pushed.is_polled, pushed.failure_reason)


async def test_a_refused_request_that_a_person_can_resolve_is_tried_again(trial: Trial, provider: str) -> None:
    status = 503
    await trial.follow()
    endpoint = "calendar.events.watch" if provider == "googlews" else "graph.subscriptions.create"
    await trial.control.add_fault(kind="status", endpoint=endpoint, status=status, account=trial.address, count=1)

    with pytest.raises(ProviderUnavailable):
        await trial.step()

    assert pb.SUBSCRIPTION_STATE_ACTIVE == (await trial.step()).state


async def test_a_channel_whose_answer_was_lost_is_stopped_after_its_first_push_named_its_resource(
    google_trial: Trial,
) -> None:
    trial = google_trial
    await trial.follow()
    await trial.control.add_fault(
        kind="close", endpoint="calendar.events.watch", phase="after", account=trial.address, count=1
    )
    with pytest.raises(ProviderUnavailable):
        await trial.step()
    (lost,) = await trial.known()
    assert ("", [lost.channel_id]) == (lost.resource_id, await trial.at_google())
    resource = next(one["resourceId"] for one in await trial.control.channels() if one["id"] == lost.channel_id)
    async with db.connection(trial.ground.pool) as connection:
        await channels.note_resource(connection, trial.account.tenant_id, lost.channel_id, resource)

    made = await trial.step()

    assert [made.provider_subscription_id] == await trial.at_google()


async def test_a_replaced_channel_that_cannot_be_stopped_yet_costs_no_renewal(google_trial: Trial) -> None:
    trial = google_trial
    await trial.follow()
    first = await trial.step()
    await trial.control.add_fault(
        kind="status", endpoint="calendar.channels.stop", status=503, account=trial.address, count=1
    )

    second = await trial.step()
    assert {first.provider_subscription_id, second.provider_subscription_id} == set(await trial.at_google())
    third = await trial.step()

    assert [third.provider_subscription_id] == await trial.at_google()


async def test_a_channel_that_a_later_step_opened_is_not_stopped(google_trial: Trial) -> None:
    trial = google_trial
    await trial.follow()
    first = await trial.step()
    second = await trial.step()
    assert first.provider_subscription_id is not None
    await trial.control.add_fault(
        kind="status", endpoint="calendar.channels.stop", status=503, account=trial.address, count=1
    )
    third = await trial.step()

    # The end of the second step comes late.
    await trial.calendars.end_replaced(second, second.provider_subscription_id or "")

    assert {second.provider_subscription_id, third.provider_subscription_id} == set(await trial.at_google())


async def test_channels_from_before_pushes_were_given_up_are_stopped_with_the_subscription(google_trial: Trial) -> None:
    trial = google_trial
    await trial.follow()
    pushed = await trial.step()
    await trial.control.add_fault(
        kind="status", endpoint="calendar.events.watch", status=403, code="forbidden", account=trial.address, count=1
    )
    assert (await trial.step()).is_polled
    assert [pushed.provider_subscription_id] == await trial.at_google()

    await trial.account.lease()
    await trial.account.follow()
    deleted = await trial.step_deletion()

    assert (pb.SUBSCRIPTION_STATE_DELETED, [], []) == (
        deleted.state,
        await trial.at_google(),
        await trial.known(deleted),
    )


async def test_a_subscription_that_graph_lost_is_created_again(
    ground: Ground, control: SimulatorControl, simulator: RunningSimulator, edge: str
) -> None:
    async with opened(ground, control, simulator, edge, "ms365") as trial:
        await trial.follow()
        made = await trial.step()
        assert made.provider_subscription_id is not None
        await control.remove_subscription(made.provider_subscription_id)

        again = await trial.step()

        assert [again.provider_subscription_id] == [one["id"] for one in await trial.at_graph()]
        assert made.provider_subscription_id != again.provider_subscription_id


async def test_a_mail_subscription_that_an_older_ingest_made_for_a_calendar_is_replaced(
    ground: Ground, control: SimulatorControl, simulator: RunningSimulator, edge: str
) -> None:
    async with opened(ground, control, simulator, edge, "ms365") as trial:
        trial.token = (await control.issue_tokens(trial.address, scopes=f"{SCOPES['ms365']} Mail.Read"))["access_token"]
        await trial.follow()
        async with db.connection(ground.pool) as connection:
            await connection.execute(
                "UPDATE ingest.subscriptions SET resource = 1 WHERE tenant_id = $1", trial.account.tenant_id
            )
        made = await trial.step()
        assert [f"users/{trial.user_id}/messages"] == [one["resource"] for one in await trial.at_graph()]
        async with db.connection(ground.pool) as connection:
            await connection.execute(
                "UPDATE ingest.subscriptions SET resource = 2 WHERE tenant_id = $1", trial.account.tenant_id
            )

        again = await trial.step()

        (there,) = await trial.at_graph()
        assert (again.provider_subscription_id, f"users/{trial.user_id}/events") == (there["id"], there["resource"])
        assert made.provider_subscription_id != again.provider_subscription_id
        assert [trial.calendar_id] == await trial.account.calendar_items()


async def test_without_a_public_address_calendars_are_polled_and_say_so(
    ground: Ground, control: SimulatorControl, simulator: RunningSimulator
) -> None:
    async with opened(ground, control, simulator, "", "googlews") as trial:
        await trial.follow()

        row = await trial.step()

        assert (pb.SUBSCRIPTION_STATE_POLLING, "PUBLIC_URL_UNSET") == (row.state, row.failure_reason)
        assert [] == await trial.at_google()
