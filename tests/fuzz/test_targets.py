"""The targets of the fuzzer hold for their seeds and for what hypothesis makes of them.

MAILMESH_TEST_EXAMPLES says how much that is.
"""

import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.seeds import seeds
from tests.fuzz.targets import TARGETS

EXAMPLES = int(os.environ.get("MAILMESH_TEST_EXAMPLES", "60"))
pytestmark = pytest.mark.timeout(600 if EXAMPLES > 100 else 180)


@pytest.mark.parametrize("name", TARGETS)
def test_every_seed_holds(name: str) -> None:
    assert seeds(name)
    for seed in seeds(name):
        TARGETS[name](seed)


@pytest.mark.parametrize("name", TARGETS)
def test_seeds_that_were_damaged_hold(name: str) -> None:
    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.sampled_from(seeds(name)), st.lists(st.tuples(st.integers(0, 2**20), st.binary(max_size=6)), max_size=6))
    def damaged(seed: bytes, damages: list[tuple[int, bytes]]) -> None:
        for place, bytes_ in damages:
            start = place % (len(seed) + 1)
            seed = seed[:start] + bytes_ + seed[start + len(bytes_) // 2 :]
        TARGETS[name](seed)

    damaged()


@pytest.mark.parametrize("name", TARGETS)
def test_any_bytes_hold(name: str) -> None:
    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.binary(max_size=400))
    def any_bytes(data: bytes) -> None:
        TARGETS[name](data)

    any_bytes()
