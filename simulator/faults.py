"""Trouble on demand, per endpoint and account, with counts and probabilities from one seed."""

import random
from fnmatch import fnmatchcase
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Kind = Literal[
    "latency", "status", "invalid_grant", "truncate", "hang", "close", "garbage", "drop", "double", "late", "reorder"
]
PUSH_KINDS = frozenset({"drop", "double", "late", "reorder"})


class Fault(BaseModel):
    """One rule.

    Kinds for calls: latency, status, invalid_grant, truncate, hang, close, garbage; for notifications: drop, double,
    late, reorder.

    Attributes:
        endpoint: Pattern over operation names (``graph.messages.*``); notifications are ``notify.graph``,
            ``notify.lifecycle`` and ``notify.gmail``.
        account: Pattern over addresses.
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

    def concerns(self, endpoint: str, account: str, *, is_push: bool) -> bool:
        """Return whether the rule speaks of this call or notification."""
        if (self.kind in PUSH_KINDS) != is_push or (self.kind == "invalid_grant" and not endpoint.endswith(".token")):
            return False
        return fnmatchcase(endpoint, self.endpoint) and fnmatchcase(account, self.account)


class Faults:
    """The rules in force."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(f"faults:{seed}")
        self._rules: list[Fault] = []
        self._number = 0

    def add(self, fault: Fault) -> Fault:
        """Put a rule in force and return it with its id."""
        self._number += 1
        fault = fault.model_copy(update={"id": self._number, "struck": 0})
        self._rules.append(fault)
        return fault

    def remove(self, fault_id: int | None = None) -> int:
        """Take one rule, or all of them, out of force; return how many."""
        before = len(self._rules)
        self._rules = [rule for rule in self._rules if fault_id not in (None, rule.id)]
        return before - len(self._rules)

    def rules(self) -> list[Fault]:
        """Return the rules in force, oldest first."""
        return list(self._rules)

    def strike(self, endpoint: str, account: str, *, is_push: bool = False) -> list[Fault]:
        """Return the faults that hit this call or notification, using up their counts."""
        if not self._rules:
            return []
        hits = [rule for rule in self._rules if rule.concerns(endpoint, account, is_push=is_push) and self._hits(rule)]
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
