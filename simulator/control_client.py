"""A client of the control API, for tests and for the shell.

``python -m simulator.control_client URL METHOD PATH [name=value ...]``.
"""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar
from urllib.parse import quote

import yaml

from simulator.control_calendars import CalendarControl
from simulator.control_requests import account_path, as_list, as_object
from simulator.http import JSON

Result = TypeVar("Result")


class SimulatorControl(CalendarControl):
    """The control API for tests; every method is one request and returns the answer's JSON.

    Args:
        url: Address of the control API, ``controlUrl`` of the ready file.

    Use it in ``async with``, or close it with :meth:`close`.
    """

    # Accounts and grants

    async def create_account(self, provider: str, address: str, **facts: Any) -> JSON:
        """Add an account; ``count`` with ``{n}`` in the address adds many."""
        return as_object(await self.request("POST", "/accounts", {"provider": provider, "address": address, **facts}))

    async def accounts(self, provider: str = "") -> list[JSON]:
        """Return the accounts."""
        return as_list(await self.request("GET", "/accounts", provider=provider))

    async def update_account(self, account: str, **facts: Any) -> JSON:
        """Change any of the facts that ``create_account`` takes, but id and directory."""
        return as_object(await self.request("PATCH", account_path(account), facts))

    async def remove_account(self, account: str) -> JSON:
        """Remove an account."""
        return as_object(await self.request("DELETE", account_path(account)))

    async def issue_tokens(self, account: str, **facts: Any) -> JSON:
        """Return a token response without a browser: ``scopes``, ``clientId``."""
        return as_object(await self.request("POST", f"{account_path(account)}/grants", facts))

    async def revoke(self, account: str, **facts: Any) -> JSON:
        """Revoke an account's grants: ``reason``, ``access``, ``subscriptions``."""
        return as_object(await self.request("POST", f"{account_path(account)}/revoke", facts))

    async def expire_access_tokens(self, account: str = "") -> JSON:
        """Expire access tokens at once, of one account or of all."""
        return as_object(await self.request("POST", "/expire-access-tokens", {"account": account}))

    async def new_service_account_key(self, **facts: Any) -> JSON:
        """Make a key of a service account at Google, and return its file: ``email``."""
        return as_object(await self.request("POST", "/service-accounts", facts))

    async def forget_service_account_key(self, key_id: str) -> JSON:
        """Delete a key of a service account."""
        return as_object(await self.request("DELETE", f"/service-accounts/keys/{quote(key_id, safe='')}"))

    async def delegate(self, client_id: str, domain: str, scopes: Sequence[str], **facts: Any) -> JSON:
        """Grant a service account scopes in a domain, in the place of those before: ``mistaken``."""
        facts |= {"clientId": client_id, "domain": domain, "scopes": list(scopes)}
        return as_object(await self.request("POST", "/delegations", facts))

    async def set_platform_identity(self, **facts: Any) -> JSON:
        """Give the machine an identity of Google's platform: ``email``, ``signs``, ``maySign``, ``apiEnabled``."""
        return as_object(await self.request("POST", "/platform-identity", facts))

    async def set_client_secret(self, secret: str) -> JSON:
        """Give Microsoft's application another secret."""
        return as_object(await self.request("POST", "/client-secret", {"secret": secret}))

    async def add_client_certificate(self, certificate: str) -> JSON:
        """Register a certificate for Microsoft's application."""
        return as_object(await self.request("POST", "/client-certificates", {"certificate": certificate}))

    async def remove_client_certificate(self, certificate: str) -> JSON:
        """Remove a certificate from Microsoft's application."""
        return as_object(await self.request("DELETE", "/client-certificates", {"certificate": certificate}))

    # Mail

    async def deliver(self, account: str, **mail: Any) -> JSON:
        """Deliver one mail: ``eml``, ``emlBase64`` or fields, and ``folder``, ``labels``, ``isRead``, ``silent``."""
        return as_object(await self.request("POST", f"{account_path(account)}/messages", mail))

    async def generate(self, account: str, count: int, **facts: Any) -> JSON:
        """Deliver generated mails: ``seed``, ``first``, ``show``."""
        return as_object(await self.request("POST", f"{account_path(account)}/generate", {"count": count, **facts}))

    async def load_old(self, account: str, count: int, **facts: Any) -> JSON:
        """Put old generated mails into a mailbox, silently: ``seed``, ``days``, ``folder``, ``labels``."""
        return as_object(await self.request("POST", f"{account_path(account)}/load", {"count": count, **facts}))

    async def deliver_to_many(self, accounts: Sequence[str], count: int, **facts: Any) -> JSON:
        """Deliver generated mails to each of some accounts, turn by turn: ``seed``, ``first``."""
        return as_object(await self.request("POST", "/deliver", {"accounts": list(accounts), "count": count, **facts}))

    async def churn(self, account: str, count: int, seed: int = 1) -> JSON:
        """Do random things to a mailbox."""
        return as_object(await self.request("POST", f"{account_path(account)}/churn", {"count": count, "seed": seed}))

    async def update(self, account: str, mail_id: str, **changes: Any) -> JSON:
        """Change ``isRead``, ``isFlagged``, ``categories``, ``importance``, or ``addLabels``, ``removeLabels``."""
        return as_object(await self.request("PATCH", _mail(account, mail_id), changes))

    async def move(self, account: str, mail_id: str, folder: str) -> JSON:
        """Move a mail to a folder, or out of the inbox to a label."""
        return as_object(await self.request("POST", f"{_mail(account, mail_id)}/move", {"folder": folder}))

    async def trash(self, account: str, mail_id: str) -> JSON:
        """Put a mail into the trash."""
        return as_object(await self.request("POST", f"{_mail(account, mail_id)}/trash"))

    async def restore(self, account: str, mail_id: str) -> JSON:
        """Take a mail out of the trash."""
        return as_object(await self.request("POST", f"{_mail(account, mail_id)}/restore"))

    async def delete(self, account: str, mail_id: str) -> JSON:
        """Delete a mail for good."""
        return as_object(await self.request("DELETE", _mail(account, mail_id)))

    async def create_draft(self, account: str, **fields: Any) -> JSON:
        """Keep a draft."""
        return as_object(await self.request("POST", f"{account_path(account)}/drafts", fields))

    async def update_draft(self, account: str, mail_id: str, **fields: Any) -> JSON:
        """Change a draft's content; at Gmail the answer has its new id."""
        return as_object(
            await self.request("PATCH", f"{account_path(account)}/drafts/{quote(mail_id, safe='')}", fields)
        )

    async def send_draft(self, account: str, mail_id: str) -> JSON:
        """Send a draft; at Gmail the answer has its new id."""
        return as_object(await self.request("POST", f"{account_path(account)}/drafts/{quote(mail_id, safe='')}/send"))

    async def truth(self, account: str) -> JSON:
        """Return ``messages`` and ``deleted`` of a mailbox with their state."""
        return as_object(await self.request("GET", f"{account_path(account)}/truth"))

    async def add_folder(self, account: str, name: str, **facts: Any) -> JSON:
        """Add a folder or label."""
        return as_object(await self.request("POST", f"{account_path(account)}/folders", {"name": name, **facts}))

    async def lag(
        self, account: str, *, list_seconds: float = 0, history_seconds: float = 0, old_answers: int = 0
    ) -> JSON:
        """Let lists and searches, and Gmail's history, know new mail only after a while."""
        facts = {"listSeconds": list_seconds, "historySeconds": history_seconds, "oldHistoryAnswers": old_answers}
        return as_object(await self.request("POST", f"{account_path(account)}/lag", facts))

    async def expire_history(self, account: str, **facts: Any) -> JSON:
        """Make history ids or delta tokens too old: for Gmail ``back``, for Graph ``status`` and ``code``."""
        return as_object(await self.request("POST", f"{account_path(account)}/expire-history", facts))

    # Faults, calls, clock, settings

    async def add_fault(self, kind: str, **facts: Any) -> JSON:
        """Put a fault in force; see :class:`simulator.faults.Fault`."""
        return as_object(await self.request("POST", "/faults", {"kind": kind, **facts}))

    async def remove_fault(self, fault_id: int) -> JSON:
        """End one fault, by the id that :meth:`add_fault` answered, and leave those of others."""
        return as_object(await self.request("DELETE", f"/faults/{fault_id}"))

    async def clear_faults(self) -> JSON:
        """End all faults."""
        return as_object(await self.request("DELETE", "/faults"))

    async def calls(self, **filters: Any) -> list[JSON]:
        """Return the newest calls: ``endpoint``, ``account``, ``status``, ``after``, ``limit``."""
        return as_list(await self.request("GET", "/calls", **filters))

    async def call_count(self, endpoint: str = "*", account: str = "*", status: int = 0) -> int:
        """Return how many calls match."""
        counts = await self.request("GET", "/calls/counts", endpoint=endpoint, account=account, status=status)
        return int(counts["total"])

    async def call_counts(self, **filters: Any) -> JSON:
        """Return counts by endpoint and status, and the most Graph requests at once per mailbox."""
        return as_object(await self.request("GET", "/calls/counts", **filters))

    async def reset_calls(self) -> JSON:
        """Forget all calls."""
        return as_object(await self.request("DELETE", "/calls"))

    async def advance_clock(self, seconds: float) -> JSON:
        """Move the clock forward."""
        return as_object(await self.request("POST", "/clock", {"advanceSeconds": seconds}))

    async def set(self, **settings: Any) -> JSON:
        """Change settings; see :class:`simulator.knobs.Knobs`."""
        return as_object(await self.request("PATCH", "/settings", settings))

    async def reset(self) -> JSON:
        """End faults, forget calls and pushes, put clock and settings back; accounts and mail stay."""
        return as_object(await self.request("POST", "/reset"))

    # Subscriptions, watches, pushes

    async def subscriptions(self, account: str = "") -> list[JSON]:
        """Return Graph's living subscriptions."""
        return as_list(await self.request("GET", "/subscriptions", account=account))

    async def silence_subscription(self, subscription_id: str, *, silent: bool = True) -> JSON:
        """Make a subscription dead silently, or alive again."""
        return as_object(await self.request("POST", f"/subscriptions/{subscription_id}/silence", {"silent": silent}))

    async def remove_subscription(self, subscription_id: str) -> JSON:
        """Forget a subscription silently."""
        return as_object(await self.request("DELETE", f"/subscriptions/{subscription_id}"))

    async def send_lifecycle(self, subscription_id: str, event: str) -> JSON:
        """Send ``reauthorizationRequired``, ``subscriptionRemoved`` or ``missed``."""
        return as_object(await self.request("POST", f"/subscriptions/{subscription_id}/lifecycle", {"event": event}))

    async def watches(self) -> list[JSON]:
        """Return Gmail's living watches."""
        return as_list(await self.request("GET", "/watches"))

    async def silence_watch(self, account: str, *, silent: bool = True) -> JSON:
        """Make a watch dead silently, or alive again."""
        return as_object(await self.request("POST", f"{account_path(account)}/watch/silence", {"silent": silent}))

    async def remove_watch(self, account: str) -> JSON:
        """Forget a watch silently."""
        return as_object(await self.request("DELETE", f"{account_path(account)}/watch"))

    async def pushes(self, limit: int = 1000) -> JSON:
        """Return ``log``, ``counts`` and ``pending`` of the POSTs to notification URLs."""
        return as_object(await self.request("GET", "/pushes", limit=limit))

    async def wait_until_pushed(self, seconds: float = 10.0) -> bool:
        """Wait until no notification is on its way; return whether that came to pass."""
        return bool((await self.request("GET", "/pushes/idle", seconds=seconds))["idle"])

    async def set_pubsub(self, **facts: Any) -> JSON:
        """Change ``endpoint``, ``audience``, ``serviceAccount`` of the pushes."""
        return as_object(await self.request("PATCH", "/pubsub", facts))

    async def set_pull(self, **facts: Any) -> JSON:
        """Create the pull subscription (``exists``), or refuse its consumer (``refused``); returns its state."""
        return as_object(await self.request("PATCH", "/pubsub/pull", facts))

    async def pulled(self) -> JSON:
        """Return the state of the pull subscription."""
        return as_object(await self.request("GET", "/pubsub/pull"))

    async def publish(self, **facts: Any) -> JSON:
        """Publish to the pull subscription alone: ``address``, ``historyId``, ``data``."""
        return as_object(await self.request("POST", "/pubsub/publish", facts))

    async def make_key(self, **facts: Any) -> JSON:
        """Make a key of the service account that may consume the subscription, or of another ``address``."""
        return as_object(await self.request("POST", "/pubsub/key", facts))

    async def remove_keys(self) -> JSON:
        """Remove all keys of service accounts."""
        return as_object(await self.request("DELETE", "/pubsub/key"))

    async def forge_push(self, **facts: Any) -> JSON:
        """Return ``token`` and ``body`` of a push: ``claims`` overrides, ``wrongKey``, ``address``, ``historyId``."""
        return as_object(await self.request("POST", "/pubsub/forge", facts))

    async def rotate_keys(self, provider: str) -> JSON:
        """Give a provider a new signing key."""
        return as_object(await self.request("POST", "/keys/rotate", {"provider": provider}))

    async def run_scenario(self, scenario: JSON) -> JSON:
        """Start a scenario, given as the JSON of a scenario file."""
        return as_object(await self.request("POST", "/scenario", scenario))

    async def start_load(self, accounts: Sequence[str], per_second: float, seconds: float, seed: int = 1) -> JSON:
        """Deliver generated mail at a steady rate, in the background."""
        body = {"accounts": list(accounts), "perSecond": per_second, "seconds": seconds, "seed": seed}
        return as_object(await self.request("POST", "/load", body))


def blocking(url: str, work: Callable[[SimulatorControl], Awaitable[Result]]) -> Result:
    """Do some work where there is no event loop, e.g. ``blocking(url, lambda c: c.truth("a@b.test"))``."""

    async def do() -> Result:
        async with SimulatorControl(url) as control:
            return await work(control)

    return asyncio.run(do())


def _mail(account: str, mail_id: str) -> str:
    return f"{account_path(account)}/messages/{quote(mail_id, safe='')}"


def main(arguments: Sequence[str]) -> int:
    """Do one request from the shell and print the answer."""
    if len(arguments) < 3:
        print("usage: python -m simulator.control_client URL METHOD PATH [name=value ...]", file=sys.stderr)  # noqa: T201
        return 2
    url, method, path, *pairs = arguments
    body = {name: yaml.safe_load(value) for name, _, value in (pair.partition("=") for pair in pairs)}
    answer = blocking(url, lambda control: control.request(method.upper(), path.removeprefix("/control"), body or None))
    print(json.dumps(answer, indent=2))  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
