"""Changing mails by Microsoft Graph: read what is there, and change only what differs, twenty mails in one call.

A 412 comes without `If-Match` as well: such a mail is read again and retried. The etag is a version and no lock.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from mailmesh.processor.v1 import message_service_pb2 as pb2
from services.processor.mailbox.access import MailboxAccess
from services.processor.mailbox.failures import Remedy, SourceError
from services.processor.mailbox.graph_batch import BATCH_MAX, Request, run_batch
from services.processor.mailbox.provider_http import JSON
from services.processor.messages.mailbox import Applied, Plan, result_of
from services.processor.messages.rows import Outcome, OwnChange, Result

_IMMUTABLE = {"prefer": 'IdType="ImmutableId"'}
_FIELDS = "id,changeKey,isRead,flag,categories,parentFolderId"
_PLACES: Mapping[int, str] = {
    pb2.MAIL_PLACE_INBOX: "inbox",
    pb2.MAIL_PLACE_ARCHIVE: "archive",
    pb2.MAIL_PLACE_TRASH: "deleteditems",
}
_FLAGGED, _NOT_FLAGGED = "flagged", "notFlagged"


class GraphMessages:
    """One Microsoft mailbox whose mails are changed; implements `ModifiableMailbox`.

    Args:
        access: The mailbox's access to Graph.
        base_url: The base URL of Graph, with its version.
        most: The number of mails in one call, at most 20: fewer after a failure, so that one mail does not hold others
            up.
    """

    def __init__(self, access: MailboxAccess, base_url: str, most: int = BATCH_MAX) -> None:
        self._access = access
        self._base = base_url
        self.most = most
        self._folders: dict[str, str] = {}

    async def plan(self, change: pb2.MessageChange, message_ids: Sequence[str]) -> Plan:
        """See `ModifiableMailbox.plan`."""
        try:
            folder_id = await self._destination(change)
        except SourceError as exc:
            if exc.remedy is not Remedy.MISSING:
                raise
            detail = "the mailbox has no such folder"
            return Plan((), {one: Result(Outcome.REFUSED, detail=detail) for one in message_ids})
        requests = [Request(one, "GET", f"{_path(one)}?$select={_FIELDS}") for one in message_ids]
        answers = await run_batch(self._access, self._base, "modify_read", requests)
        found, results, failure = _sorted(answers)
        changes = {one: _needed(one, change, mail, folder_id) for one, mail in found.items()}
        results |= {one: Result(Outcome.DONE) for one, needed in changes.items() if needed is None}
        return Plan([needed for needed in changes.values() if needed is not None], results, failure)

    async def apply(self, changes: Sequence[OwnChange]) -> Applied:
        """See `ModifiableMailbox.apply`: the properties first, then the move of each mail whose properties are set."""
        patches = [Request(one.message_id, "PATCH", _path(one.message_id), one.patch) for one in changes if one.patch]
        patched, results, failure = _sorted(await self._run("modify", patches))
        moves = [
            Request(one.message_id, "POST", f"{_path(one.message_id)}/move", {"destinationId": one.folder_id})
            for one in changes
            if one.folder_id and (not one.patch or one.message_id in patched)
        ]
        moved, refused, later = _sorted(await self._run("move", moves))
        ended = {one.message_id: moved if one.folder_id else patched for one in changes}
        done = {
            message_id: Result(Outcome.DONE, _version(mails[message_id]))
            for message_id, mails in ended.items()
            if message_id in mails
        }
        return Applied({**results, **_partial(refused, patched), **done}, failure or later)

    async def _run(self, operation: str, requests: Sequence[Request]) -> dict[str, JSON | SourceError]:
        return await run_batch(self._access, self._base, operation, requests) if requests else {}

    async def _destination(self, change: pb2.MessageChange) -> str:
        """Return the id of the folder that mails are moved to; empty without a move."""
        name = change.folder_id or _PLACES.get(change.place, "")
        if name and name not in self._folders:
            url = f"{self._base}/me/mailFolders/{quote(name, safe='')}"
            found = await self._access.call("modify_folder", url, headers=_IMMUTABLE, params={"$select": "id"})
            self._folders[name] = str(found.get("id") or "")
        return self._folders.get(name, "")


def _sorted(
    answers: Mapping[str, JSON | SourceError],
) -> tuple[dict[str, JSON], dict[str, Result], SourceError | None]:
    """Sort answers into mails, final outcomes, and one of the failures after which mails are retried.

    Raises:
        SourceError: The failure of the whole mailbox, when it left no outcome at all.
    """
    found: dict[str, JSON] = {}
    results: dict[str, Result] = {}
    failure: SourceError | None = None
    for message_id, answer in answers.items():
        if not isinstance(answer, SourceError):
            found[message_id] = answer
            continue
        try:
            result = result_of(answer)
        except SourceError as exc:
            failure = exc
            continue
        if result is not None:
            results[message_id] = result
        elif failure is None:
            failure = answer
    return found, results, failure


def _partial(refused: Mapping[str, Result], patched: Mapping[str, JSON]) -> dict[str, Result]:
    """Return the outcomes of refused moves with the versions of properties that were set before: those are ours."""
    return {
        one: replace(result, version=_version(patched[one])) if one in patched else result
        for one, result in refused.items()
    }


def _needed(message_id: str, change: pb2.MessageChange, mail: JSON, folder_id: str) -> OwnChange | None:
    """Return what a mail lacks; None when it is as the change wants it."""
    patch: dict[str, object] = {}
    fields: list[str] = []
    if change.HasField("is_read") and mail.get("isRead") is not change.is_read:
        patch["isRead"] = change.is_read
        fields.append("is_read")
    if change.HasField("is_flagged") and (_status(mail) == _FLAGGED) is not change.is_flagged:
        patch["flag"] = {"flagStatus": _FLAGGED if change.is_flagged else _NOT_FLAGGED}
    present = _texts(mail.get("categories"))
    wanted = _categories(present, change.add_categories, change.remove_categories)
    if wanted != present:
        patch["categories"] = wanted
        fields.append("categories")
    target = folder_id if folder_id and mail.get("parentFolderId") != folder_id else ""
    if target:
        fields.append("folder_id")
    if not patch and not target:
        return None
    return OwnChange(message_id, tuple(fields), patch=patch, folder_id=target, categories_before=tuple(present))


def _categories(present: Sequence[str], added: Iterable[str], removed: Iterable[str]) -> list[str]:
    """Return the whole list, which replaces the mail's; Outlook compares categories in any case."""
    gone = {name.casefold() for name in removed}
    kept = [name for name in present if name.casefold() not in gone]
    known = {name.casefold() for name in kept}
    return [*kept, *(name for name in added if name.casefold() not in known)]


def _status(mail: JSON) -> str:
    flag = mail.get("flag")
    return str(flag.get("flagStatus")) if isinstance(flag, dict) else ""


def _texts(value: Any) -> list[str]:
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []


def _version(mail: JSON) -> str:
    version = mail.get("changeKey")
    return version[:200].replace("\0", "") if isinstance(version, str) else ""


def _path(message_id: str) -> str:
    return f"/me/messages/{quote(message_id, safe='')}"
