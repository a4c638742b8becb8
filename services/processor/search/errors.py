"""Failures of search that a caller can act on."""

from services.meshkit.errors import DeadlineExceeded, FailedPrecondition, InvalidArgument


class SearchNotEnabled(FailedPrecondition):
    """Search is not enabled for the tenant. Enable it, and repeat the call."""

    reason = "SEARCH_NOT_ENABLED"


class SearchQueryInvalid(InvalidArgument):
    """The query has no word to find, or more than a query may have."""

    reason = "SEARCH_QUERY_INVALID"


class SearchTooSlow(DeadlineExceeded):
    """The search took too long. Add a rarer word, an address or a span of time."""

    reason = "SEARCH_TOO_SLOW"
