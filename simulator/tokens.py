"""Codes, access tokens and refresh tokens of one provider, with their ends."""

import secrets
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TypeVar

from simulator.accounts import Account
from simulator.clock import Clock

_CODES_MAX = 10_000
_ACCESS_MAX = 500_000


@dataclass(slots=True)
class Code:
    """An authorization code and all it is bound to."""

    account: Account
    client_id: str
    redirect_uri: str
    scopes: tuple[str, ...]
    challenge: str
    nonce: str
    expires_at: float
    is_used: bool = False
    is_offline: bool = True
    issued: "list[str]" = field(default_factory=list)


@dataclass(slots=True)
class Grant:
    """The rights of an access token; ``account`` is None for an application's own token."""

    account: Account | None
    client_id: str
    scopes: frozenset[str]
    expires_at: float
    directory: str = ""


@dataclass(slots=True)
class Refresh:
    """A refresh token; ``dead`` is the reason why it no longer works, empty while it works."""

    account: Account
    client_id: str
    scopes: tuple[str, ...]
    last_used_at: float
    dead: str = ""


class Tokens:
    """All codes and tokens of a provider; each kind is bounded and the oldest go first."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._codes: OrderedDict[str, Code] = OrderedDict()
        self._access: OrderedDict[str, Grant] = OrderedDict()
        self._refresh: dict[str, Refresh] = {}
        self._held: dict[tuple[str, str], list[str]] = {}

    def add_code(self, code: Code, text: str) -> str:
        """Keep a code and return it."""
        _put(self._codes, text, code, _CODES_MAX)
        return text

    def code(self, text: str) -> Code | None:
        """Return the grant behind a code, also when the code is used or expired."""
        return self._codes.get(text)

    def add_access(self, text: str, grant: Grant) -> str:
        """Keep an access token and return it."""
        _put(self._access, text, grant, _ACCESS_MAX)
        return text

    def grant(self, text: str) -> Grant | None:
        """Return the rights of an access token, None when it is unknown or expired."""
        grant = self._access.get(text)
        return grant if grant is not None and grant.expires_at > self._clock.seconds() else None

    def add_refresh(self, text: str, refresh: Refresh, keep: int) -> str:
        """Keep a refresh token; of an account and client only the newest ``keep`` stay."""
        self._refresh[text] = refresh
        held = self._held.setdefault((refresh.account.id, refresh.client_id), [])
        held.append(text)
        while len(held) > keep:
            self._refresh.pop(held.pop(0), None)
        return text

    def refresh(self, text: str) -> Refresh | None:
        """Return the grant behind a refresh token, also when the token is dead."""
        return self._refresh.get(text)

    def of(self, account: Account) -> list[tuple[str, Refresh]]:
        """Return an account's refresh tokens that work, oldest first."""
        held = [text for (whose, _), texts in self._held.items() if whose == account.id for text in texts]
        return [(text, self._refresh[text]) for text in held if not self._refresh[text].dead]

    def account_of(self, text: str) -> Account | None:
        """Return whose token or code this is."""
        found = self._refresh.get(text) or self._access.get(text) or self._codes.get(text)
        return found.account if found else None

    def kill_refresh(self, account: Account, reason: str, client_id: str = "") -> int:
        """Make an account's refresh tokens useless; return how many were alive."""
        killed = 0
        for refresh in self._of(account, client_id):
            killed += not refresh.dead
            refresh.dead = refresh.dead or reason
        return killed

    def kill_access(self, account: Account | None = None, client_id: str = "") -> int:
        """Forget access tokens, of all accounts when none is named; return how many."""
        doomed = [
            text
            for text, grant in self._access.items()
            if (account is None or grant.account is account) and client_id in ("", grant.client_id)
        ]
        for text in doomed:
            del self._access[text]
        return len(doomed)

    def alive_refresh(self, account: Account) -> int:
        """Return how many refresh tokens of an account still work."""
        return sum(not refresh.dead for refresh in self._of(account, ""))

    def _of(self, account: Account, client_id: str) -> list[Refresh]:
        texts = [
            text
            for (whose, client), held in self._held.items()
            if whose == account.id and client_id in ("", client)
            for text in held
        ]
        return [self._refresh[text] for text in texts]


V = TypeVar("V")


def _put(kept: "OrderedDict[str, V]", key: str, value: V, limit: int) -> None:
    kept[key] = value
    while len(kept) > limit:
        kept.popitem(last=False)


def opaque(prefix: str, size: int) -> str:
    """Return a random token that begins like the provider's own."""
    return prefix + secrets.token_urlsafe(size)
