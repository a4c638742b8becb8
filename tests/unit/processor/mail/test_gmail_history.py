"""A record of Gmail's history that is read again is known by the state that it left."""

import pytest

from services.processor.mail.gmail_history import _is_known
from services.processor.mail.history_records import Trail
from services.processor.mail.state import State
from tests.unit.processor.makers import make_known


@pytest.mark.parametrize(
    ("state", "version", "trail", "expected"),
    [
        (State.ANNOUNCED, "50", Trail("m", was_added=True, history_id=40), True),
        (State.ANNOUNCED, "50", Trail("m", history_id=60), False),
        (State.ANNOUNCED, "50", Trail("m", was_deleted=True, history_id=40), False),
        (State.ANNOUNCED, "", Trail("m", history_id=40), False),
        # The stretch has the arrival, and the next one the deletion that is known already.
        (State.DELETED, "60", Trail("m", was_added=True, history_id=40), True),
        (State.DELETED, "60", Trail("m", was_deleted=True, history_id=60), True),
        (State.DELETED, "", Trail("m", was_deleted=True, history_id=60), True),
        (State.DELETED, "60", Trail("m", was_added=True, history_id=70), False),
        (State.KNOWN, "50", Trail("m", history_id=40), True),
        (State.KNOWN, "50", Trail("m", history_id=60), False),
    ],
)
def test_a_record_is_known(state: State, version: str, trail: Trail, *, expected: bool) -> None:
    assert expected is _is_known(trail, make_known(state=state, version=version), 100)


def test_a_record_of_an_unknown_message_is_not_known() -> None:
    assert not _is_known(Trail("m", was_added=True, history_id=40), None, 100)


def test_a_version_from_before_the_history_began_again_knows_no_record() -> None:
    assert not _is_known(Trail("m", history_id=40), make_known(state=State.ANNOUNCED, version="500"), 100)
