"""Every step on the way to an event is timed."""

from prometheus_client import REGISTRY

from services.processor.worker import running
from tests.store.processor.ground import Ground

UNDER_A_HOLD = ("open", "token", "known", "fetch", "normalize", "store", "settle")


def timed(*steps: str) -> dict[str, float]:
    name = "mailmesh_processor_step_seconds_count"
    return {step: REGISTRY.get_sample_value(name, {"step": step}) or 0 for step in steps}


async def test_each_step_from_a_graph_notification_to_its_event_is_timed_once(ground: Ground) -> None:
    tenant = await ground.tenant("ms365")
    mail = await ground.control.deliver(tenant.address, subject="Timed")
    steps = ("queued", "claim", *UNDER_A_HOLD)
    before = timed(*steps)
    async with running(ground.worker_settings()):
        await ground.notify(tenant, "created", mail)
        await ground.settled()

    assert {step: count + 1 for step, count in before.items()} == timed(*steps)


async def test_each_step_from_a_gmail_push_to_its_event_is_timed_once(ground: Ground) -> None:
    tenant = await ground.tenant("googlews")
    await ground.begin(tenant)
    steps = ("queued", "claim", "history", *UNDER_A_HOLD)
    async with running(ground.worker_settings()):
        await ground.settled()
    before = timed(*steps)
    # The settling time is long, so that history is read once however slow the machine is.
    async with running(ground.worker_settings(gmail_settle_seconds=600)):
        await ground.control.deliver(tenant.address, subject="Timed")
        await ground.push_present(tenant)
        await ground.settled()

    assert {step: count + 1 for step, count in before.items()} == timed(*steps)
