"""Makers of the inputs of Processor's decisions, with defaults."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from mailmesh.ingest.v1 import inbox_item_pb2 as item_pb2
from mailmesh.mail.v1 import message_pb2
from services.processor.mail.sources.mapped import MappedMessage
from services.processor.mail.state import MessageState, ReportedChange, State
from services.processor.mailbox.retry_policy import RetryPolicy

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def make_patience(**changed: Any) -> RetryPolicy:
    """Return a pause of whole minutes."""
    values: dict[str, Any] = {
        "now": NOW,
        "missing": timedelta(minutes=3),
        "attempts": 3,
        "announce_after": timedelta(minutes=15),
        "give_up_after": timedelta(days=1),
        "retry_base": timedelta(seconds=2),
        "retry_max": timedelta(minutes=15),
    }
    return RetryPolicy(**{**values, **changed})


def make_hint(*kinds: str, **changed: Any) -> ReportedChange:
    """Return a reported change of message "m"."""
    values: dict[str, Any] = {"received_at": NOW - timedelta(seconds=1), "correlation_id": "c"}
    return ReportedChange("m", frozenset(kinds or ("created",)), **{**values, **changed})


def make_known(**changed: Any) -> MessageState:
    """Return a message that consumers know."""
    return MessageState(
        **{"message_id": "m", "state": State.ANNOUNCED, "version": "1", "folder_id": "inbox-id", **changed}
    )


def make_mapped(**changed: Any) -> MappedMessage:
    """Return a message as a provider returns it."""
    values: dict[str, Any] = {
        "message": message_pb2.MailMessage(subject="Offer"),
        "version": "1",
        "folder_id": "inbox-id",
        "label_ids": (),
        "is_draft": False,
        "received_at": NOW,
        "truncation": None,
    }
    return MappedMessage(**{**values, **changed})


def make_watch(folder_id: str = "", label_ids: Sequence[str] = (), **changed: Any) -> item_pb2.Watch:
    """Return a subscription that began an hour ago."""
    watch = item_pb2.Watch(
        subscription_id="s", folder_id=folder_id, label_ids=label_ids, change_types=changed.pop("kinds", ())
    )
    watch.covered_from.FromDatetime(changed.pop("covered_from", NOW - timedelta(hours=1)))
    return watch
