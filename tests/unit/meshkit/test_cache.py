"""The bounded cache: the number of entries, their age, and which entry leaves first."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.meshkit.cache import BoundedCache
from services.meshkit.clock import ManualClock


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


def test_a_full_cache_evicts_the_entry_that_was_read_longest_ago() -> None:
    cache: BoundedCache[str, int] = BoundedCache(2)
    cache.put("a", 1)
    cache.put("b", 2)
    cache.get("a")
    cache.put("c", 3)

    assert (1, None, 3, 2) == (cache.get("a"), cache.get("b"), cache.get("c"), len(cache))


def test_replacing_an_entry_counts_as_use() -> None:
    cache: BoundedCache[str, int] = BoundedCache(2)
    cache.put("a", 1)
    cache.put("b", 2)
    cache.put("a", 3)
    cache.put("c", 4)

    assert (3, None, 4) == (cache.get("a"), cache.get("b"), cache.get("c"))


def test_an_entry_expires_at_its_age_and_makes_room(clock: ManualClock) -> None:
    cache: BoundedCache[str, int] = BoundedCache(2, 60, clock.monotonic)
    cache.put("a", 1)
    clock.advance(59.5)
    young = cache.get("a")
    clock.advance(0.5)

    assert (1, None, 0) == (young, cache.get("a"), len(cache))


def test_reading_an_entry_does_not_prolong_its_age_and_replacing_it_does(clock: ManualClock) -> None:
    cache: BoundedCache[str, int] = BoundedCache(2, 60, clock.monotonic)
    cache.put("read", 1)
    cache.put("replaced", 2)
    clock.advance(40)
    cache.get("read")
    cache.put("replaced", 3)
    clock.advance(40)

    assert (None, 3) == (cache.get("read"), cache.get("replaced"))


def test_the_age_counts_from_the_moment_of_reading_if_that_is_given(clock: ManualClock) -> None:
    cache: BoundedCache[str, int] = BoundedCache(2, 60, clock.monotonic)
    read_at = clock.monotonic()
    clock.advance(10)
    cache.put("a", 1, read_at)
    clock.advance(50)

    assert cache.get("a") is None


def test_an_age_of_zero_keeps_nothing(clock: ManualClock) -> None:
    cache: BoundedCache[str, int] = BoundedCache(2, 0, clock.monotonic)
    cache.put("a", 1)

    assert cache.get("a") is None


def test_without_an_age_the_clock_is_never_read() -> None:
    def unread() -> float:
        raise AssertionError

    cache: BoundedCache[str, int] = BoundedCache(2, monotonic=unread)
    cache.put("a", 1)

    assert 1 == cache.get("a")


def test_removed_entries_are_unknown_and_removing_them_again_is_safe() -> None:
    cache: BoundedCache[str, int] = BoundedCache(3)
    for key in "abc":
        cache.put(key, 1)
    cache.discard("a")
    cache.discard("a")
    left = len(cache)
    cache.clear()

    assert (2, 0, None) == (left, len(cache), cache.get("b"))


@given(st.integers(1, 5), st.lists(st.tuples(st.integers(0, 9), st.integers())))
def test_the_bound_holds_and_an_entry_has_the_newest_value(entries: int, puts: list[tuple[int, int]]) -> None:
    cache: BoundedCache[int, int] = BoundedCache(entries)
    for key, value in puts:
        cache.put(key, value)
    newest = dict(puts)

    assert min(entries, len(newest)) == len(cache)
    assert len(cache) == sum(cache.get(key) == value for key, value in newest.items())
