"""Faults on demand, per endpoint and account, with counts and probabilities from one seed."""

import random
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Kind = Literal[
    "latency",
    "status",
    "invalid_grant",
    "truncate",
    "hang",
    "close",
    "garbage",
    "repeat_item",
    "missing_answer",
    "drop",
    "double",
    "late",
    "reorder",
    "wrong_signature",
    "other_key",
    "unknown_certificate",
    "forged_token",
    "other_publisher",
    "other_audience",
    "other_organisation",
    "expired_token",
    "no_token",
]
DATA_KINDS = frozenset({
    "wrong_signature",
    "other_key",
    "unknown_certificate",
    "forged_token",
    "other_publisher",
    "other_audience",
    "other_organisation",
    "expired_token",
    "no_token",
})  # fmt: skip
"""Faults of notifications with resource data."""
PUSH_KINDS = frozenset({"drop", "double", "late", "reorder"}) | DATA_KINDS


@dataclass(frozen=True, slots=True)
class Where:
    """The place of a call: the message and folder in its path, its page and query, and whether it follows a link."""

    message: str = ""
    folder: str = ""
    page: int = 1
    is_stored: bool = False
    query: str = ""


class Fault(BaseModel):
    """One rule.

    Kinds for calls: latency, status, invalid_grant, truncate, hang, close, garbage, repeat_item (the first item of a
    page comes twice), missing_answer (a batch lacks its last answer); for notifications: drop, double, late, reorder;
    for resource data (``notify.graph.data``): wrong_signature, other_key, unknown_certificate; for its proof:
    forged_token, other_publisher, other_audience, other_organisation, expired_token, no_token.

    Attributes:
        endpoint: Pattern over operation names (``graph.messages.*``); notifications are ``notify.graph``,
            ``notify.graph.calendar``, ``notify.graph.data``, ``notify.lifecycle``, ``notify.gmail`` and
            ``notify.calendar``.
        account: Pattern over addresses.
        message: Pattern over the ids of messages in paths; empty concerns all calls.
        folder: Pattern over the folders in paths, as the call names them; empty concerns all calls.
        query: Pattern over the decoded query, ``name=value`` joined by ``&``; empty concerns all calls.
        page: Number of the page that a call reads; 0 concerns all.
        stored: Whether the call goes on from a stored link, token or history id; None concerns all.
        text: The error's message; ``{retry_at}`` in it becomes the time that ``retry_after`` leads to.
        status: Answer of a ``status`` fault.
        seconds: Length of a latency, hang, lateness or reordering window.
        phase: ``after`` lets the call take effect first, so that only its answer is lost.
        count: How many more times it strikes; None is without end.
        skip: How many matching calls pass first.
        probability: Chance for each matching call.
    """

    model_config = ConfigDict(extra="forbid")

    kind: Kind
    endpoint: str = "*"
    account: str = "*"
    message: str = ""
    folder: str = ""
    query: str = ""
    page: int = Field(default=0, ge=0)
    stored: bool | None = None
    text: str = ""
    status: int = 500
    retry_after: int | None = None
    seconds: float = Field(default=1.0, ge=0)
    code: str = ""
    phase: Literal["before", "after"] = "before"
    count: int | None = Field(default=None, ge=1)
    skip: int = Field(default=0, ge=0)
    probability: float = Field(default=1.0, ge=0, le=1)
    id: int = 0
    struck: int = 0

    def concerns(self, endpoint: str, account: str, where: Where, *, is_push: bool) -> bool:
        """Return whether the rule applies to this call or notification."""
        if self.message and not fnmatchcase(where.message, self.message):
            return False
        if self.folder and not fnmatchcase(where.folder, self.folder):
            return False
        if self.query and not fnmatchcase(where.query, self.query):
            return False
        if self.page not in (0, where.page) or self.stored not in (None, where.is_stored):
            return False
        if (self.kind in PUSH_KINDS) != is_push or (self.kind == "invalid_grant" and not endpoint.endswith(".token")):
            return False
        return fnmatchcase(endpoint, self.endpoint) and fnmatchcase(account, self.account)


_ANYWHERE = Where()


class Faults:
    """The rules in force."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(f"faults:{seed}")
        self._rules: list[Fault] = []
        self._number = 0

    def add(self, fault: Fault) -> Fault:
        """Add a rule and return it with its id."""
        self._number += 1
        fault = fault.model_copy(update={"id": self._number, "struck": 0})
        self._rules.append(fault)
        return fault

    def remove(self, fault_id: int | None = None) -> int:
        """Remove one rule, or all of them; return how many."""
        before = len(self._rules)
        self._rules = [rule for rule in self._rules if fault_id not in (None, rule.id)]
        return before - len(self._rules)

    def rules(self) -> list[Fault]:
        """Return the rules in force, oldest first."""
        return list(self._rules)

    def strike(self, endpoint: str, account: str, where: Where = _ANYWHERE, *, is_push: bool = False) -> list[Fault]:
        """Return the faults that hit this call or notification, using up their counts."""
        if not self._rules:
            return []
        concerned = (rule for rule in self._rules if rule.concerns(endpoint, account, where, is_push=is_push))
        hits = [rule for rule in concerned if self._hits(rule)]
        self._rules = [rule for rule in self._rules if rule.count != 0]
        return hits

    def _hits(self, rule: Fault) -> bool:
        if rule.skip:
            rule.skip -= 1
            return False
        if rule.probability < 1 and self.random.random() >= rule.probability:
            return False
        rule.struck += 1
        if rule.count is not None:
            rule.count -= 1
        return True
