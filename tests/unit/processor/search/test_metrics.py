"""Searches are counted by their outcome."""

import pytest
from prometheus_client import REGISTRY

from services.processor.search.errors import SearchTooSlow
from services.processor.search.metrics import measured


def counted(outcome: str) -> float:
    return REGISTRY.get_sample_value("mailmesh_processor_searches_total", {"outcome": outcome}) or 0.0


@pytest.mark.parametrize(
    ("fault", "outcome"), [(None, "ok"), (SearchTooSlow(), "search_too_slow"), (ValueError(), "internal")], ids=str
)
def test_a_search_is_counted_with_its_outcome_and_its_failure_goes_on(fault: Exception | None, outcome: str) -> None:
    before = counted(outcome)
    raised = None
    try:
        with measured():
            if fault is not None:
                raise fault
    except (SearchTooSlow, ValueError) as caught:
        raised = caught

    assert before + 1 == counted(outcome)
    assert fault is raised
