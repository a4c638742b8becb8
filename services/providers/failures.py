"""The meaning of a provider's error: one table for each provider, read from the top, first match wins.

Sources: Microsoft Graph's error responses and `error.code`; Gmail's error guide and `error.errors[].reason`; Google's
`google.api.ErrorReason` and `error.details[].reason`. The tables give the meaning of an answer. Its treatment is the
decision of each service, and may differ between services.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from services.providers.day_limits import GRAPH_DAY_LIMIT
from services.providers.names import GOOGLEWS, MS365

NO_ANSWER = 0
"""The status of a call that got no answer."""
_DEEPEST = 10
"""The levels of nested errors that are read. No provider nests deeper."""
_WORD_CHARACTERS = 100


class Meaning(Enum):
    """The meaning of an error."""

    TOKEN_REJECTED = "token_rejected"  # noqa: S105 - a meaning, no secret
    """The provider does not accept the access token."""
    MAILBOX_UNAVAILABLE = "mailbox_unavailable"
    """The account has no mailbox that the API reaches."""
    CURSOR_LOST = "cursor_lost"
    """The provider has forgotten the sync state, or the thing for good."""
    THROTTLED = "throttled"
    """The provider asks to slow down."""
    FORBIDDEN = "forbidden"
    """A permission is missing, or a policy forbids the call."""
    APP = "app"
    """The provider refuses this installation's app or project, whatever the account: no tenant is at fault."""
    NOT_FOUND = "not_found"
    """The provider does not have the thing."""
    CONFLICT = "conflict"
    """The provider has another thing in its place, or changes it at this moment."""
    PASSING = "passing"
    """The fault passes: the same call may succeed later."""
    FINAL = "final"
    """Repeating the call changes nothing."""


@dataclass(frozen=True)
class Line:
    """One line of a table.

    Args:
        meaning: The meaning of the answers that fit.
        statuses: HTTP statuses. Empty fits every status.
        words: The provider's machine words, in lower case. Empty fits every word.
    """

    meaning: Meaning
    statuses: Collection[int] = ()
    words: Collection[str] = ()

    def fits(self, status: int, words: Collection[str]) -> bool:
        """Tell whether the line speaks of an answer. `words` are in lower case."""
        is_status = not self.statuses or status in self.statuses
        return is_status and (not self.words or any(word in self.words for word in words))


_GRAPH_NO_MAILBOX = frozenset(
    {"mailboxnotenabledforrestapi", "mailboxnotsupportedforrestapi", "errormailboxnotenabledforrestapi"}
)
_GRAPH_SYNC_LOST = frozenset(
    {"syncstatenotfound", "resyncrequired", "syncstateinvalid", "resyncchangesapplydifferences"}
)
_GRAPH_THROTTLED = frozenset({"applicationthrottled"})
_GMAIL_NO_MAILBOX = frozenset({"failedprecondition", "mailservicenotenabled"})
_GMAIL_THROTTLED = frozenset({"ratelimitexceeded", "userratelimitexceeded", "dailylimitexceeded", "quotaexceeded"})
# The words of `errors[].reason`, then those of the newer `details[].reason` (google.api.ErrorReason).
_GOOGLE_APP = frozenset({
    "accessnotconfigured", "dailylimitexceededunreg", "ratelimitexceededunreg", "userratelimitexceededunreg",
    "keyinvalid", "keyexpired",
    "service_disabled", "billing_disabled", "consumer_invalid", "consumer_suspended", "user_project_denied",
    "service_not_visible", "gcp_suspended", "api_key_invalid", "api_key_service_blocked",
})  # fmt: skip
_GOOGLE_APP_STATUSES = frozenset({400, 401, 403, 429})

_TOKEN_REJECTED = Line(Meaning.TOKEN_REJECTED, {401})
_BY_STATUS: tuple[Line, ...] = (
    Line(Meaning.CURSOR_LOST, {410}),
    Line(Meaning.THROTTLED, {429, 509}),
    Line(Meaning.FORBIDDEN, {403}),
    Line(Meaning.NOT_FOUND, {404}),
    Line(Meaning.CONFLICT, {409}),
    # 412 and 423: the thing was changed or is locked at this moment. 424: another part of the same batch failed.
    Line(Meaning.PASSING, {NO_ANSWER, 408, 412, 423, 424, 425, 500, 502, 503, 504}),
    Line(Meaning.FINAL),
)
"""The lines that both providers share, after their own. Every answer fits the last one."""

TABLES: Mapping[str, Sequence[Line]] = {
    MS365: (
        _TOKEN_REJECTED,
        Line(Meaning.MAILBOX_UNAVAILABLE, (), _GRAPH_NO_MAILBOX),
        Line(Meaning.CURSOR_LOST, {400, 404, 409, 410}, _GRAPH_SYNC_LOST),
        Line(Meaning.THROTTLED, {403}, _GRAPH_THROTTLED),
        Line(Meaning.THROTTLED, {400, 403}, GRAPH_DAY_LIMIT),
        *_BY_STATUS,
    ),
    GOOGLEWS: (
        Line(Meaning.APP, _GOOGLE_APP_STATUSES, _GOOGLE_APP),
        _TOKEN_REJECTED,
        Line(Meaning.MAILBOX_UNAVAILABLE, {400, 403}, _GMAIL_NO_MAILBOX),
        Line(Meaning.THROTTLED, {403}, _GMAIL_THROTTLED),
        *_BY_STATUS,
    ),
}
"""The tables by provider."""
_UNKNOWN_PROVIDER = (_TOKEN_REJECTED, *_BY_STATUS)


def meaning_of(provider: str, status: int, words: Collection[str]) -> Meaning:
    """Look an answer up in the provider's table.

    Args:
        provider: A name from `names`. An answer of an unknown provider is understood by its status alone.
        status: The HTTP status, or `NO_ANSWER`.
        words: The provider's machine words, as `error_words` reads them, in any case.
    """
    lower = [word.lower() for word in words]
    return next(line.meaning for line in TABLES.get(provider, _UNKNOWN_PROVIDER) if line.fits(status, lower))


def error_words(body: Mapping[str, Any] | None) -> list[str]:
    """Read the machine words of an error object, the outermost first, through each provider's own nesting.

    Args:
        body: The answer's JSON object, unchecked. None for an answer that is no JSON object.

    Returns:
        Words of at most 100 characters. Empty for an answer that has none.
    """
    error = body.get("error") if body else None
    found: list[str] = []
    for _ in range(_DEEPEST):
        if not isinstance(error, dict):
            break
        found += _words_of(error)
        error = error.get("innerError") or error.get("innererror")
    return [word[:_WORD_CHARACTERS] for word in found]


def _words_of(error: Mapping[str, Any]) -> list[str]:
    own = (*_reasons(error.get("errors")), error.get("code"), error.get("status"), *_reasons(error.get("details")))
    return [word for word in own if isinstance(word, str)]


def _reasons(items: object) -> list[object]:
    return [item.get("reason") for item in items if isinstance(item, dict)] if isinstance(items, list) else []
