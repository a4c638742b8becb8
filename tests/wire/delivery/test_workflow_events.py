"""Events of workflows at endpoints that name them: with ids that lead to the run, in order for each run."""

import asyncio
from typing import Any

from mailmesh.delivery.v1 import endpoint_service_pb2 as pb2
from services.meshkit.ids import new_id
from tests.store.processor.stream.conftest import OTHER_TENANT, mail_draft, workflow_draft
from tests.wire.delivery.delivering import Start, receiving, start_delivery
from tests.wire.processor.stream.conftest import Processor, processor, start_processor, tls, until

__all__ = ["processor", "start_delivery", "start_processor", "tls"]


async def test_an_endpoint_that_names_workflows_gets_their_events_and_no_other_does(
    processor: Processor, start_delivery: Start
) -> None:
    async with receiving() as named, receiving() as other:
        told = list[dict[str, Any]]()

        async def note(content: dict[str, Any]) -> int:
            told.append(content)
            return 200

        named.answer = note
        delivery, run, event = await start_delivery(), new_id(), new_id()
        await delivery.create(named.url, filter=pb2.EndpointFilter(event_types=["workflow.*"]))
        await delivery.create(other.url)
        ids = await processor.publish(mail_draft("m"), workflow_draft("one", run, event))
        await until(lambda: named.count >= 1 and other.count >= 1)

        assert [[ids[1]], [ids[0]]] == [[one for seen in to.seen.values() for one in seen] for to in (named, other)]
        data = {"eventId": ids[1], "runId": run, "workflow": "triage", "subjectEventId": event}
        assert ("workflow.waiting", data) == (
            told[0]["type"],
            {name: told[0]["data"][name] for name in data},
        )


async def test_a_run_whose_event_is_refused_holds_back_no_other_run(
    processor: Processor, start_delivery: Start
) -> None:
    async with receiving() as receiver:
        is_well, stuck, other = asyncio.Event(), new_id(), new_id()
        order = list[str]()

        async def answer(content: dict[str, Any]) -> int:
            if content["data"]["runId"] == stuck and not is_well.is_set():
                return 503
            order.append(content["data"]["eventId"])
            return 200

        receiver.answer = answer
        delivery = await start_delivery()
        chosen = pb2.EndpointFilter(event_types=["workflow.waiting", "workflow.succeeded"])
        await delivery.create(receiver.url, filter=chosen)
        first, second, third, _ = await processor.publish(
            workflow_draft("1", stuck),
            workflow_draft("2", stuck, event_type="workflow.succeeded"),
            workflow_draft("3", other),
            workflow_draft("4", other, tenant_id=OTHER_TENANT, event_type="workflow.failed"),
        )
        await until(lambda: order == [third])
        is_well.set()
        await until(lambda: len(order) >= 3)

        assert [third, first, second] == order
