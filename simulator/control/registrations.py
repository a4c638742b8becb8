"""Control of the applications' proofs: service accounts, their delegation, and certificates of clients."""

from dataclasses import replace

from simulator.accounts import Client
from simulator.control.actions import Actions, ControlError, flag
from simulator.google.accounts import LONG
from simulator.http import JSON
from simulator.registrations import ClientCertificates, ServiceAccount
from simulator.state import World

_EMAIL = "mailmesh@mailmesh-simulator.iam.gserviceaccount.com"
_CLIENT_ID = 10**20


class RegistrationControl:
    """The actions of an operator at the providers' consoles, and of an organisation's administrator at Google's."""

    def __init__(self, world: World) -> None:
        self._world = world

    def register(self, actions: Actions) -> None:
        """Add the actions to the table."""
        actions.add("service-accounts.key", "POST", "/control/service-accounts", self.new_key)
        actions.add("service-accounts.forget", "DELETE", "/control/service-accounts/keys/{key}", self.forget_key)
        actions.add("delegations.set", "POST", "/control/delegations", self.delegate)
        actions.add("platform.set", "POST", "/control/platform-identity", self.set_platform)
        actions.add("certificates.add", "POST", "/control/client-certificates", self.add_certificate)
        actions.add("clients.secret", "POST", "/control/client-secret", self.set_secret)
        actions.add("certificates.remove", "DELETE", "/control/client-certificates", self.remove_certificate)

    def new_key(self, body: JSON) -> JSON:
        """Make a key of a service account, and the account with its first one: ``email``. Return the key's file."""
        account = self._service_account(str(body.get("email") or _EMAIL))
        return dict(account.new_key(f"{self._world.google_url}/token"))

    def set_platform(self, body: JSON) -> JSON:
        """Give the machine the identity ``email``, none when it is empty; ``maySign`` (true) for the account ``signs``.

        ``apiEnabled`` (true): whether the project of the account has enabled the IAM Credentials API.
        """
        account = self._service_account(str(body.get("signs") or _EMAIL))
        email = str(body.get("email", account.email))
        account.signers = {email} if flag(body, "maySign", default=True) else set()
        account.is_api_enabled = flag(body, "apiEnabled", default=True)
        self._world.platform_identity = email
        return {"email": email, "signs": account.email, "clientId": account.client_id}

    def forget_key(self, body: JSON) -> JSON:
        """Delete a key of any service account by its id."""
        gone = [one for one in self._world.service_accounts.values() if one.keys.pop(str(body["key"]), None)]
        if not gone:
            raise ControlError(404, "no such key")
        return {"email": gone[0].email}

    def delegate(self, body: JSON) -> JSON:
        """Grant a service account (``clientId``) ``scopes`` in a ``domain``, in the place of those before.

        ``mistaken`` maps addresses to the accounts whose tokens Google gives instead.
        """
        client_id, domain = str(body["clientId"]), str(body["domain"])
        found = [one for one in self._world.service_accounts.values() if one.client_id == client_id]
        if not found:
            raise ControlError(404, "no such service account")
        scopes = frozenset(LONG.get(scope, scope) for scope in body.get("scopes", ()))
        found[0].granted[domain] = scopes
        found[0].mistaken = {str(one): str(other) for one, other in body.get("mistaken", {}).items()}
        return {"clientId": client_id, "domain": domain, "scopes": sorted(scopes)}

    def add_certificate(self, body: JSON) -> JSON:
        """Register a certificate for Microsoft's application: ``certificate`` as PEM."""
        self._certificates().add(str(body["certificate"]))
        return {}

    def remove_certificate(self, body: JSON) -> JSON:
        """Remove a certificate from Microsoft's application: ``certificate`` as PEM."""
        self._certificates().remove(str(body["certificate"]))
        return {}

    def set_secret(self, body: JSON) -> JSON:
        """Give Microsoft's application another secret: ``secret``."""
        client = self._client()
        self._world.clients["ms365"][client.client_id] = replace(client, client_secret=str(body["secret"]))
        return {}

    def _service_account(self, email: str) -> ServiceAccount:
        accounts = self._world.service_accounts
        if email not in accounts:
            accounts[email] = ServiceAccount(email, str(_CLIENT_ID + len(accounts) + 1))
        return accounts[email]

    def _client(self) -> Client:
        return next(one for one in self._world.clients["ms365"].values() if not one.is_public)

    def _certificates(self) -> ClientCertificates:
        return self._world.client_certificates.setdefault(self._client().client_id, ClientCertificates())
