"""Publish what other services report: Delivery's warnings about endpoints, and Workflows' changes of runs."""

from collections.abc import Sequence

from mailmesh.processor.v1 import event_feed_service_pb2 as pb2
from services.meshkit import db
from services.meshkit.erasing import marked
from services.meshkit.errors import FieldInvalid
from services.meshkit.ids import check_id
from services.processor.stream.publish import EventDraft, publish

MAX_NOTICES = 100
_ENDPOINT_TYPES = ("endpoint.failing", "endpoint.disabled", "endpoint.gone")
_WORKFLOW_TYPES = ("workflow.waiting", "workflow.succeeded", "workflow.failed", "workflow.cancelled")
_MAX_CHARACTERS = 100


async def publish_endpoint_notices(pool: db.Pool, notices: Sequence[pb2.EndpointNotice]) -> None:
    """Append warnings, which belong to no tenant, to the stream. Safe to call again: each notice is published once.

    Raises:
        FieldInvalid: A notice is malformed, or there are too many.
        StoreUnavailable: PostgreSQL cannot be reached; nothing is published.
    """
    _check_length(len(notices))
    drafts = [_of_endpoint(f"notices[{at}]", one) for at, one in enumerate(notices)]
    async with db.connection(pool) as connection:
        await publish(connection, drafts)


async def publish_workflow_notices(pool: db.Pool, notices: Sequence[pb2.WorkflowNotice]) -> None:
    """Append changes of runs to the stream, except those of erased tenants. Safe to call again.

    Raises:
        FieldInvalid: A notice is malformed, or there are too many.
        StoreUnavailable: PostgreSQL cannot be reached; nothing is published.
    """
    _check_length(len(notices))
    drafts = [_of_workflow(f"notices[{at}]", one) for at, one in enumerate(notices)]
    async with db.transaction(pool) as connection:
        # A change of an erased tenant would bring back its rows.
        erased = await marked(connection, "processor", {draft.tenant_id for draft in drafts})
        await publish(connection, [draft for draft in drafts if draft.tenant_id not in erased])


def _check_length(length: int) -> None:
    if not 1 <= length <= MAX_NOTICES:
        raise FieldInvalid.of("notices", f"must have 1 to {MAX_NOTICES} values")


def _of_endpoint(place: str, notice: pb2.EndpointNotice) -> EventDraft:
    event = notice.event
    if event.event_type not in _ENDPOINT_TYPES:
        raise FieldInvalid.of(f"{place}.event.event_type", f"must be one of {', '.join(_ENDPOINT_TYPES)}")
    if event.tenant_id:
        raise FieldInvalid.of(f"{place}.event.tenant_id", "must be empty")
    check_id(f"{place}.event.endpoint_id", event.endpoint_id)
    return EventDraft(endpoint=event, change_id=check_id(f"{place}.notice_id", notice.notice_id))


def _of_workflow(place: str, notice: pb2.WorkflowNotice) -> EventDraft:
    event = notice.event
    if event.event_type not in _WORKFLOW_TYPES:
        raise FieldInvalid.of(f"{place}.event.event_type", f"must be one of {', '.join(_WORKFLOW_TYPES)}")
    for name in ("tenant_id", "run_id", "subject_event_id"):
        check_id(f"{place}.event.{name}", getattr(event, name))
    for name in ("workflow", "reason"):
        if len(getattr(event, name)) > _MAX_CHARACTERS:
            raise FieldInvalid.of(f"{place}.event.{name}", f"must not have more than {_MAX_CHARACTERS} characters")
    return EventDraft(workflow=event, change_id=check_id(f"{place}.notice_id", notice.notice_id))
