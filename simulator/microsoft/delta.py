"""Delta queries over the messages of a folder."""

from simulator.http import JSON, ApiError, Call, NotSimulatedError, Operations, Reply
from simulator.mailboxes.folders import Folder, Logged
from simulator.mailboxes.graph import GraphMailbox
from simulator.mailboxes.mailbox import MailboxError
from simulator.microsoft.errors import graph_error, graph_reply
from simulator.microsoft.graph import READ, USER, folder_of, mailbox_of, next_link
from simulator.microsoft.listing import read_filter, resolver
from simulator.microsoft.odata import applied, seal, unseal, view_for
from simulator.microsoft.render import View
from simulator.state import World

_BAKED = frozenset({"$select", "$filter", "$top", "changeType", "$orderby"})
_QUERY = (*_BAKED, "$deltatoken", "$skiptoken")


class Delta:
    """Rounds of changes: the first round lists the folder, later rounds list the changes."""

    def __init__(self, world: World) -> None:
        self._world = world

    def register(self, operations: Operations) -> None:
        """Add the function to the provider's table; it must come before single messages."""
        operations.add(
            "graph.messages.delta",
            "GET",
            f"{USER}/mailFolders/{{folder}}/messages/delta",
            self.delta,
            scopes=READ,
            query=_QUERY,
        )

    def delta(self, call: Call) -> Reply:
        """Return one page of a round."""
        mailbox, folder = mailbox_of(call), folder_of(call)
        token = call.first("$deltatoken") or call.first("$skiptoken")
        state = unseal(token) if token else self._begin(call, mailbox, folder)
        if state.get("e") != mailbox.delta_epoch or state.get("f") != folder.id:
            raise self._gone(call, mailbox)
        size = (
            int(call.preferences().get("odata.maxpagesize", "0") or 0)
            or int(state["t"])
            or self._world.knobs.delta_page_size
        )
        view = view_for(call, mailbox, select=str(state["s"]))
        page = self._listing if state.get("k") is not None else self._changes
        return page(call, mailbox, folder, state, view, size)

    def _begin(self, call: Call, mailbox: GraphMailbox, folder: Folder) -> JSON:
        if call.first("$orderby", "receivedDateTime desc") != "receivedDateTime desc":
            raise NotSimulatedError(f"the order {call.first('$orderby')} of a delta query")
        if call.first("changeType") not in {"", "created", "updated", "deleted"}:
            raise graph_error(400, "BadRequest", "changeType is created, updated or deleted.")
        top = call.first("$top")
        return {
            "e": mailbox.delta_epoch,
            "f": folder.id,
            "s": call.first("$select"),
            "g": call.first("$filter"),
            "c": call.first("changeType"),
            "t": int(top) if top.isdecimal() else 0,
            "p": mailbox.position,
            "k": [],
        }

    def _listing(self, call: Call, mailbox: GraphMailbox, folder: Folder, state: JSON, view: View, size: int) -> Reply:
        """Continue the listing after the previous page; changes in the meantime belong to the next round."""
        condition = read_filter(state["g"])
        shown: list[JSON] = []
        last = state["k"]
        for position in folder.timeline.newest_first(tuple(last) if last else None):
            mail = mailbox.mails[position[1]]
            if not condition.matches(resolver(mail, mailbox)):
                continue
            if len(shown) == size:
                return self._page(call, shown, "nextLink", {**state, "k": last})
            shown.append(view.message(mail))
            last = list(position)
        return self._page(call, shown, "deltaLink", {**state, "k": None})

    def _changes(self, call: Call, mailbox: GraphMailbox, folder: Folder, state: JSON, view: View, size: int) -> Reply:
        """Return the messages that changed since the token's position, each once, in the order of the last change."""
        try:
            entries = list(mailbox.since(folder, int(state["p"])))
        except MailboxError as error:
            raise self._gone(call, mailbox) from error
        last: dict[int, Logged] = {}
        created: set[int] = set()
        for entry in entries:
            last.pop(entry.serial, None)
            last[entry.serial] = entry
            created |= {entry.serial} if entry.kind == "created" else set()
        condition = read_filter(state["g"])
        shown: list[JSON] = []
        consumed = int(state["p"])
        for entry in last.values():
            if len(shown) == size:
                return self._page(call, shown, "nextLink", {**state, "p": consumed})
            consumed = entry.position
            mail = mailbox.mails.get(entry.serial)
            if mail is not None and mail.folder == folder.id:
                kind = "created" if entry.serial in created else "updated"
                if state["c"] in ("", kind) and condition.matches(resolver(mail, mailbox)):
                    shown.append(view.message(mail))
            elif state["c"] in ("", "deleted"):
                shown.append(_removed(view, entry))
        return self._page(call, shown, "deltaLink", {**state, "p": mailbox.position})

    def _page(self, call: Call, shown: list[JSON], link: str, state: JSON) -> Reply:
        name = "$deltatoken" if link == "deltaLink" else "$skiptoken"
        url = next_link(self._world, call, seal(state), name, _BAKED)
        return Reply(200, {"value": shown, f"@odata.{link}": url}, applied(call))

    def _gone(self, call: Call, mailbox: GraphMailbox) -> ApiError:
        status, code = mailbox.delta_failure
        reply = graph_reply(status, code, "The sync state generation is not found.")
        if status == 410:
            reply.headers["location"] = f"{self._world.microsoft_url}{call.path}"
        return ApiError(reply)


def _removed(view: View, entry: Logged) -> JSON:
    """Report a message that left the folder; Graph does not say whether it was moved or deleted."""
    return {
        "@odata.type": "#microsoft.graph.message",
        "id": view.id_at(entry.serial, entry.moves),
        "@removed": {"reason": "deleted"},
    }
