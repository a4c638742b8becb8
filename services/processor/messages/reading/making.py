"""Labels and folders that a mark of processed mails names: found by name, and made where the mailbox has none."""

import re

from mailmesh.processor.v1 import message_service_pb2 as pb2
from services.processor.mailbox.access import MailboxAccess
from services.processor.mailbox.failures import SourceError, classify
from services.processor.mailbox.provider_http import JSON
from services.processor.messages.reading.listings import GmailListings
from services.providers.names import GOOGLEWS, MS365

_IMMUTABLE = {"prefer": 'IdType="ImmutableId"'}
_CREATED, _CONFLICT = 201, 409
_LABEL_UNITS = 5


async def graph_change(access: MailboxAccess, base: str, mark: pb2.ProcessedMark) -> pb2.MessageChange:
    """Return the change that a mark means in a Microsoft mailbox. A category needs no making: mails carry its name.

    Raises:
        SourceError: Any failure, classified by the table of failures.
    """
    change = pb2.MessageChange(add_categories=[mark.category] if mark.category else [])
    if mark.is_read:
        change.is_read = True
    if mark.folder_name:
        change.folder_id = await _folder(access, f"{base}/me/mailFolders", mark.folder_name)
    return change


async def gmail_change(
    access: MailboxAccess, base: str, mark: pb2.ProcessedMark, listings: GmailListings
) -> pb2.MessageChange:
    """Return the change that a mark means in a Google mailbox.

    Raises:
        SourceError: Any failure, classified by the table of failures.
    """
    change = pb2.MessageChange()
    if mark.is_read:
        change.is_read = True
    if mark.label_name:
        change.add_label_ids.append(await _label(access, f"{base}/users/me/labels", mark.label_name, listings))
    return change


async def _folder(access: MailboxAccess, url: str, name: str) -> str:
    """Find or make a folder. Another call may make it meanwhile: a conflict means that it is there."""
    condition = name.replace("'", "''")
    for is_last in (False, True):
        params = {"$filter": f"displayName eq '{condition}'", "$select": "id,displayName"}
        listed = (await access.call("processed_find", url, headers=_IMMUTABLE, params=params)).get("value")
        found = [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
        if found:
            return _id(MS365, found[0])
        try:
            body: JSON = {"displayName": name}
            made = await access.call(
                "processed_make", url, method="POST", headers=_IMMUTABLE, body=body, success=_CREATED
            )
        except SourceError as exc:
            if exc.status != _CONFLICT or is_last:
                raise
        else:
            return _id(MS365, made)
    raise classify(MS365, 0, ["folder_without_id"])


async def _label(access: MailboxAccess, url: str, name: str, listings: GmailListings) -> str:
    """Find or make a label, as `_folder`; a conflict may also be with a label of a similar name, which is used then."""
    for is_last in (False, True):
        listed = await listings.labels()
        same = [one.label_id for one in listed if one.display_name == name]
        alike = [one.label_id for one in listed if not one.is_system and _bare(one.display_name) == _bare(name)]
        if same or (alike and is_last):
            return [*same, *alike][0]
        listings.take(_LABEL_UNITS)
        try:
            return _id(GOOGLEWS, await access.call("processed_make", url, method="POST", body={"name": name}))
        except SourceError as exc:
            if exc.status != _CONFLICT or is_last:
                raise
    raise classify(GOOGLEWS, 0, ["label_without_id"])


def _bare(name: str) -> str:
    """Return what Gmail compares of a label's name: it refuses a new one that differs in case or punctuation alone.

    Seen in the wild (gauteh/lieer issue 207, elie222/inbox-zero pull request 3342); Google's pages do not tell.
    """
    return re.sub(r"[\W_]+", "", name.casefold()) or name


def _id(provider: str, made: JSON) -> str:
    found = made.get("id")
    if not isinstance(found, str) or not found:
        raise classify(provider, 0, ["made_without_id"])
    return found
