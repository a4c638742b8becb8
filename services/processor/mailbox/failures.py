"""What may go wrong while fetching, and what is done about it: one table, read from the top, first match wins."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum

from mailmesh.vault.v1 import token_vault_service_pb2 as vault_pb2

MS365, GOOGLEWS, ANY = "ms365", "googlews", "*"


class Remedy(Enum):
    """What is done about a failure."""

    NEW_TOKEN = "new_token"  # noqa: S105 - a remedy, no secret
    """Ask TokenVault for another token and try once more, now."""
    LATER = "later"
    """Try again later: exponentially later each time, with jitter, counted as an attempt."""
    THROTTLED = "throttled"
    """Leave the whole mailbox alone until the time that the provider asks for; no attempt is counted."""
    PERSON = "person"
    """Tell TokenVault; the mailbox's work waits for a person, and no attempt is counted."""
    MISSING = "missing"
    """The thing is not there: what that means depends on what was looked for."""
    CURSOR_LOST = "cursor_lost"
    """The provider has forgotten the cursor: begin anew."""
    PERMANENT = "permanent"
    """Trying again changes nothing."""


@dataclass(frozen=True)
class Rule:
    """One line of the table.

    Args:
        provider: Whose answer it is.
        statuses: HTTP statuses; 0 means that no answer came. Empty means all.
        codes: The provider's machine words, in lower case. Empty means all.
        remedy: What is done.
        reason: The name from the catalogue of failures that events and dead letters carry.
        fault: What TokenVault is told, when it is.
    """

    provider: str
    statuses: Collection[int]
    codes: Collection[str]
    remedy: Remedy
    reason: str
    fault: "vault_pb2.TenantFault.ValueType" = vault_pb2.TENANT_FAULT_UNSPECIFIED

    def fits(self, provider: str, status: int, codes: Collection[str]) -> bool:
        """Tells whether the line speaks of this answer."""
        return (
            self.provider in (ANY, provider)
            and (not self.statuses or status in self.statuses)
            and (not self.codes or any(code.lower() in self.codes for code in codes))
        )


_NO_MAILBOX = frozenset(
    {"mailboxnotenabledforrestapi", "mailboxnotsupportedforrestapi", "errormailboxnotenabledforrestapi"}
)
_NO_GMAIL = frozenset({"failedprecondition", "mailservicenotenabled"})
_SYNC_LOST = frozenset({"syncstatenotfound", "resyncrequired", "syncstateinvalid", "resyncchangesapplydifferences"})
_QUOTA = frozenset({"ratelimitexceeded", "userratelimitexceeded", "dailylimitexceeded", "quotaexceeded"})
_PERMISSION = vault_pb2.TENANT_FAULT_PERMISSION_MISSING
_MAILBOX = vault_pb2.TENANT_FAULT_MAILBOX_UNAVAILABLE

TABLE: tuple[Rule, ...] = (
    Rule(ANY, {401}, (), Remedy.NEW_TOKEN, "TENANT_NEEDS_REAUTHORIZATION", vault_pb2.TENANT_FAULT_TOKEN_REJECTED),
    Rule(MS365, (), _NO_MAILBOX, Remedy.PERSON, "MAILBOX_UNAVAILABLE", _MAILBOX),
    Rule(GOOGLEWS, {400, 403}, _NO_GMAIL, Remedy.PERSON, "MAILBOX_UNAVAILABLE", _MAILBOX),
    Rule(MS365, {400, 404, 409, 410}, _SYNC_LOST, Remedy.CURSOR_LOST, "MESSAGE_NOT_FOUND"),
    Rule(ANY, {410}, (), Remedy.CURSOR_LOST, "MESSAGE_NOT_FOUND"),
    Rule(GOOGLEWS, {403}, _QUOTA, Remedy.THROTTLED, "PROVIDER_THROTTLED"),
    Rule(ANY, {429, 509}, (), Remedy.THROTTLED, "PROVIDER_THROTTLED"),
    Rule(ANY, {403}, (), Remedy.PERSON, "MESSAGE_FORBIDDEN", _PERMISSION),
    Rule(ANY, {404}, (), Remedy.MISSING, "MESSAGE_NOT_FOUND"),
    Rule(ANY, {0, 408, 409, 412, 423, 424, 425, 500, 502, 503, 504}, (), Remedy.LATER, "PROVIDER_UNAVAILABLE"),
    Rule(ANY, (), (), Remedy.PERMANENT, "MESSAGE_UNREADABLE"),
)
"""Every answer fits the last line at least."""

TOKEN_REFUSALS = frozenset({
    "TENANT_NEEDS_REAUTHORIZATION", "TENANT_DISABLED", "TENANT_DISCONNECTED", "TENANT_IN_ERROR", "SCOPE_NOT_GRANTED",
    "TENANT_NOT_FOUND", "SEAL_BROKEN", "KEY_UNAVAILABLE", "INSTALLATION_MISCONFIGURED",
})  # fmt: skip
"""What TokenVault answers when a person or an operator has to act: it knows already, so it is not told."""


class SourceError(Exception):
    """A provider, or TokenVault before it, did not give what was asked for.

    Args:
        rule: The line of the table.
        detail: A sentence for people: status and the provider's code, no content and no secret.
        retry_after: How long the provider asked to wait, if it did.
        code: The provider's machine word.
    """

    def __init__(self, rule: Rule, detail: str, retry_after: timedelta | None = None, code: str = "") -> None:
        super().__init__(detail)
        self.rule = rule
        self.detail = detail
        self.retry_after = retry_after
        self.code = code

    @property
    def remedy(self) -> Remedy:
        """What is done about it."""
        return self.rule.remedy

    @property
    def reason(self) -> str:
        """The name from the catalogue."""
        return self.rule.reason


def classify(provider: str, status: int, codes: Collection[str], retry_after: timedelta | None = None) -> SourceError:
    """Finds the line of the table for an answer.

    Args:
        provider: Whose answer.
        status: HTTP status, 0 when no answer came.
        codes: The provider's machine words, the outermost first.
        retry_after: As the answer said.
    """
    rule = next(rule for rule in TABLE if rule.fits(provider, status, codes))
    if rule.remedy is Remedy.LATER and retry_after is not None:
        rule = Rule(provider, rule.statuses, (), Remedy.THROTTLED, "PROVIDER_THROTTLED")
    code = next(iter(codes), "")
    said = f"{provider} answered {status} {code}".rstrip() if status else f"{provider} did not answer: {code}"
    return SourceError(rule, said, retry_after, code)


def token_refused(reason: str) -> SourceError:
    """Makes the failure for a token that TokenVault did not lend."""
    remedy = Remedy.PERSON if reason in TOKEN_REFUSALS else Remedy.LATER
    return SourceError(Rule(ANY, (), (), remedy, reason or "SERVICE_UNAVAILABLE"), f"no token: {reason}")
