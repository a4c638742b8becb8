"""Changes of runs on a real PostgreSQL: kept while Processor is away, and dropped if it refuses them."""

from collections.abc import Sequence

import pytest
import structlog

from mailmesh.processor.v1 import event_feed_service_pb2 as feed_pb2
from mailmesh.processor.v1 import event_pb2
from services.meshkit import db
from services.meshkit.errors import FieldInvalid, ServiceUnavailable
from services.meshkit.ids import new_id
from services.workflows.publishing import publisher
from services.workflows.store import notices


class Feed:
    """A stream that takes changes, unless it is away; it refuses calls with a type that it does not know.

    Attributes:
        published: The runs of the changes that it took.
        is_away: Whether it cannot be reached.
    """

    def __init__(self) -> None:
        self.published: list[str] = []
        self.is_away = False

    async def publish(self, given: Sequence[feed_pb2.WorkflowNotice]) -> None:
        if self.is_away:
            raise ServiceUnavailable
        if "workflow.later" in {one.event.event_type for one in given}:
            raise FieldInvalid.of("notices[0].event.event_type", "must be a known one")
        self.published += [one.event.run_id for one in given]


async def kept(pool: db.Pool, tenant_id: str, *event_types: str) -> list[str]:
    """Keep changes of runs; return the runs."""
    runs = [new_id() for _ in event_types]
    async with db.connection(pool) as connection:
        for run_id, event_type in zip(runs, event_types, strict=True):
            event = event_pb2.WorkflowEvent(tenant_id=tenant_id, run_id=run_id, event_type=event_type)
            await notices.insert(connection, tenant_id, new_id(), event.SerializeToString())
    return runs


async def test_changes_stay_while_the_stream_is_away_and_go_in_order(pool: db.Pool, tenant_id: str) -> None:
    runs, feed = await kept(pool, tenant_id, "workflow.waiting", "workflow.failed"), Feed()
    sender, feed.is_away = publisher(pool, feed), True  # type: ignore[arg-type] # a part of the feed
    with pytest.raises(ServiceUnavailable):
        await sender.round()
    feed.is_away = False

    assert (2, 0) == (await sender.round(), await sender.round())
    assert runs == feed.published


async def test_a_refused_change_is_logged_and_holds_up_no_other(pool: db.Pool, tenant_id: str) -> None:
    first, refused, last = await kept(pool, tenant_id, "workflow.waiting", "workflow.later", "workflow.succeeded")
    feed = Feed()
    sender = publisher(pool, feed)  # type: ignore[arg-type] # a part of the feed
    with structlog.testing.capture_logs() as lines:
        assert (3, 0) == (await sender.round(), await sender.round())

    assert [first, last] == feed.published
    [line] = lines
    assert ("error", refused, "workflow.later", "FIELD_INVALID") == (
        *(line[name] for name in ("log_level", "run_id", "event_type", "reason")),
    )
