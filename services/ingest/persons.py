"""Ingest's tables that may name a person. Notifications have ids; a provider may write any text beside them."""

import asyncpg

from mailmesh.ingest.v1.inbox_item_pb2 import MailboxChanged, MailboxWatched, Reconcile
from services.ingest.store.items import Kind
from services.meshkit.erasing_steps import Bound, Change, Rows, rewriting
from services.meshkit.persons import Codec, Person, json_bytes, json_text, message, text

_KINDS: dict[int, Codec] = {
    Kind.MAIL: json_bytes,
    Kind.MAILBOX_CHANGED: message(MailboxChanged),
    Kind.MAILBOX_WATCHED: message(MailboxWatched),
}


def _item(row: asyncpg.Record, person: Person) -> Change | None:
    """An item loses the address and stays: the mail that it announces is read from the provider."""
    codec = _KINDS.get(row["kind"], message(Reconcile))
    rest = {"content": codec(row["content"], person)} if row["content"] else {}
    if "history" in row.keys():  # noqa: SIM118 - a record's `in` looks at its values
        rest["history"] = json_text(row["history"], person)
    if "detail" in row.keys():  # noqa: SIM118 - as above
        rest["detail"] = text(row["detail"], person)
    return {name: value for name, value in rest.items() if value != row[name]} or None


_BY_ITEM = {"item_id": "uuid"}
PERSONS = (
    Rows("items", _BY_ITEM, ("kind", "content", "history"), _item, settles=True),
    # Items move to these two, so their last rows are noted behind the items.
    Rows("worked_items", {**_BY_ITEM, "worked_at": "timestamptz"}, ("kind", "content"), _item, Bound.START, page=2000),
    Rows("dead_letters", {"dead_letter_id": "uuid"}, ("kind", "content", "history", "detail"), _item, Bound.START),
    rewriting(
        "subscriptions",
        {"subscription_id": "uuid"},
        {"failure_detail": text, "provider_calendar_id": text},
        bound=Bound.START,
    ),
)
"""The steps."""

_ID, _WORD, _PROCESS = "an id or a cursor", "a word of our own", "a process"
FREE = {
    "tenants": {
        "provider": _WORD,
        "external_tenant_id": _ID,
        "user_id": _ID,
        "address": "the tenant's own account",
        "granted_scopes": _WORD,
        "status": _WORD,
    },
    "cursors": {"name": _WORD, "cursor": _ID},
    "mailboxes": {"holder": _PROCESS},
    "notification_certificates": {
        "certificate": "a public key of our own",
        "sealed_key": "a private key of our own, sealed",
        "sealed_by": "the id of a key",
    },
    "pull_leases": {"subscription": "the operator's", "holder": _PROCESS},
    "items": {"traceparent": _ID},
    "worked_items": {"outcome": _WORD},
    "dead_letters": {"traceparent": _ID, "reason": _WORD},
    "subscriptions": {
        "provider": _WORD,
        "folder_id": _ID,
        "label_ids": _ID,
        "change_types": _WORD,
        "watched": _ID,
        "history_id": _ID,
        "provider_subscription_id": _ID,
        "client_state_digest": "a digest",
        "previous_client_state_digest": "a digest",
        "failure_reason": _WORD,
        "lease_holder": _PROCESS,
    },
    "channels": {"token_digest": "a digest", "resource_id": _ID},
    "lifecycle_notifications": {"event": _WORD, "traceparent": _ID, "failure_reason": _WORD},
    "erased_tenants": {"removed": "counts"},
    "erased_persons": {
        "removed": "counts",
        **dict.fromkeys(("bounds", "reached"), "emptied at the end of the erasure"),
    },
}
"""The other columns of text or bytes, with the reason why they name no person; a test knows every column."""
