"""Publish Delivery's warnings about endpoints, which belong to no tenant."""

from collections.abc import Sequence

from mailmesh.processor.v1 import event_feed_service_pb2 as pb2
from services.meshkit import db
from services.meshkit.errors import FieldInvalid
from services.meshkit.ids import check_id
from services.processor.stream.publish import EventDraft, publish

MAX_NOTICES = 100
_TYPES = ("endpoint.failing", "endpoint.disabled", "endpoint.gone")


async def publish_notices(pool: db.Pool, notices: Sequence[pb2.EndpointNotice]) -> None:
    """Append warnings to the stream. Safe to call again: each notice is published once.

    Raises:
        FieldInvalid: A notice is malformed, or there are too many.
        StoreUnavailable: PostgreSQL cannot be reached; nothing is published.
    """
    if not 1 <= len(notices) <= MAX_NOTICES:
        raise FieldInvalid.of("notices", f"must have 1 to {MAX_NOTICES} values")
    drafts = [_draft(f"notices[{at}]", one) for at, one in enumerate(notices)]
    async with db.transaction(pool) as connection:
        await publish(connection, drafts)


def _draft(place: str, notice: pb2.EndpointNotice) -> EventDraft:
    event = notice.event
    if event.event_type not in _TYPES:
        raise FieldInvalid.of(f"{place}.event.event_type", f"must be one of {', '.join(_TYPES)}")
    if event.tenant_id:
        raise FieldInvalid.of(f"{place}.event.tenant_id", "must be empty")
    check_id(f"{place}.event.endpoint_id", event.endpoint_id)
    return EventDraft(endpoint=event, change_id=check_id(f"{place}.notice_id", notice.notice_id))
