"""Publish changes of runs: rows that were committed with the change become events of the stream."""

import structlog

from mailmesh.processor.v1 import event_feed_service_pb2 as pb2
from mailmesh.processor.v1 import event_pb2
from services.meshkit import db
from services.meshkit.errors import InvalidArgument
from services.meshkit.notices import NoticePublisher
from services.workflows.feed import Feed
from services.workflows.store import notices

logger = structlog.get_logger(__name__)


def publisher(pool: db.Pool, feed: Feed) -> NoticePublisher[pb2.WorkflowNotice]:
    """Return the publisher of changes of runs."""
    return NoticePublisher(pool, notices, _notice, feed.publish, _log_refused)


def _notice(notice_id: str, content: bytes) -> pb2.WorkflowNotice:
    return pb2.WorkflowNotice(notice_id=notice_id, event=event_pb2.WorkflowEvent.FromString(content))


def _log_refused(one: pb2.WorkflowNotice, failure: InvalidArgument) -> None:
    logger.error(
        "a change of a run was refused and deleted",
        run_id=one.event.run_id,
        event_type=one.event.event_type,
        reason=failure.reason,
        message=failure.message,
    )
