"""Changes of mail folders, and delta queries over them."""

from simulator.http import JSON, ApiError, Call, Operations, Reply
from simulator.mailboxes.folders import Folder
from simulator.mailboxes.graph import GraphMailbox
from simulator.mailboxes.mailbox import MailboxError
from simulator.microsoft.errors import graph_error, graph_reply
from simulator.microsoft.graph import READ, USER, WRITE, folder_of, mailbox_of, next_link, selected_folder, show_folder
from simulator.microsoft.odata import applied, seal, unseal
from simulator.state import World

_BAKED = frozenset({"$select", "$top"})
_PAGE = 100


class Folders:
    """The folder resource beyond reading: rename, move, delete, and delta."""

    def __init__(self, world: World) -> None:
        self._world = world

    def register(self, operations: Operations) -> None:
        """Add the resource to the provider's table; delta must come before single folders."""
        add, many = operations.add, f"{USER}/mailFolders"
        query = (*_BAKED, "$deltatoken", "$skiptoken")
        add("graph.folders.delta", "GET", f"{many}/delta", self.delta, scopes=READ, query=query)
        for one in (f"{many}/{{folder}}", f"{many}/{{parent}}/childFolders/{{folder}}"):
            add("graph.folders.get", "GET", one, self.get, scopes=READ, query=("$select",))
            add("graph.folders.update", "PATCH", one, self.update, scopes=WRITE)
            add("graph.folders.delete", "DELETE", one, self.delete, scopes=WRITE)
            add("graph.folders.move", "POST", f"{one}/move", self.move, scopes=WRITE)

    def get(self, call: Call) -> Reply:
        """Return one folder, by id or well-known name."""
        return Reply(200, selected_folder(call, show_folder(mailbox_of(call), _folder(call))))

    def update(self, call: Call) -> Reply:
        """Rename a folder."""
        folder, body = _own(call), call.fields(("displayName",))
        if not isinstance(body.get("displayName"), str) or not body["displayName"]:
            raise graph_error(400, "ErrorInvalidRequest", "displayName is required.")
        return _changed(call, folder, 200, name=body["displayName"])

    def move(self, call: Call) -> Reply:
        """Put a folder below another one."""
        folder, target = _own(call), call.fields(("destinationId",), in_any_case=True).get("destinationId")
        if not isinstance(target, str) or not target:
            raise graph_error(400, "ErrorInvalidRequest", "destinationId is required.")
        return _changed(call, folder, 201, parent=target)

    def delete(self, call: Call) -> Reply:
        """Move a folder to Deleted Items; from there delete it for good."""
        mailbox_of(call).delete_folder(_own(call))
        return Reply(204)

    def delta(self, call: Call) -> Reply:
        """Return one page of a round: all folders first, then those made, renamed, moved or deleted since."""
        mailbox, token = mailbox_of(call), call.first("$deltatoken") or call.first("$skiptoken")
        state = unseal(token) if token else {"e": mailbox.delta_epoch, "p": mailbox.position, "k": ""}
        if state.get("e") != mailbox.delta_epoch:
            raise self._gone(call, mailbox)
        size = int(call.preferences().get("odata.maxpagesize", "0") or 0) or _PAGE
        found, following = (_listed if "k" in state else _changed_since)(mailbox, state, size)
        is_last = not following.pop("more", "k" in following)
        name, link = ("$deltatoken", "deltaLink") if is_last else ("$skiptoken", "nextLink")
        url = next_link(self._world, call, seal(following), name, _BAKED - {"$select"})
        return Reply(200, {"value": [_selected(call, one) for one in found], f"@odata.{link}": url}, applied(call))

    def _gone(self, call: Call, mailbox: GraphMailbox) -> ApiError:
        status, code = mailbox.delta_failure
        reply = graph_reply(status, code, "The sync state generation is not found.")
        if status == 410:
            reply.headers["location"] = f"{self._world.microsoft_url}{call.path}"
        return ApiError(reply)


def _listed(mailbox: GraphMailbox, state: JSON, size: int) -> tuple[list[JSON], JSON]:
    """Return a page of all folders, and the state behind it; a round begins again when its last folder is gone."""
    ids = [folder.id for folder in mailbox.folders.values() if folder.parent]
    start = ids.index(state["k"]) + 1 if state["k"] in ids else 0
    page = ids[start : start + size]
    shown = [show_folder(mailbox, mailbox.folders[one]) for one in page]
    if start + size < len(ids):
        return shown, {**state, "k": page[-1]}
    return shown, {"e": state["e"], "p": state["p"]}


def _changed_since(mailbox: GraphMailbox, state: JSON, size: int) -> tuple[list[JSON], JSON]:
    """Return a page of the folders that changed after a position, each once, and the state behind it."""
    entries = mailbox.folders_since(int(state["p"]))
    shown = [
        show_folder(mailbox, mailbox.folders[entry.folder])
        if entry.folder in mailbox.folders
        else {"id": entry.folder, "@removed": {"reason": "deleted"}}
        for entry in entries[:size]
    ]
    if len(entries) > size:
        return shown, {**state, "p": entries[size - 1].position, "more": True}
    return shown, {**state, "p": mailbox.position}


def _selected(call: Call, folder: JSON) -> JSON:
    return folder if "@removed" in folder else selected_folder(call, folder)


def _folder(call: Call) -> Folder:
    """Return the folder that a call names, below the parent that it names."""
    folder = folder_of(call)
    if "parent" in call.params and folder.parent != folder_of(call, "parent").id:
        raise graph_error(404, "ErrorItemNotFound", "The specified object was not found in the store.")
    return folder


def _own(call: Call) -> Folder:
    """Return a folder that may be changed, which the well-known ones may not."""
    folder = _folder(call)
    if folder.well_known:
        raise graph_error(403, "ErrorDeleteDistinguishedFolder", "Distinguished folders cannot be changed.")
    return folder


def _changed(call: Call, folder: Folder, status: int, *, name: str = "", parent: str = "") -> Reply:
    mailbox = mailbox_of(call)
    try:
        mailbox.change_folder(folder, name=name, parent=parent)
    except MailboxError as error:
        raise folder_error(error) from error
    return Reply(status, show_folder(mailbox, folder))


def folder_error(error: MailboxError) -> ApiError:
    """Return Graph's refusal of a folder's name or place."""
    if error.kind == "exists":
        return graph_error(409, "ErrorFolderExists", "A folder with the specified name already exists.")
    if error.kind == "not_found":
        return graph_error(404, "ErrorItemNotFound", "The destination folder was not found.")
    return graph_error(400, "ErrorMoveCopyFailed", "The move or copy operation failed.")
