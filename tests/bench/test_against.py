"""The comparison of two builds shows the medians of both, and the ratios of the rounds."""

from bench.against import compared
from bench.measure import Figure


def test_a_ratio_is_that_of_the_builds_in_one_round() -> None:
    here = [{"time; s": 1.0}, {"time; s": 30.0}, {"time; s": 2.0}]
    there = [{"time; s": 2.0}, {"time; s": 40.0}, {"time; s": 8.0}]

    assert [
        Figure("start, here: time", 2.0, "s"),
        Figure("start, there: time", 8.0, "s"),
        Figure("start, ratio: time", 0.5, "ratio"),
        Figure("start, lowest: time", 0.25, "ratio"),
        Figure("start, highest: time", 0.75, "ratio"),
    ] == compared("start", here, there)


def test_a_build_that_used_nothing_has_no_ratio() -> None:
    found = {figure.name: figure.value for figure in compared("start", [{"time; s": 1.0}], [{"time; s": 0.0}])}

    assert 0.0 == found["start, ratio: time"]
