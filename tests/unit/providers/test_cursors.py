"""When a stored cursor is given up, for answers with known and with unknown words."""

import pytest

from services.providers.cursors import CursorState, cursor_state
from services.providers.failures import Meaning, meaning_of


@pytest.mark.parametrize(
    ("provider", "status", "words"),
    [
        ("googlews", 400, ["invalidArgument"]),
        ("googlews", 400, []),
        ("googlews", 404, ["notFound"]),
        ("googlews", 422, ["somethingNew"]),
        ("ms365", 400, ["ErrorInvalidSyncStateData"]),
        ("ms365", 404, ["ErrorItemNotFound"]),
        ("ms365", 409, ["somethingNew"]),
    ],
)
def test_a_cursor_refused_with_any_word_is_kept_once_and_lost_twice(
    provider: str, status: int, words: list[str]
) -> None:
    meaning = meaning_of(provider, status, words)

    assert [CursorState.REFUSED, CursorState.LOST, CursorState.LOST] == [cursor_state(meaning, n) for n in range(3)]


def test_a_cursor_refused_with_a_known_word_is_lost_at_once() -> None:
    assert CursorState.LOST is cursor_state(meaning_of("ms365", 410, ["syncStateNotFound"]), 0)
    assert CursorState.LOST is cursor_state(meaning_of("googlews", 410, []), 0)


@pytest.mark.parametrize(
    ("provider", "status", "words"),
    [
        ("googlews", 401, []),
        ("googlews", 403, ["domainPolicy"]),
        ("googlews", 400, ["failedPrecondition"]),
        ("googlews", 429, []),
        ("googlews", 503, []),
        ("ms365", 404, ["MailboxNotEnabledForRESTAPI"]),
        ("ms365", 423, []),
        ("ms365", 0, ["ConnectError"]),
    ],
)
def test_an_answer_about_something_else_never_ends_a_cursor(provider: str, status: int, words: list[str]) -> None:
    assert CursorState.VALID is cursor_state(meaning_of(provider, status, words), 5)


def test_a_failure_from_before_the_request_never_ends_a_cursor() -> None:
    assert CursorState.VALID is cursor_state(None, 5)
    assert CursorState.VALID is cursor_state(Meaning.PASSING, 5)
