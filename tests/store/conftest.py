"""For tests of stores: each transaction of a service names one tenant, save those that are listed with a reason."""

from collections.abc import Iterator

import pytest

from tests.store.transaction_exceptions import TRANSACTIONS
from tests.store.transactions import Recorder, recorded


@pytest.fixture(autouse=True)
def transactions() -> Iterator[Recorder]:
    """Record the transactions of the test, and fail it when one names several tenants and is not listed."""
    with recorded() as recorder:
        yield recorder
    found = recorder.of_several_tenants()
    unlisted = {place: sorted(tenants) for place, tenants in found.items() if place not in TRANSACTIONS}
    assert not unlisted, "a transaction names several tenants: make it one for each, or list it with a reason"
