"""Control of accounts, grants and mail."""

import asyncio
import base64
from functools import partial
from typing import Any

from simulator.accounts import Account
from simulator.control.actions import Actions, ControlError, account_of, flag
from simulator.directory import Directory
from simulator.google.accounts import long_scopes
from simulator.google.token import TokenEndpoint as GoogleTokens
from simulator.google.watch import Watches
from simulator.http import JSON
from simulator.mailboxes.gmail import GmailMailbox
from simulator.mailboxes.graph import GraphMailbox
from simulator.microsoft.notify import Notifier
from simulator.microsoft.registry import SubscriptionRegistry
from simulator.microsoft.token import TokenEndpoint as MicrosoftTokens
from simulator.postman import Postman
from simulator.state import World

_MS_SCOPES = "openid profile email offline_access User.Read Mail.Read"
_GOOGLE_SCOPES = "openid email https://www.googleapis.com/auth/gmail.readonly"
_SLICE = 200


class MailControl:
    """The actions on accounts, grants and mail."""

    def __init__(
        self,
        world: World,
        *,
        directory: Directory,
        postman: Postman,
        microsoft: MicrosoftTokens,
        google: GoogleTokens,
        watches: Watches,
        subscriptions: SubscriptionRegistry,
        notifier: Notifier,
    ) -> None:
        self._world = world
        self._watches = watches
        self._subscriptions = subscriptions
        self._notifier = notifier
        self._directory = directory
        self._postman = postman
        self._microsoft = microsoft
        self._google = google

    def register(self, actions: Actions) -> None:
        """Add the actions to the table."""
        one = "/control/accounts/{account}"
        mail = f"{one}/messages/{{id}}"
        actions.add("accounts.create", "POST", "/control/accounts", self.create)
        actions.add("accounts.list", "GET", "/control/accounts", self.every)
        actions.add("accounts.get", "GET", one, lambda body: self._shown(account_of(self._world, body)))
        actions.add("accounts.update", "PATCH", one, self.update)
        actions.add("accounts.remove", "DELETE", one, self.remove)
        actions.add("grants.issue", "POST", f"{one}/grants", self.issue)
        actions.add("grants.revoke", "POST", f"{one}/revoke", self.revoke)
        actions.add("grants.expire", "POST", "/control/expire-access-tokens", self.expire)
        actions.add("mail.bulk", "POST", "/control/deliver", self.bulk)
        actions.add("mail.deliver", "POST", f"{one}/messages", self.deliver)
        actions.add("mail.generate", "POST", f"{one}/generate", self.generate)
        actions.add("mail.load", "POST", f"{one}/load", self.load)
        actions.add(
            "mail.churn", "POST", f"{one}/churn", lambda body: self._postman.churn(account_of(self._world, body), body)
        )
        actions.add(
            "mail.draft",
            "POST",
            f"{one}/drafts",
            lambda body: self._postman.draft(account_of(self._world, body), _fields(body)),
        )
        actions.add("mail.truth", "GET", f"{one}/truth", self.truth)
        actions.add("mail.eml", "GET", f"{mail}/eml", self.eml)
        actions.add("mail.update", "PATCH", mail, partial(self._act, "update"))
        actions.add("mail.delete", "DELETE", mail, partial(self._act, "delete"))
        for verb in ("move", "trash", "restore"):
            actions.add(f"mail.{verb}", "POST", f"{mail}/{verb}", partial(self._act, verb))
        actions.add("mail.redraft", "PATCH", f"{one}/drafts/{{id}}", partial(self._act, "redraft"))
        actions.add("mail.send", "POST", f"{one}/drafts/{{id}}/send", partial(self._act, "send"))
        actions.add("folders.add", "POST", f"{one}/folders", self.add_folder)
        actions.add("folders.list", "GET", f"{one}/folders", self.folders)
        actions.add("mail.lag", "POST", f"{one}/lag", self.lag)
        actions.add("history.expire", "POST", f"{one}/expire-history", self.expire_history)

    # Accounts

    def create(self, body: JSON) -> Any:
        """Add one account, or ``count`` of them with ``{n}`` in the address."""
        count = int(body.get("count", 1))
        address = str(body.get("address", ""))
        if (
            "@" not in address
            or body.get("provider") not in self._world.accounts
            or (count > 1 and "{n}" not in address)
        ):
            raise ControlError(400, "needs a provider and an address; with a count, {n} in the address")
        made = [self._create(body, address.replace("{n}", str(number))) for number in range(count)]
        return (
            made[0]
            if "{n}" not in address
            else {"created": len(made), "addresses": [account["address"] for account in made]}
        )

    def _create(self, body: JSON, address: str) -> JSON:
        text = {key: str(body.get(key, "")) for key in ("name", "directory", "principal")}
        account = self._directory.add(body["provider"], address, account_id=str(body.get("id", "")), **text)
        self.update({**body, "account": account.address, "address": account.address})
        return self._shown(account)

    def every(self, body: JSON) -> list[JSON]:
        """Return the accounts, of one provider or of both."""
        wanted = body.get("provider", "")
        return [
            self._shown(account)
            for provider, accounts in self._world.accounts.items()
            if wanted in ("", provider)
            for account in accounts
        ]

    def update(self, body: JSON) -> JSON:
        """Change any of the facts that ``create`` takes, but id and directory."""
        account = account_of(self._world, body)
        if body.get("address", account.address) != account.address:
            self._world.accounts[account.provider].rename(account, str(body["address"]))
        account.principal = str(body.get("principal") or account.principal)
        account.name = str(body.get("name") or account.name)
        account.has_mailbox = flag(body, "hasMailbox", default=account.has_mailbox)
        account.is_admin = flag(body, "isAdmin", default=account.is_admin)
        account.is_suspended = flag(body, "isSuspended", default=account.is_suspended)
        consent = body.get("consent", account.consent)
        if consent not in {"allowed", "admin_required", "blocked"}:
            raise ControlError(400, "consent is allowed, admin_required or blocked")
        account.consent = consent
        if "delegates" in body:
            account.delegates = {str(address).lower() for address in body["delegates"]}
        if "groups" in body:
            account.groups = tuple(str(group) for group in body["groups"])
        if "sendAs" in body and isinstance(account.mailbox, GmailMailbox):
            account.mailbox.aliases = _aliases(body["sendAs"])
        return self._shown(account)

    def remove(self, body: JSON) -> JSON:
        """Remove an account: its tokens die, its subscriptions go."""
        account = account_of(self._world, body)
        self.revoke(
            {
                **body,
                "access": True,
                "subscriptions": True,
                "reason": "50034" if account.provider == "ms365" else "Account has been deleted",
            }
        )
        self._world.accounts[account.provider].remove(account)
        return {"removed": account.address}

    def _shown(self, account: Account) -> JSON:
        return {
            "provider": account.provider,
            "id": account.id,
            "directory": account.directory,
            "externalAccountId": f"{account.directory}.{account.id}" if account.provider == "ms365" else account.id,
            "address": account.address,
            "principal": account.principal,
            "name": account.name,
            "consent": account.consent,
            "hasMailbox": account.has_mailbox,
            "isAdmin": account.is_admin,
            "isSuspended": account.is_suspended,
            "delegates": sorted(account.delegates),
            "groups": list(account.groups),
            "sendAs": dict(account.mailbox.aliases) if isinstance(account.mailbox, GmailMailbox) else {},
            "messages": len(account.mailbox.mails),
            "refreshTokens": self._world.tokens[account.provider].alive_refresh(account),
        }

    # Grants

    def issue(self, body: JSON) -> JSON:
        """Issue tokens without the browser: ``clientId``, ``scopes``."""
        account = account_of(self._world, body)
        client_id = str(body.get("clientId") or next(iter(self._world.clients[account.provider])))
        if account.provider == "ms365":
            scopes = tuple(str(body.get("scopes") or _MS_SCOPES).split())
            return self._microsoft.issue(account, client_id, scopes)
        scopes = long_scopes(tuple(str(body.get("scopes") or _GOOGLE_SCOPES).split()))
        return self._google.issue(account, client_id, scopes, is_offline=True)

    def revoke(self, body: JSON) -> JSON:
        """Revoke an account's refresh tokens: ``reason``, and with ``access`` and ``subscriptions`` those too."""
        account = account_of(self._world, body)
        usual = "50173" if account.provider == "ms365" else "Token has been expired or revoked."
        tokens = self._world.tokens[account.provider]
        killed = tokens.kill_refresh(account, str(body.get("reason") or usual))
        account.granted.clear()
        access = tokens.kill_access(account) if flag(body, "access", default=True) else 0
        if flag(body, "subscriptions"):
            self._end_pushes(account)
        return {"refreshTokens": killed, "accessTokens": access}

    def _end_pushes(self, account: Account) -> None:
        if account.provider == "googlews":
            self._watches.remove(account)
            return
        for subscription in self._subscriptions.of(account):
            self._notifier.lifecycle(subscription, "subscriptionRemoved")

    def expire(self, body: JSON) -> JSON:
        """Expire access tokens at once, of one account or of all."""
        account = account_of(self._world, body) if body.get("account") else None
        return {"accessTokens": sum(tokens.kill_access(account) for tokens in self._world.tokens.values())}

    # Mail

    def deliver(self, body: JSON) -> Any:
        """Deliver one mail, or each of ``messages``."""
        account = account_of(self._world, body)
        if "messages" in body:
            return [self._postman.deliver(account, self._postman.source(account, one), one) for one in body["messages"]]
        return self._postman.deliver(account, self._postman.source(account, _fields(body)), body)

    async def generate(self, body: JSON) -> JSON:
        """Deliver ``count`` generated mails, giving way to other work now and then."""
        account = account_of(self._world, body)
        count, first = int(body.get("count", 1)), int(body.get("first", 0))
        made: list[JSON] = []
        for start in range(first, first + count, _SLICE):
            made += self._postman.generate(
                account, {**body, "first": start, "count": min(_SLICE, first + count - start)}
            )
            await asyncio.sleep(0)
        return {"delivered": len(made), "messages": made if flag(body, "show", default=count <= _SLICE) else []}

    async def bulk(self, body: JSON) -> JSON:
        """Deliver ``count`` generated mails to each of ``accounts``, turn by turn; to all when none are named."""
        names = body.get("accounts") or [account["address"] for account in self.every(body)]
        accounts = [account_of(self._world, {"account": name}) for name in names]
        delivered = 0
        for number in range(int(body.get("first", 0)), int(body.get("first", 0)) + int(body.get("count", 1))):
            for account in accounts:
                self._postman.generate(account, {**body, "first": number, "count": 1})
                delivered += 1
                if delivered % _SLICE == 0:
                    await asyncio.sleep(0)
        return {"delivered": delivered}

    def load(self, body: JSON) -> JSON:
        """Put old generated mail into a mailbox."""
        return {"loaded": self._postman.load(account_of(self._world, body), body)}

    def truth(self, body: JSON) -> JSON:
        """Return all mails of a mailbox with their state, those deleted for good, and its counters."""
        mailbox = account_of(self._world, body).mailbox
        shown: JSON = {"address": mailbox.address, "deleted": mailbox.deleted}
        if isinstance(mailbox, GraphMailbox):
            shown["messages"] = [mailbox.truth(mail) for mail in mailbox.mails.values()]
        else:
            shown |= {
                "messages": [mailbox.truth(mail) for mail in mailbox.mails.values()],
                "historyId": str(mailbox.history_id),
            }
        return shown

    def eml(self, body: JSON) -> JSON:
        """Return a mail's bytes."""
        mail = self._postman.find(account_of(self._world, body), str(body["id"]))
        return {"emlBase64": base64.b64encode(mail.source.raw()).decode()}

    def _act(self, verb: str, body: JSON) -> JSON:
        return self._postman.act(account_of(self._world, body), str(body["id"]), verb, _fields(body))

    def add_folder(self, body: JSON) -> JSON:
        """Add a folder (``name``, ``parent``) or a label (``name``)."""
        mailbox = account_of(self._world, body).mailbox
        name = str(body.get("name", ""))
        if isinstance(mailbox, GmailMailbox):
            return {"id": mailbox.add_label(name), "name": name}
        folder = mailbox.add_folder(name, str(body.get("parent", "msgfolderroot")))
        return {"id": folder.id, "name": name, "path": mailbox.path(folder)}

    def folders(self, body: JSON) -> list[JSON]:
        """Return a mailbox's folders or labels with their counts."""
        mailbox = account_of(self._world, body).mailbox
        if isinstance(mailbox, GmailMailbox):
            names = sorted(
                {label for mail in mailbox.mails.values() for label in mail.labels} | set(mailbox.user_labels)
            )
            return [{"id": name, "name": mailbox.user_labels.get(name, name)} for name in names]
        return [
            {
                "id": folder.id,
                "path": mailbox.path(folder),
                "wellKnown": folder.well_known,
                "messages": len(folder.timeline),
            }
            for folder in mailbox.folders.values()
        ]

    def lag(self, body: JSON) -> JSON:
        """Let lists and searches know new mail after ``listSeconds``, and Gmail's history after ``historySeconds``.

        The next ``oldHistoryAnswers`` answers of the history come from a copy that has not reached the asked id.
        """
        mailbox = account_of(self._world, body).mailbox
        mailbox.list_lag_ms = int(float(body.get("listSeconds", 0)) * 1000)
        mailbox.history_lag_ms = int(float(body.get("historySeconds", 0)) * 1000)
        mailbox.old_history_answers = int(body.get("oldHistoryAnswers", 0))
        return {
            "listSeconds": mailbox.list_lag_ms / 1000,
            "historySeconds": mailbox.history_lag_ms / 1000,
            "oldHistoryAnswers": mailbox.old_history_answers,
        }

    def expire_history(self, body: JSON) -> JSON:
        """Make Gmail's history ids too old (or ``back`` too high), or Graph's delta tokens (``status``, ``code``)."""
        mailbox = account_of(self._world, body).mailbox
        if isinstance(mailbox, GmailMailbox):
            mailbox.expire_history(int(body.get("back", 0)))
            mailbox.calendars.epoch += 1
            return {"historyId": str(mailbox.history_id)}
        mailbox.delta_epoch += 1
        mailbox.delta_failure = (int(body.get("status", 410)), str(body.get("code", "syncStateNotFound")))
        return {"deltaEpoch": mailbox.delta_epoch}


def _fields(body: JSON) -> JSON:
    return {key: value for key, value in body.items() if key not in {"account", "id", "provider"}}


def _aliases(given: Any) -> dict[str, str]:
    """Return further addresses to send from, each ``accepted`` or ``pending``."""
    if not isinstance(given, dict) or not set(given.values()) <= {"accepted", "pending"}:
        raise ControlError(400, "sendAs has addresses, each accepted or pending")
    return {str(address): status for address, status in given.items()}
