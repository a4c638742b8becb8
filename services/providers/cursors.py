"""When a stored cursor is given up: a rule for every provider, whatever words the provider uses.

A cursor is a provider's own token: Graph's delta link, Gmail's history id. A request with a stored cursor sends nothing
else that could be wrong, so a refusal of the request is a refusal of the cursor. Providers do not document every word
for it. A known word ends the cursor at once; any other refusal ends it when it is repeated.
"""

from enum import Enum

from services.providers.failures import Meaning

REFUSALS_UNTIL_LOST = 2
"""The number of refusals in a row, by answers without a known word, after which a cursor counts as lost."""

_REFUSALS = frozenset({Meaning.NOT_FOUND, Meaning.CONFLICT, Meaning.FINAL})


class CursorState(Enum):
    """The state of a stored cursor after a request with it has failed."""

    VALID = "valid"
    """The answer does not concern the cursor: the token, a permission, a throttle, or a passing fault is the reason."""
    REFUSED = "refused"
    """The provider refused the cursor for the first time: keep it, count the refusal, and ask again later."""
    LOST = "lost"
    """The provider does not accept the cursor any more: begin again without it."""


def cursor_state(meaning: Meaning | None, refusals: int) -> CursorState:
    """Return the state of a cursor after a failed request that sent nothing but this cursor.

    Args:
        meaning: The meaning of the answer, from `failures.meaning_of`. None when the provider was not asked.
        refusals: The number of refusals of this cursor in a row before this answer. The caller stores it with the
            cursor: `REFUSED` adds one; a success, and a new cursor, set it to 0.
    """
    if meaning is Meaning.CURSOR_LOST:
        return CursorState.LOST
    if meaning not in _REFUSALS:
        return CursorState.VALID
    return CursorState.LOST if refusals + 1 >= REFUSALS_UNTIL_LOST else CursorState.REFUSED
