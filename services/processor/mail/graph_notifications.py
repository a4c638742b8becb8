"""Process the notifications of a Microsoft mailbox."""

from collections.abc import Mapping, Sequence
from datetime import UTC

import structlog

from mailmesh.ingest.v1 import inbox_item_pb2 as item_pb2
from services.meshkit import db
from services.processor.mail.context import MailboxContext
from services.processor.mail.sources.graph import GraphMailbox
from services.processor.mail.state import ReportedChange
from services.processor.mail.store import folders
from services.processor.mailbox.failures import Remedy, SourceError

logger = structlog.get_logger(__name__)


def changes_of(items: Sequence[item_pb2.InboxItem]) -> dict[str, ReportedChange]:
    """Return one reported change for each message of the items, in the order of their first report."""
    changes: dict[str, ReportedChange] = {}
    for item in items:
        reported = change_of(item)
        changes[reported.message_id] = reported.merged(changes.get(reported.message_id))
    return changes


def change_of(item: item_pb2.InboxItem) -> ReportedChange:
    """Return the change that a notification reports."""
    mail = item.mail
    return ReportedChange(
        mail.message_id,
        frozenset({mail.event_type.removeprefix("mail.")}),
        item.received_at.ToDatetime(UTC),
        item.correlation_id or mail.correlation_id,
        subscription_ids=tuple(mail.subscription_ids),
        version=version_of(mail.version),
        notification=mail.raw if mail.HasField("raw") else None,
    )


def version_of(etag: str) -> str:
    """Return the change key of an etag: W/"CQAA..." names the version CQAA..."""
    return etag.removeprefix("W/").strip('"')


async def process_notifications(context: MailboxContext, graph: GraphMailbox) -> None:
    """Fetch and commit the messages of the lease's notifications, a bounded number at a time.

    Raises:
        SourceError: A failure of the whole mailbox; the items that are not done stay in the lease.
    """
    items = [item for item in context.lease.waiting if item.WhichOneof("content") == "mail"]
    changes = changes_of(items)
    ids = list(changes)
    for begin in range(0, len(ids), context.settings.commit_messages):
        chunk = ids[begin : begin + context.settings.commit_messages]
        fetched = await context.fetch_and_commit(graph, [changes[message_id] for message_id in chunk])
        await context.lease.acknowledge(item.item_id for item in items if item.mail.message_id in fetched.findings)
        if fetched.failure is not None:
            raise fetched.failure


async def resolve_folders(
    context: MailboxContext, graph: GraphMailbox, known: Sequence[folders.FolderCursor]
) -> Mapping[str, str]:
    """Find the ids of folders that subscriptions call by a well-known name; Graph is asked once for each.

    Returns:
        Ids by name, without folders that are gone. The id is empty for a folder that alone could not be read; it is
        asked for again with the next lease.

    Raises:
        SourceError: The failure of the whole mailbox.
    """
    names = {cursor.alias: cursor.folder_id for cursor in known if cursor.alias}
    ids = {cursor.folder_id for cursor in known}
    for watch in context.lease.watches:
        name = watch.folder_id
        if not name or name in names or name in ids:
            continue
        try:
            folder_id = str((await graph.folder(name))["id"])
        except SourceError as exc:
            if exc.remedy is not Remedy.MISSING:
                await graph.scope.check(exc)
                logger.warning("folder not read", tenant_id=context.tenant_id, error=exc.reason, detail=exc.detail)
                names[name] = ""
            continue
        names[name] = folder_id

        async def add(connection: db.Connection, folder_id: str = folder_id, name: str = name) -> None:
            await folders.add(connection, context.tenant_id, folder_id, "" if name == folder_id else name)

        await context.note(add)
    return names
