"""The device flow: a program shows a code, and a person types it on a page elsewhere (RFC 8628)."""

import secrets
from collections import OrderedDict
from dataclasses import dataclass

from simulator.accounts import Account
from simulator.http import Call, Operations, Reply
from simulator.microsoft.errors import aadsts, sentence_of
from simulator.pages import accounts_field, buttons, form, page, problem, text_field
from simulator.state import World

_PENDING_MAX = 1000
_SECONDS = 900
_ALPHABET = "BCDFGHJKLMNPQRSTVWXZ"


@dataclass(slots=True)
class Pending:
    """One device that waits for its person's decision."""

    device_code: str
    user_code: str
    client_id: str
    scopes: tuple[str, ...]
    expires_at: float
    account: Account | None = None
    is_denied: bool = False


class Devices:
    """The devices that wait, and the page where a person decides."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._pending: OrderedDict[str, Pending] = OrderedDict()

    def register(self, operations: Operations) -> None:
        """Add the endpoint and the page to the provider's table."""
        operations.add("ms.devicecode", "POST", "/{tenant}/oauth2/v2.0/devicecode", self.begin, is_api=False)
        operations.add("ms.deviceauth", "GET", "/{tenant}/oauth2/deviceauth", self.show, is_api=False)
        operations.add("ms.deviceauth", "POST", "/{tenant}/oauth2/deviceauth", self.decide, is_api=False)

    def begin(self, call: Call) -> Reply:
        """Give a device its codes."""
        fields = call.form()
        client = self._world.clients["ms365"].get(fields.get("client_id", ""))
        if client is None:
            now = self._world.clock.now()
            raise aadsts("unauthorized_client", 700016, now, fields.get("client_id", ""))
        if not client.is_public:
            raise aadsts("invalid_client", 7000218, self._world.clock.now(), status=401)
        pending = Pending(
            device_code=secrets.token_urlsafe(48),
            user_code="".join(secrets.choice(_ALPHABET) for _ in range(9)),
            client_id=client.client_id,
            scopes=tuple(fields.get("scope", "").split()),
            expires_at=self._world.clock.seconds() + _SECONDS,
        )
        self._pending[pending.device_code] = pending
        while len(self._pending) > _PENDING_MAX:
            self._pending.popitem(last=False)
        where = f"{self._world.microsoft_url}/{call.params['tenant']}/oauth2/deviceauth"
        return Reply(
            200,
            {
                "user_code": pending.user_code,
                "device_code": pending.device_code,
                "verification_uri": where,
                "expires_in": _SECONDS,
                "interval": 1,
                "message": f"To sign in, open {where} and enter the code {pending.user_code} to authenticate.",
            },
        )

    def find(self, device_code: str) -> Pending | None:
        """Return a device that waits, None when its code is unknown, used or too old."""
        pending = self._pending.get(device_code)
        return pending if pending and pending.expires_at > self._world.clock.seconds() else None

    def end(self, pending: Pending) -> None:
        """Forget a device that has its tokens."""
        self._pending.pop(pending.device_code, None)

    def show(self, call: Call) -> Reply:
        """Show the page."""
        people = ((account.principal, account.name) for account in self._world.accounts["ms365"])
        code = text_field("Code", "user_code", call.first("user_code"))
        inner = code + accounts_field(people, "") + buttons("Accept", "Cancel")
        return page("Enter code", form(f"/{call.params['tenant']}/oauth2/deviceauth", inner))

    def decide(self, call: Call) -> Reply:
        """Take the person's decision."""
        fields = call.form()
        code = fields.get("user_code", "").strip().upper()
        pending = next((one for one in self._pending.values() if one.user_code == code), None)
        if pending is None or self.find(pending.device_code) is None:
            return problem("Enter code", "That code did not work. Check the code and try again.")
        if fields.get("action") != "accept":
            pending.is_denied = True
            return page("Signed out", "<p>You declined. You can close this window.</p>")
        account = self._world.accounts["ms365"].find(fields.get("account", ""))
        if account is None:
            return problem("Sign in", sentence_of(50034, fields.get("account", "")))
        if account.consent != "allowed":
            return problem("Sign in", sentence_of(90094 if account.consent == "admin_required" else 53003))
        account.granted.setdefault(pending.client_id, set()).update(pending.scopes)
        pending.account = call.account = account
        return page("Signed in", "<p>You have signed in on your device. You can close this window.</p>")
