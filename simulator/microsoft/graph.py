"""Graph's common rules (tokens, users, throttling) and the resources about people and folders."""

import re
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

from simulator.accounts import Account
from simulator.http import JSON, ApiError, Call, Operation, Operations, Reply
from simulator.mailboxes.folders import Folder
from simulator.mailboxes.graph import GraphMailbox
from simulator.mailboxes.mailbox import MailboxError
from simulator.microsoft.errors import aadsts, graph_error, graph_reply
from simulator.microsoft.filters import Filter
from simulator.microsoft.odata import boolean, known_selection, number, seal, skipped, unseal
from simulator.pages import joined
from simulator.state import World

BASE = "/graph/v1.0"
USER = f"{BASE}/users/{{user}}"
READ = ("Mail.ReadBasic", "Mail.Read", "Mail.ReadWrite")
WRITE = ("Mail.ReadWrite",)
_QUOTED = re.compile(r"\((?:'|%27)(.*?)(?:'|%27)\)")
_TEN_MINUTES = 600.0
_MAX_BODY_BYTES = 4 * 1024 * 1024
_FOLDERS = ("$select", "$filter", "$top", "$skip", "$skiptoken", "$count", "includeHiddenFolders")
_FOLDER_TYPES: dict[str, type] = {
    "displayName": str,
    "parentFolderId": str,
    "childFolderCount": int,
    "unreadItemCount": int,
    "totalItemCount": int,
    "isHidden": bool,
}


class GraphRules:
    """Authentication, permissions and throttling of every call."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._running: Counter[tuple[str, str]] = Counter()
        self._recent: dict[tuple[str, str], deque[float]] = {}
        self.most_at_once: Counter[str] = Counter()

    def normalize(self, path: str) -> str:
        """Bring ``/me`` and ``folder('x')`` into the table's spelling."""
        if not path.startswith(BASE):
            return path
        path = _QUOTED.sub(r"/\1", path).replace("()", "")
        return (
            f"{BASE}/users/me{path[len(BASE) + 3 :]}"
            if path == f"{BASE}/me" or path.startswith(f"{BASE}/me/")
            else path
        )

    def identify(self, operation: Operation, call: Call) -> None:
        """Check the bearer token and find the mailbox; at the token endpoint only find out whose grant it is."""
        if not operation.is_api:
            if operation.name == "ms.token":
                form = call.form()
                call.account = self._world.tokens["ms365"].account_of(form.get("refresh_token") or form.get("code", ""))
            return
        scheme, _, token = call.headers.get("authorization", "").partition(" ")
        call.grant = self._world.tokens["ms365"].grant(token) if scheme.lower() == "bearer" else None
        if call.grant is None:
            raise _unauthenticated(token)
        if len(call.body) > _MAX_BODY_BYTES:
            raise graph_error(413, "RequestEntityTooLarge", "The request exceeds the maximum size of 4 MB.")
        call.account = self._user(call) if "user" in call.params else call.grant.account
        if operation.scopes and not _needed(operation, call) & call.grant.scopes:
            raise graph_error(403, "ErrorAccessDenied", "Access is denied. Check credentials and try again.")
        if "user" in call.params and operation.scopes and call.account and not call.account.has_mailbox:
            raise graph_error(
                404,
                "MailboxNotEnabledForRESTAPI",
                "The mailbox is either inactive, soft-deleted, or is hosted on-premise.",
            )

    def _user(self, call: Call) -> Account:
        grant = call.grant
        assert grant is not None  # noqa: S101  identify has just set it
        name = (
            call.params["user"].partition("@")[0]
            if call.params["user"].count("@") == 1 and "." not in call.params["user"]
            else call.params["user"]
        )
        if name == "me":
            if grant.account is None:
                raise graph_error(400, "BadRequest", "/me request is only valid with delegated authentication flow.")
            return grant.account
        account = self._world.accounts["ms365"].find(name)
        if account is None or account.directory != grant.directory:
            raise graph_error(404, "Request_ResourceNotFound", f"Resource '{name}' does not exist.")
        if grant.account not in (None, account) and grant.account.address.lower() not in account.delegates:
            raise graph_error(403, "ErrorAccessDenied", "Access is denied. Check credentials and try again.")
        return account

    @contextmanager
    def slot(self, operation: Operation, call: Call) -> Iterator[None]:
        """Hold one of the mailbox's few places while the call runs."""
        if not operation.scopes or call.account is None or call.grant is None or operation.name == "graph.batch":
            yield
            return
        key = (call.grant.client_id, call.account.id)
        self._count(key)
        limit = self._world.knobs.graph_concurrency
        if limit and self._running[key] >= limit:
            raise ApiError(self._throttled("MailboxConcurrency"))
        self._running[key] += 1
        self.most_at_once[call.account.address] = max(self.most_at_once[call.account.address], self._running[key])
        try:
            yield
        finally:
            self._running[key] -= 1
            if not self._running[key]:
                del self._running[key]

    def _count(self, key: tuple[str, str]) -> None:
        limit = self._world.knobs.graph_requests_per_10_minutes
        if not limit:
            return
        now = self._world.clock.seconds()
        recent = self._recent.setdefault(key, deque(maxlen=limit))
        while recent and recent[0] <= now - _TEN_MINUTES:
            recent.popleft()
        if len(recent) >= limit:
            raise ApiError(self._throttled("RequestRate"))
        recent.append(now)

    def _throttled(self, which: str) -> Reply:
        message = f"Application is over its {which} limit."
        return graph_reply(
            429, "ApplicationThrottled", message, retry_after=self._world.knobs.graph_retry_after_seconds
        )

    def finish(self, _call: Call, reply: Reply) -> Reply:
        """Return the answer as it is."""
        return reply

    def failure(
        self, operation: str, status: int, code: str = "", *, message: str = "", retry_after: int | None = None
    ) -> Reply:
        """Return a failure: an AADSTS body at the token endpoint, Graph's error elsewhere."""
        if not operation.startswith("ms."):
            return graph_reply(status, code, message, retry_after=retry_after)
        usual = {400: ("invalid_grant", 50173), 401: ("invalid_client", 7000215)}
        error, aad = usual.get(status, ("temporarily_unavailable", 90033))
        name, _, digits = code.partition(":")
        reply = aadsts(name or error, int(digits or aad), self._world.clock.now(), status=status).reply
        if retry_after is not None:
            reply.headers["retry-after"] = str(retry_after)
        return reply


def _needed(operation: Operation, call: Call) -> frozenset[str]:
    """Return the scopes of which one is needed: those with ``.Shared`` for another user's mailbox."""
    grant = call.grant
    if grant is None or grant.account in (None, call.account) or "user" not in call.params:
        return operation.scopes
    of_others = operation.scopes - {"User.Read"}
    return frozenset(f"{scope}.Shared" if scope.startswith("Mail.") else scope for scope in of_others)


def _unauthenticated(token: str) -> ApiError:
    message = "Lifetime validation failed, the token is expired." if token else "Access token is empty."
    reply = graph_reply(401, "InvalidAuthenticationToken", message)
    reply.headers["www-authenticate"] = (
        'Bearer realm="", authorization_uri="https://login.microsoftonline.com/common/oauth2/authorize"'
    )
    return ApiError(reply)


def mailbox_of(call: Call) -> GraphMailbox:
    """Return the mailbox that the call is about."""
    assert call.account is not None  # noqa: S101  every mailbox operation names its user
    return cast("GraphMailbox", call.account.mailbox)


def folder_of(call: Call, name: str = "folder") -> Folder:
    """Return the folder that the call names.

    Raises:
        ApiError: 404, there is none.
    """
    try:
        return mailbox_of(call).folder(call.params[name])
    except MailboxError as error:
        raise graph_error(404, "ErrorItemNotFound", "The specified object was not found in the store.") from error


class People:
    """``/me``, ``/users/{id}`` and mail folders."""

    def __init__(self, world: World) -> None:
        self._world = world

    def register(self, operations: Operations) -> None:
        """Add the resources to the provider's table."""
        operations.add(
            "graph.users.get",
            "GET",
            USER,
            self.user,
            scopes=("User.Read", "User.Read.All", "User.ReadBasic.All"),
            query=("$select",),
        )
        operations.add(
            "graph.users.list",
            "GET",
            f"{BASE}/users",
            self.users,
            scopes=("User.Read.All", "User.ReadBasic.All"),
            query=("$select", "$top", "$skiptoken"),
        )
        operations.add("graph.userinfo", "GET", "/graph/oidc/userinfo", self.userinfo)
        for path in (f"{USER}/mailFolders", f"{USER}/mailFolders/{{parent}}/childFolders"):
            operations.add("graph.folders.list", "GET", path, self.folders, scopes=READ, query=_FOLDERS)
            operations.add("graph.folders.create", "POST", path, self.create_folder, scopes=WRITE)

    def user(self, call: Call) -> Reply:
        """Return a person, with the properties Graph gives without being asked."""
        account = call.account
        assert account is not None  # noqa: S101  the path names a user
        shown = shown_user(call, account)
        return Reply(200, {"@odata.context": f"{self._world.microsoft_url}{BASE}/$metadata#users/$entity", **shown})

    def users(self, call: Call) -> Reply:
        """Return a page of the people of the token's organisation."""
        assert call.grant is not None  # noqa: S101  every call of the API has a token
        people = [one for one in self._world.accounts["ms365"] if one.directory == call.grant.directory]
        top = number(call, "$top", 100, 999)
        start = int(unseal(call.first("$skiptoken")).get("n", 0)) if call.first("$skiptoken") else 0
        body: JSON = {"value": [shown_user(call, one) for one in people[start : start + top]]}
        if start + top < len(people):
            body["@odata.nextLink"] = next_link(self._world, call, seal({"n": start + top}))
        return Reply(200, body)

    def userinfo(self, call: Call) -> Reply:
        """Return OpenID's view of the signed-in person."""
        account = call.account
        if account is None:
            raise graph_error(403)
        return Reply(200, {"sub": account.id, "name": account.name, "email": account.address})

    def folders(self, call: Call) -> Reply:
        """Return a page of the folders below one, by default below the top."""
        mailbox = mailbox_of(call)
        parent = folder_of(call, "parent") if "parent" in call.params else mailbox.folder("msgfolderroot")
        condition = Filter.read(call.first("$filter"), _FOLDER_TYPES)
        shown = [show_folder(mailbox, folder) for folder in mailbox.children(parent.id)]
        found = [folder for folder in shown if condition.matches(folder.get)]
        boolean(call, "includeHiddenFolders")  # every simulated folder is visible
        top = number(call, "$top", 10, 1000)
        start = int(unseal(call.first("$skiptoken")).get("n", 0)) if call.first("$skiptoken") else skipped(call)
        body: JSON = {"value": [selected_folder(call, folder) for folder in found[start : start + top]]}
        if boolean(call, "$count"):
            body["@odata.count"] = len(found)
        if start + top < len(found):
            body["@odata.nextLink"] = next_link(self._world, call, seal({"n": start + top}), drop=frozenset({"$skip"}))
        return Reply(200, body)

    def create_folder(self, call: Call) -> Reply:
        """Make a folder."""
        body = call.fields(("displayName",))
        parent = folder_of(call, "parent").id if "parent" in call.params else "msgfolderroot"
        if not body.get("displayName"):
            raise graph_error(400, "ErrorInvalidRequest", "displayName is required.")
        mailbox = mailbox_of(call)
        try:
            return Reply(201, show_folder(mailbox, mailbox.add_folder(str(body["displayName"]), parent)))
        except MailboxError as error:
            raise graph_error(409, "ErrorFolderExists", "A folder with the specified name already exists.") from error


def shown_user(call: Call, account: Account) -> JSON:
    """Return a person, with the properties Graph gives without being asked, or those that $select names."""
    whole: JSON = {
        "businessPhones": [],
        "displayName": account.name,
        "givenName": account.name.partition(" ")[0],
        "jobTitle": None,
        "mail": account.address,
        "mobilePhone": None,
        "officeLocation": None,
        "preferredLanguage": None,
        "surname": account.name.partition(" ")[2] or None,
        "userPrincipalName": account.principal,
        "id": account.id,
    }
    selected: JSON = {
        "accountEnabled": True,
        "proxyAddresses": [f"SMTP:{account.address}", f"smtp:{account.principal}"],
    }
    names = known_selection(call.first("$select"), frozenset(whole) | frozenset(selected), "a user")
    whole |= {name: value for name, value in selected.items() if name in names}
    return {key: value for key, value in whole.items() if not names or key in names}


def show_folder(mailbox: GraphMailbox, folder: Folder) -> JSON:
    """Return a folder as Graph shows it."""
    return {
        "id": folder.id,
        "displayName": folder.name,
        "parentFolderId": folder.parent,
        "childFolderCount": len(mailbox.children(folder.id)),
        "unreadItemCount": mailbox.unread(folder),
        "totalItemCount": len(folder.timeline),
        "isHidden": False,
    }


def selected_folder(call: Call, folder: JSON) -> JSON:
    """Return the properties of a folder that $select names."""
    names = known_selection(call.first("$select"), frozenset(folder), "a mail folder")
    return {name: value for name, value in folder.items() if not names or name in names or name == "id"}


def next_link(
    world: World, call: Call, token: str, name: str = "$skiptoken", drop: frozenset[str] = frozenset()
) -> str:
    """Return the URL of the next page: the same query with a token."""
    kept = {key: value for key, value in call.query if key not in {"$skiptoken", "$deltatoken", *drop}}
    return joined(world.microsoft_url + call.path, {**kept, name: token})
