"""Check a modification before it is stored: every value comes from outside."""

import re
from collections.abc import Sequence

from mailmesh.processor.v1 import message_service_pb2 as pb2
from services.meshkit.errors import FieldInvalid
from services.meshkit.text import check_name
from services.providers.names import GOOGLEWS

KEY_CHARACTERS = 200
MESSAGES_MAX = 1000
CATEGORIES_MAX = 20
LABELS_MAX = 50
ID_CHARACTERS = 500
ATTACHMENT_CHARACTERS = 1000
CATEGORY_CHARACTERS = 255
_LABEL_CHARACTERS = 200
_FOLDER_CHARACTERS = 300
_KEY = re.compile(rf"[!-~]{{1,{KEY_CHARACTERS}}}")
# "." and ".." are segments of a path, which clients and proxies resolve, and no ids.
_ID = re.compile(r"(?!\.{1,2}\Z)[!-~]+")
_NEVER_APPLIED = frozenset({"SENT", "DRAFT"})
"""The labels that Gmail alone applies (developers.google.com/gmail/api/guides/labels)."""
_OF_MICROSOFT = ("add_categories", "remove_categories")
_OF_GOOGLE = ("add_label_ids", "remove_label_ids")


def checked(request: pb2.ModifyMessagesRequest) -> pb2.ModifyMessagesRequest:
    """Return a request with each mail, category and label once, in its order.

    Raises:
        FieldInvalid: A field is missing, malformed or out of its range.
    """
    if not _KEY.fullmatch(request.idempotency_key):
        raise FieldInvalid.of("idempotency_key", f"must have 1 to {KEY_CHARACTERS} printable ASCII characters")
    if not 0 < len(request.message_ids) <= MESSAGES_MAX:
        raise FieldInvalid.of("message_ids", f"must have 1 to {MESSAGES_MAX} ids")
    _check_ids("message_ids", request.message_ids, ID_CHARACTERS)
    if not request.HasField("change"):
        raise FieldInvalid.of("change", "is required")
    made = pb2.ModifyMessagesRequest()
    made.CopyFrom(request)
    _check_change(made.change)
    made.message_ids[:] = dict.fromkeys(request.message_ids)
    return made


def check_provider(change: pb2.MessageChange, provider: str) -> None:
    """Refuse a change that the provider does not have.

    Raises:
        FieldInvalid: Categories or a folder at Google, labels at Microsoft.
    """
    foreign = _OF_MICROSOFT if provider == GOOGLEWS else _OF_GOOGLE
    for name in foreign:
        if getattr(change, name):
            raise FieldInvalid.of(f"change.{name}", f"is not a field of {provider}")
    if provider == GOOGLEWS and change.folder_id:
        raise FieldInvalid.of("change.folder_id", f"is not a field of {provider}: add a label instead")


def _check_change(change: pb2.MessageChange) -> None:
    for name in _OF_MICROSOFT:
        _check_categories(f"change.{name}", values := getattr(change, name))
        values[:] = dict.fromkeys(values)
    for name in _OF_GOOGLE:
        values = getattr(change, name)
        if len(values) > LABELS_MAX:
            raise FieldInvalid.of(f"change.{name}", f"must have at most {LABELS_MAX} labels")
        _check_ids(f"change.{name}", values, _LABEL_CHARACTERS)
        if not _NEVER_APPLIED.isdisjoint(values):
            raise FieldInvalid.of(f"change.{name}", "must not have SENT or DRAFT: only Google applies them")
        values[:] = dict.fromkeys(values)
    if change.WhichOneof("destination") == "folder_id":
        check_text("change.folder_id", change.folder_id, _FOLDER_CHARACTERS)
    if change.place not in pb2.MailPlace.values():
        raise FieldInvalid.of("change.place", "must be a place")
    _check_contradictions(change)
    is_marked = change.HasField("is_read") or change.HasField("is_flagged")
    has_names = any(getattr(change, name) for name in (*_OF_MICROSOFT, *_OF_GOOGLE))
    if not (is_marked or has_names or change.folder_id or change.place):
        raise FieldInvalid.of("change", "must change something")


def _check_contradictions(change: pb2.MessageChange) -> None:
    added, removed = ({one.casefold() for one in names} for names in (change.add_categories, change.remove_categories))
    if added & removed:
        raise FieldInvalid.of("change.remove_categories", "must not have a category that is added")
    adds, removes = labels_of(change)
    if set(adds) & set(removes):
        raise FieldInvalid.of("change.remove_label_ids", "must not have a label that is added")


def labels_of(change: pb2.MessageChange) -> tuple[list[str], list[str]]:
    """Return the labels that a change adds and removes at Google, sorted."""
    added, removed = set(change.add_label_ids), set(change.remove_label_ids)
    if change.HasField("is_read"):
        (removed if change.is_read else added).add("UNREAD")
    if change.HasField("is_flagged"):
        (added if change.is_flagged else removed).add("STARRED")
    if change.place == pb2.MAIL_PLACE_INBOX:
        added.add("INBOX")
        removed.add("TRASH")
    elif change.place == pb2.MAIL_PLACE_ARCHIVE:
        removed.add("INBOX")
    elif change.place == pb2.MAIL_PLACE_TRASH:
        added.add("TRASH")
        removed.add("INBOX")
    return sorted(added), sorted(removed)


def _check_ids(field: str, ids: Sequence[str], characters: int) -> None:
    for place, one in enumerate(ids):
        check_text(f"{field}[{place}]", one, characters)


def check_text(field: str, text: str, characters: int) -> None:
    """Refuse an id that no provider has.

    Raises:
        FieldInvalid: It is empty, too long, not printable ASCII, or a segment of a path, "." or "..".
    """
    if len(text) > characters or not _ID.fullmatch(text):
        raise FieldInvalid.of(field, f"must have 1 to {characters} printable ASCII characters")


def _check_categories(field: str, names: Sequence[str]) -> None:
    if len(names) > CATEGORIES_MAX:
        raise FieldInvalid.of(field, f"must have at most {CATEGORIES_MAX} categories")
    for place, name in enumerate(names):
        check_name(f"{field}[{place}]", name.strip(), CATEGORY_CHARACTERS, least=1)
