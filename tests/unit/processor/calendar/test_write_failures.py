"""The meaning of a provider's answer for a write to a calendar."""

import pytest

from services.processor.calendar.writing.failures import is_blocked, is_refused, is_unprocessed
from services.processor.mailbox.failures import SourceError, classify, token_refused
from services.providers.names import GOOGLEWS, MS365


@pytest.mark.parametrize(
    ("error", "unprocessed", "refused", "blocked"),
    [
        (classify(GOOGLEWS, 403, ["accessNotConfigured"]), True, False, True),
        (classify(GOOGLEWS, 400, ["keyInvalid"]), True, False, True),
        (token_refused("ABILITY_NOT_GRANTED"), True, False, True),
        (token_refused("SERVICE_UNAVAILABLE"), True, False, False),
        (classify(GOOGLEWS, 403, ["rateLimitExceeded"]), True, False, False),
        (classify(MS365, 429, []), True, False, False),
        (classify(MS365, 403, ["ErrorAccessDenied"]), False, True, False),
        (classify(MS365, 400, ["ErrorInvalidRequest"]), False, True, False),
        (classify(MS365, 503, []), False, False, False),
        (classify(MS365, 0, ["mapping_busy"]), False, False, False),
        (classify(GOOGLEWS, 409, ["duplicate"]), False, False, False),
    ],
)
def test_each_answer_says_whether_the_change_was_made(
    error: SourceError, unprocessed: bool, refused: bool, blocked: bool
) -> None:
    assert (unprocessed, refused, blocked) == (is_unprocessed(error), is_refused(error), is_blocked(error))
