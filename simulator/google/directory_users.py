"""The users of the Directory API, for administrators alone."""

from simulator.accounts import Account
from simulator.google.errors import api_error
from simulator.google.gmail import AUTH, number
from simulator.http import JSON, Call, NotSimulatedError, Operations, Reply
from simulator.state import World

BASE = "/admin/directory/v1/users"
READ = (f"{AUTH}admin.directory.user.readonly", f"{AUTH}admin.directory.user")
_DEFAULT, _MOST = 100, 500
_LIST = ("customer", "domain", "maxResults", "orderBy", "pageToken", "projection")


class DirectoryUsers:
    """Lists and reads the users of the caller's organisation."""

    def __init__(self, world: World) -> None:
        self._world = world

    def register(self, operations: Operations) -> None:
        """Add the operations to the provider's table."""
        operations.add("google.users.list", "GET", BASE, self.every, scopes=READ, query=_LIST)
        operations.add("google.users.get", "GET", f"{BASE}/{{key}}", self.get, scopes=READ, query=("projection",))

    def every(self, call: Call) -> Reply:
        """Return a page of users."""
        administrator = _administrator(call)
        if call.first("customer") not in {"my_customer", customer_id(self._world, administrator)}:
            raise api_error(400, "invalid", "Invalid Input: customer")
        if call.first("orderBy", "email") != "email":
            raise NotSimulatedError(f"the order {call.first('orderBy')}")
        people = sorted(self._people(administrator), key=lambda one: one.address)
        most = number(call, "maxResults", _DEFAULT, _MOST)
        after = call.first("pageToken")
        rest = [one for one in people if one.address > after]
        body: JSON = {"kind": "admin#directory#users", "users": [self._shown(one) for one in rest[:most]]}
        if len(rest) > most:
            body["nextPageToken"] = rest[most - 1].address
        return Reply(200, body)

    def get(self, call: Call) -> Reply:
        """Return a user by id or address."""
        found = self._world.accounts["googlews"].find(call.params["key"])
        if found is None or found not in self._people(_administrator(call)):
            raise api_error(404, "notFound", "Resource Not Found: userKey")
        return Reply(200, self._shown(found))

    def _people(self, administrator: Account) -> list[Account]:
        return [one for one in self._world.accounts["googlews"] if one.directory == administrator.directory]

    def _shown(self, account: Account) -> JSON:
        given, _, family = account.name.partition(" ")
        return {
            "kind": "admin#directory#user",
            "id": account.id,
            "primaryEmail": account.address,
            "name": {"givenName": given, "familyName": family, "fullName": account.name},
            "isAdmin": account.is_admin,
            "suspended": account.is_suspended,
            "archived": False,
            "isMailboxSetup": account.has_mailbox,
            "customerId": customer_id(self._world, account),
        }


def customer_id(world: World, account: Account) -> str:
    """Return the id of an account's organisation."""
    return f"C{world.stable_uuid('customer', account.directory)[:8]}"


def _administrator(call: Call) -> Account:
    account = call.account
    if account is None or not account.is_admin:
        raise api_error(403, "forbidden", "Not Authorized to access this resource/api")
    return account
