"""The treatment of failures while fetching. The meaning of a provider's answer comes from `services.providers`."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum

from mailmesh.vault.v1 import token_vault_service_pb2 as vault_pb2
from services.providers.failures import Meaning, meaning_of


class Remedy(Enum):
    """The treatment of a failure."""

    NEW_TOKEN = "new_token"  # noqa: S105 - a remedy, no secret
    """Ask TokenVault for another token and retry once, now."""
    LATER = "later"
    """Retry later: exponentially later each time, with jitter, counted as an attempt."""
    THROTTLED = "throttled"
    """Leave the whole mailbox alone until the time that the provider asks for; no attempt is counted."""
    PERSON = "person"
    """Report the tenant's fault to TokenVault; the mailbox's work waits for a person, and no attempt is counted."""
    MISSING = "missing"
    """The resource does not exist: the caller decides what that means."""
    CURSOR_LOST = "cursor_lost"
    """The provider no longer knows the cursor: start again."""
    PERMANENT = "permanent"
    """A retry changes nothing."""


@dataclass(frozen=True)
class Rule:
    """The treatment of a failure.

    Args:
        remedy: The remedy.
        reason: The reason from the error catalogue, which events and dead letters carry.
        fault: The fault that is reported to TokenVault, if any.
    """

    remedy: Remedy
    reason: str
    fault: "vault_pb2.TenantFault.ValueType" = vault_pb2.TENANT_FAULT_UNSPECIFIED


_THROTTLED = Rule(Remedy.THROTTLED, "PROVIDER_THROTTLED")
_PASSING = Rule(Remedy.LATER, "PROVIDER_UNAVAILABLE")

RULES: Mapping[Meaning, Rule] = {
    Meaning.TOKEN_REJECTED: Rule(
        Remedy.NEW_TOKEN, "TENANT_NEEDS_REAUTHORIZATION", vault_pb2.TENANT_FAULT_TOKEN_REJECTED
    ),
    Meaning.MAILBOX_UNAVAILABLE: Rule(Remedy.PERSON, "MAILBOX_UNAVAILABLE", vault_pb2.TENANT_FAULT_MAILBOX_UNAVAILABLE),
    Meaning.CURSOR_LOST: Rule(Remedy.CURSOR_LOST, "MESSAGE_NOT_FOUND"),
    Meaning.THROTTLED: _THROTTLED,
    Meaning.FORBIDDEN: Rule(Remedy.PERSON, "MESSAGE_FORBIDDEN", vault_pb2.TENANT_FAULT_PERMISSION_MISSING),
    Meaning.APP: Rule(Remedy.PERSON, "INSTALLATION_MISCONFIGURED"),  # the operator's to fix: no tenant is reported
    Meaning.NOT_FOUND: Rule(Remedy.MISSING, "MESSAGE_NOT_FOUND"),
    Meaning.CONFLICT: _PASSING,  # a fetch conflicts with a change of this moment
    Meaning.PASSING: _PASSING,
    Meaning.FINAL: Rule(Remedy.PERMANENT, "MESSAGE_UNREADABLE"),
}
"""The treatment of each meaning when it concerns the whole mailbox, or does not depend on the scope."""

_NARROW_REASONS: Mapping[Meaning, str] = {
    Meaning.TOKEN_REJECTED: "MESSAGE_FORBIDDEN",
    Meaning.FORBIDDEN: "MESSAGE_FORBIDDEN",
    Meaning.MAILBOX_UNAVAILABLE: "PROVIDER_UNAVAILABLE",
}
"""The reasons of answers that speak of a mailbox, but concern one message or folder of a mailbox that answers."""

TOKEN_REFUSALS = frozenset({
    "TENANT_NEEDS_REAUTHORIZATION", "TENANT_DISABLED", "TENANT_DISCONNECTED", "TENANT_IN_ERROR", "SCOPE_NOT_GRANTED",
    "ABILITY_NOT_GRANTED", "TENANT_NOT_FOUND", "SEAL_BROKEN", "KEY_UNAVAILABLE", "INSTALLATION_MISCONFIGURED",
})  # fmt: skip
"""TokenVault's reasons that a person or an operator must act on; it knows them already, so no fault is reported."""


class SourceError(Exception):
    """A request to a provider, or to TokenVault before it, failed.

    Args:
        rule: The treatment.
        detail: A sentence for people: status and the provider's code, no content and no secret.
        retry_after: How long the provider asked to wait, if it did.
        code: The provider's machine word.
        meaning: The meaning of the provider's answer; None when the failure came before the provider was asked.
        status: The HTTP status of the answer; 0 when none came.
    """

    def __init__(
        self,
        rule: Rule,
        detail: str,
        retry_after: timedelta | None = None,
        code: str = "",
        meaning: Meaning | None = None,
        status: int = 0,
    ) -> None:
        super().__init__(detail)
        self.rule = rule
        self.detail = detail
        self.retry_after = retry_after
        self.code = code
        self.meaning = meaning
        self.status = status

    @property
    def remedy(self) -> Remedy:
        """The remedy."""
        return self.rule.remedy

    @property
    def reason(self) -> str:
        """The reason from the error catalogue."""
        return self.rule.reason

    def at_limit(self, limit: str, wait: timedelta) -> "SourceError":
        """Return the failure with the limit that the account has reached, and the time after which it may pass."""
        return SourceError(self.rule, f"{self.detail}: {limit}", wait, self.code, self.meaning, self.status)


def classify(provider: str, status: int, codes: Collection[str], retry_after: timedelta | None = None) -> SourceError:
    """Find the treatment of an answer.

    Args:
        provider: The provider that answered.
        status: HTTP status, 0 when no answer came.
        codes: The provider's machine words, the outermost first.
        retry_after: The wait that the answer asked for.
    """
    meaning = meaning_of(provider, status, codes)
    rule = RULES[meaning]
    if rule.remedy is Remedy.LATER and retry_after is not None:
        rule = _THROTTLED
    code = next(iter(codes), "")
    said = f"{provider} answered {status} {code}".rstrip() if status else f"{provider} did not answer: {code}"
    return SourceError(rule, said, retry_after, code, meaning, status)


def refused_once(error: SourceError, cursor: str) -> SourceError:
    """Return the first refusal of a stored cursor as a failure that is retried later, with the cursor kept."""
    rule = Rule(Remedy.LATER, _PASSING.reason)
    return SourceError(rule, f"the {cursor} was refused: {error.detail}", None, error.code, error.meaning)


def narrowed(error: SourceError) -> SourceError:
    """Return a failure as the failure of one message or folder: it is retried later, and no fault is reported."""
    if error.remedy not in (Remedy.PERSON, Remedy.NEW_TOKEN, Remedy.THROTTLED) or error.meaning is None:
        return error
    rule = Rule(Remedy.LATER, _NARROW_REASONS.get(error.meaning, _PASSING.reason))
    return SourceError(rule, error.detail, error.retry_after, error.code, error.meaning, error.status)


def token_refused(reason: str) -> SourceError:
    """Return the failure for a token that TokenVault did not lend."""
    remedy = Remedy.PERSON if reason in TOKEN_REFUSALS else Remedy.LATER
    return SourceError(Rule(remedy, reason or "SERVICE_UNAVAILABLE"), f"no token: {reason}")
