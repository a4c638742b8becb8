"""For tests of stores: each transaction of a service names one tenant, save those that are listed with a reason."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.store.transaction_exceptions import NOT_LISTED_YET, TRANSACTIONS
from tests.store.transactions import Recorder, recorded

FOLDER = Path(__file__).parent


@pytest.fixture(autouse=True)
def transactions(request: pytest.FixtureRequest) -> Iterator[Recorder]:
    """Record the transactions of the test, and fail it when one names several tenants and is not listed."""
    with recorded() as recorder:
        yield recorder
    if any(request.path.is_relative_to(FOLDER / folder) for folder in NOT_LISTED_YET):
        return
    found = recorder.of_several_tenants()
    unlisted = {place: sorted(tenants) for place, tenants in found.items() if place not in TRANSACTIONS}
    assert not unlisted, "a transaction names several tenants: make it one for each, or list it with a reason"
