"""An erasure of a person is confirmed once its counts have stayed the same for a while."""

import pytest

from services.meshkit.erasing_persons import Settling
from services.meshkit.errors import Conflict


def test_counts_that_stay_the_same_for_long_enough_are_confirmed_and_those_that_grow_wait_again() -> None:
    times = iter([0.0, 10.0, 15.0, 24.9, 25.0])
    settling = Settling(10, lambda: next(times))
    with pytest.raises(Conflict):
        settling.check("one", {})
    with pytest.raises(Conflict):
        settling.check("one", {"events": 1})  # at 10 a follower has written a further row, which was removed
    with pytest.raises(Conflict):
        settling.check("one", {"events": 1})
    settling.keep({"one", "other"})
    with pytest.raises(Conflict):
        settling.check("other", {"events": 1})
    settling.check("one", {"events": 1})


def test_an_erasure_that_is_not_pending_any_more_is_forgotten() -> None:
    settling = Settling(0, lambda: 0.0)
    for _ in range(2):
        with pytest.raises(Conflict):
            settling.check("one", {})
        settling.keep(set())
