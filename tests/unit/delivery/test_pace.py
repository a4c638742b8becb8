"""The pace of an endpoint, by a driven clock."""

from hypothesis import given
from hypothesis import strategies as st

from services.delivery.sending.pace import Pace


@given(st.integers(1, 1000), st.lists(st.floats(0.0, 0.5), max_size=200))
def test_no_second_has_more_requests_than_the_rate_and_a_burst(rate: int, pauses: list[float]) -> None:
    now, taken = 0.0, []
    pace = Pace(lambda: now)
    for pause in pauses:
        now += pause
        for _ in range(pace.ready(rate)):
            pace.take()
            taken.append(now)

    allowed = rate + max(1, rate // 10)
    assert all(sum(start <= one < start + 1 for one in taken) <= allowed + 1 for start in taken)


@given(st.integers(1, 1000))
def test_after_the_told_pause_a_request_may_go(rate: int) -> None:
    now = 0.0
    pace = Pace(lambda: now)
    for _ in range(5):
        while pace.ready(rate):
            pace.take()
        now += pace.seconds(rate) + 1e-6

        assert pace.ready(rate) >= 1
