"""The state that outlives a restart: accounts, mail, refresh tokens, subscriptions and watches, in one JSON file.

Logs of changes are not kept: after a restart delta tokens and history ids are too old, as real ones sometimes are.
"""

import base64
import json
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

from simulator.accounts import Account
from simulator.directory import Directory
from simulator.eml import Eml, MailSource
from simulator.files import write_private
from simulator.generate import GeneratedMail
from simulator.google.watch import Watch, Watches
from simulator.http import JSON
from simulator.mailboxes.folders import Folder
from simulator.mailboxes.gmail import GmailMailbox
from simulator.mailboxes.gmail_mail import GmailMail
from simulator.mailboxes.graph import GraphMailbox
from simulator.mailboxes.graph_mail import GraphMail
from simulator.microsoft.registry import Subscription, SubscriptionRegistry
from simulator.state import World
from simulator.tokens import Refresh

_HISTORY_GAP = 10_000_000
_ACCOUNT = ("id", "directory", "address", "principal", "name", "consent", "has_mailbox", "is_admin")
_MAIL = ("serial", "received_ms", "thread", "is_read", "is_draft", "version", "modified_ms", "fields")
_GRAPH_MAIL = (
    *_MAIL,
    "folder",
    "moves",
    "categories",
    "importance",
    "is_flagged",
    "home",
    *("is_flag_complete", "classification", "properties"),
)
_SUBSCRIPTION = (
    *("id", "client_id", "resource", "folder", "change_type", "notification_url", "lifecycle_url", "client_state"),
    *("is_immutable", "is_silenced"),
)


class Memory:
    """Saves the world to a file and restores it from there.

    Args:
        path: The file; it holds tokens, so only its owner may read it.
        world: The state to save.
        directory: Makes the accounts.
        subscriptions: Graph's subscriptions.
        watches: Gmail's watches.
    """

    def __init__(
        self, path: Path, world: World, directory: Directory, subscriptions: SubscriptionRegistry, watches: Watches
    ) -> None:
        self._path = path
        self._world = world
        self._directory = directory
        self._subscriptions = subscriptions
        self._watches = watches
        self._saved: tuple[int, ...] = ()

    def save(self) -> None:
        """Write the file, unless the world is unchanged since the last time."""
        present = self._mark()
        if present == self._saved:
            return
        content = {
            "offsetSeconds": self._world.clock.offset_seconds,
            "accounts": [self._account(account) for accounts in self._world.accounts.values() for account in accounts],
            # After a restart the calendars are others, so that nothing is left to subscribe to.
            "subscriptions": [_subscription(one) for one in self._subscriptions.every() if not one.calendar],
            "watches": [_watch(watch) for watch in self._watches.every()],
        }
        write_private(self._path, json.dumps(content, separators=(",", ":")))
        self._saved = present

    def recall(self) -> None:
        """Restore the world from the file, if there is one.

        Raises:
            ValueError: The file was not written by the simulator.
        """
        if not self._path.exists():
            return
        content = json.loads(self._path.read_text())
        self._world.clock.offset_seconds = content["offsetSeconds"]
        for facts in content["accounts"]:
            self._recall_account(facts)
        for facts in content["subscriptions"]:
            self._subscriptions.put(_recall_subscription(facts, self._owner(facts["account"])))
        for facts in content["watches"]:
            self._watches.put(_recall_watch(facts, self._owner(facts["account"])))

    def _mark(self) -> tuple[int, ...]:
        """Return numbers that differ whenever something that is saved has changed."""
        accounts = [account for accounts in self._world.accounts.values() for account in accounts]
        changes = sum(_changes(account) for account in accounts)
        return len(accounts), changes, self._world.calls.total

    def _owner(self, account_id: str) -> Account:
        account = self._world.account(account_id)
        if account is None:
            raise ValueError(f"{self._path}: no account {account_id}")
        return account

    def _account(self, account: Account) -> JSON:
        tokens = self._world.tokens[account.provider].of(account)
        return {
            **{name: getattr(account, name) for name in _ACCOUNT},
            "provider": account.provider,
            "delegates": sorted(account.delegates),
            "groups": list(account.groups),
            "granted": {client: sorted(scopes) for client, scopes in account.granted.items()},
            "refresh": [[text, token.client_id, list(token.scopes), token.last_used_at] for text, token in tokens],
            "mailbox": _graph(account.mailbox)
            if isinstance(account.mailbox, GraphMailbox)
            else _gmail(account.mailbox),
        }

    def _recall_account(self, facts: JSON) -> None:
        names = {"name": facts["name"], "account_id": facts["id"], "directory": facts["directory"]}
        account = self._directory.add(facts["provider"], facts["address"], principal=facts["principal"], **names)
        account.consent, account.has_mailbox = facts["consent"], facts["has_mailbox"]
        account.is_admin = facts.get("is_admin", False)
        account.delegates = set(facts.get("delegates", ()))
        account.groups = tuple(facts.get("groups", ()))
        account.granted = {client: set(scopes) for client, scopes in facts["granted"].items()}
        for text, client_id, scopes, used_at in facts["refresh"]:
            refresh = Refresh(account, client_id, tuple(scopes), used_at)
            self._world.tokens[account.provider].add_refresh(text, refresh, len(facts["refresh"]))
        if isinstance(account.mailbox, GraphMailbox):
            _recall_graph(account.mailbox, facts["mailbox"])
        else:
            _recall_gmail(account.mailbox, facts["mailbox"])


def _changes(account: Account) -> int:
    mailbox = account.mailbox
    moved = mailbox.position if isinstance(mailbox, GraphMailbox) else mailbox.history_id
    return moved + mailbox.serial


def _source(source: MailSource) -> JSON:
    if isinstance(source, GeneratedMail):
        return {"seed": source.seed, "number": source.number, "to": source.to, "ms": source.received_ms}
    return {"eml": base64.b64encode(source.raw()).decode()}


def _recall_source(facts: JSON) -> MailSource:
    if "eml" in facts:
        return Eml(base64.b64decode(facts["eml"]))
    return GeneratedMail(facts["seed"], facts["number"], facts["to"], facts["ms"])


def _mails(mails: Iterable[GraphMail] | Iterable[GmailMail], names: tuple[str, ...]) -> list[JSON]:
    return [{**{name: getattr(mail, name) for name in names}, "source": _source(mail.source)} for mail in mails]


def _with_source(facts: JSON, make: Callable[..., Any], **more: Any) -> Any:
    return make(**{**facts, "source": _recall_source(facts["source"]), **more})


def _graph(mailbox: GraphMailbox) -> JSON:
    return {
        "serial": mailbox.serial,
        "position": mailbox.position,
        "deltaEpoch": mailbox.delta_epoch,
        "deleted": mailbox.deleted,
        "folderNumber": mailbox.folder_number,
        "folders": [[folder.id, folder.name, folder.parent, folder.well_known] for folder in mailbox.folders.values()],
        "mails": _mails(mailbox.mails.values(), _GRAPH_MAIL),
    }


def _recall_graph(mailbox: GraphMailbox, facts: JSON) -> None:
    mailbox.position, mailbox.deleted = facts["position"], facts["deleted"]
    mailbox.delta_epoch = facts["deltaEpoch"] + 1
    for folder_id, name, parent, well_known in facts["folders"]:
        mailbox.folders.setdefault(folder_id, Folder(folder_id, name, parent, well_known))
    mailbox.folder_number = facts.get("folderNumber", len(mailbox.folders))
    mails = [_with_source(one, GraphMail) for one in facts["mails"]]
    mailbox.resume(facts["serial"], mails)
    for folder in mailbox.folders.values():
        folder.timeline.add_many(mail for mail in mails if mail.folder == folder.id)


def _gmail(mailbox: GmailMailbox) -> JSON:
    mails = [
        {
            **facts,
            "labels": sorted(mail.labels),
            "home": sorted(mail.home),
            **{name: getattr(mail, name) for name in ("history_id", "draft_id")},
        }
        for facts, mail in zip(_mails(mailbox.mails.values(), _MAIL), mailbox.mails.values(), strict=True)
    ]
    return {
        "serial": mailbox.serial,
        "historyId": mailbox.history_id,
        "deleted": mailbox.deleted,
        "labels": mailbox.user_labels,
        "labelSettings": mailbox.label_settings,
        "aliases": mailbox.aliases,
        "aliasSettings": mailbox.alias_settings,
        "defaultAlias": mailbox.default_alias,
        "mails": mails,
    }


def _recall_gmail(mailbox: GmailMailbox, facts: JSON) -> None:
    mailbox.deleted, mailbox.user_labels = facts["deleted"], facts["labels"]
    mailbox.label_settings = facts.get("labelSettings", {})
    mailbox.aliases, mailbox.alias_settings = facts.get("aliases", {}), facts.get("aliasSettings", {})
    mailbox.default_alias = facts.get("defaultAlias", "")
    mailbox.history_id = facts["historyId"] + _HISTORY_GAP
    mailbox.expire_history()
    mails = [
        _with_source(one, GmailMail, labels=set(one["labels"]), home=frozenset(one["home"])) for one in facts["mails"]
    ]
    mailbox.resume(facts["serial"], mails)


def _subscription(subscription: Subscription) -> JSON:
    facts = {name: getattr(subscription, name) for name in _SUBSCRIPTION}
    return {**facts, "account": subscription.account.id, "expires_at": subscription.expires_at.isoformat()}


def _recall_subscription(facts: JSON, account: Account) -> Subscription:
    kinds = frozenset(kind.strip().lower() for kind in facts["change_type"].split(","))
    expires_at = datetime.fromisoformat(facts["expires_at"])
    return Subscription(**{**facts, "account": account, "kinds": kinds, "expires_at": expires_at})


def _watch(watch: Watch) -> JSON:
    names = ("topic", "is_exclusion", "expires_ms", "is_silenced")
    facts = {name: getattr(watch, name) for name in names}
    return {**facts, "account": watch.account.id, "labels": sorted(watch.labels)}


def _recall_watch(facts: JSON, account: Account) -> Watch:
    return Watch(**{**facts, "account": account, "labels": frozenset(facts["labels"])})
