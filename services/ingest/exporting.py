"""How Ingest's rows of a tenant are written in an export."""

import asyncpg

from mailmesh.ingest.v1.inbox_item_pb2 import MailboxChanged, MailboxWatched, Reconcile
from services.ingest.migrate import SCHEMA
from services.ingest.store.items import Kind
from services.meshkit.exporting import Export, Form, Written
from services.meshkit.exporting_forms import DIGEST, document_json, form, message_json, word

_KINDS = {Kind.MAILBOX_CHANGED: MailboxChanged, Kind.MAILBOX_WATCHED: MailboxWatched, Kind.RECONCILE: Reconcile}


def _item(row: asyncpg.Record) -> Written:
    """Write an item. A notification of a mail is the provider's own object; processed items have no content."""
    kind = _KINDS.get(row["kind"])
    content = message_json(kind, row["content"]) if kind is not None else document_json(row["content"])
    return {"kind": word(Kind, row["kind"]), "content": content}


_ITEM = Form(("kind", "content"), _item)
FORMS = {
    "channels": form(left_out={"token_digest": "the digest of a secret"}),
    "dead_letters": _ITEM,
    "items": _ITEM,
    "subscriptions": form(left_out=dict.fromkeys(("client_state_digest", "previous_client_state_digest"), DIGEST)),
    "worked_items": _ITEM,
}
"""The forms of tables that have more than texts, numbers and times; a test knows every column of bytes."""
EXPORT = Export("ingest", SCHEMA.head, FORMS, keys={"worked_items": ("item_id", "worked_at")})
