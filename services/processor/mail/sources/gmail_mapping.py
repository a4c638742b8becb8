"""Gmail's message to the contract's mail: pure, and never an exception whatever the object holds."""

import html
from collections.abc import Iterator, Mapping
from typing import Any

from services.meshkit.ids import is_id
from services.message.bounds import SHORT_CHARACTERS, Cuts, bound, raw_budget
from services.message.fields import epoch_milliseconds, members, number, text, texts, timestamp
from services.message.headers import Headers
from services.message.mapping import map_tree
from services.message.mime import MimeTree
from services.message.raw import bounded_struct
from services.processor.mail.sources.mapped import MappedMessage
from services.providers.marks import GMAIL_SEND

LABEL_UNREAD = "UNREAD"
LABEL_DRAFT = "DRAFT"
LABEL_SENT = "SENT"


def map_message(raw: dict[str, Any]) -> MappedMessage:
    """Maps a message as Gmail gives it in the format `full`.

    Args:
        raw: The object. Bodies that Gmail holds back as attachments (`detached_bodies`) are used when their `data` was
            put beside the `attachmentId`.

    Returns:
        The mail within its bounds. Fields that the object lacks, or has in another shape, are empty.
    """
    tree, cuts = MimeTree(members(raw, "payload")), Cuts()
    headers, labels = tree.headers, sorted(set(texts(raw, "labelIds")))
    received = epoch_milliseconds(number(raw, "internalDate"))
    message = map_tree(
        tree,
        cuts,
        mail_received_at=timestamp(received),
        preview=html.unescape(cuts.start(text(raw, "snippet"), SHORT_CHARACTERS, "are_headers_cut")),
        is_read=LABEL_UNREAD not in labels,
        is_draft=LABEL_DRAFT in labels,
        label_ids=labels,
        size_bytes=number(raw, "sizeEstimate"),
    )
    message.thread.provider_thread_id = text(raw, "threadId")
    bound(message, cuts)
    struct, left_out = bounded_struct(raw, raw_budget(message))
    cuts.is_raw_cut, cuts.left_out_bytes = left_out > 0, cuts.left_out_bytes + left_out
    return MappedMessage(
        message=message,
        version=text(raw, "historyId"),
        folder_id="",
        label_ids=tuple(labels),
        is_draft=message.is_draft,
        received_at=received,
        truncation=cuts.truncation(message.ByteSize() + struct.ByteSize()),
        raw=struct,
        send_mark=_send_mark(headers, labels),
        invitation=tree.invitation(),
    )


def _send_mark(headers: Headers, labels: list[str]) -> str:
    """The id of the send whose mail this is. Recipients have the header as well: only the copy of its sender counts."""
    mark = headers.first(GMAIL_SEND).strip()
    return mark.lower() if is_id(mark) and {LABEL_SENT, LABEL_DRAFT} & set(labels) else ""


def put_in_bodies(raw: dict[str, Any], bodies: Mapping[str, str]) -> None:
    """Puts fetched bodies where Gmail held them back.

    Args:
        raw: The object, which is changed.
        bodies: The `data` of the attachments by their id; a body that is missing or empty counts as cut.
    """
    for attachment_id, body in list(detached_bodies(raw)):
        if data := bodies.get(attachment_id):
            body["data"] = data


def detached_bodies(raw: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Finds the bodies that Gmail holds back because they are large.

    Yields:
        The attachment id to fetch, and the part's `body`, which gets the fetched `data`.
    """
    yield from MimeTree(members(raw, "payload")).detached()
