"""Ids that we make and ids that we are given."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.meshkit.errors import FieldInvalid
from services.meshkit.ids import check_id, is_id, new_id


def test_an_id_is_a_uuid_of_version_seven():
    made = UUID(new_id())

    assert (7, "specified in RFC 4122") == (made.version, made.variant)


def test_ids_never_repeat_and_carry_the_time_of_their_making(monkeypatch):
    monkeypatch.setattr("time.time_ns", lambda: 1_767_225_600_123_456_789)
    ids = {new_id() for _ in range(1000)}

    assert 1000 == len(ids)
    assert {1_767_225_600_123} == {UUID(made).int >> 80 for made in ids}


def test_ids_sort_by_the_time_of_their_making(monkeypatch):
    times = iter(range(1_767_225_600_000_000_000, 1_767_225_600_100_000_000, 1_000_000))
    monkeypatch.setattr("time.time_ns", lambda: next(times))
    ids = [new_id() for _ in range(100)]

    assert sorted(ids) == ids


def test_an_id_from_a_request_is_given_back_in_lower_case():
    assert "019a9f0e-7c1e-7000-8000-00000000000a" == check_id("id", "019A9F0E-7C1E-7000-8000-00000000000A")


@pytest.mark.parametrize(
    "value",
    ["", "7", "{019a9f0e-7c1e-7000-8000-000000000007}", "019a9f0e7c1e70008000000000000007", "urn:uuid:x", "a\0b"],
)
def test_what_is_no_id_is_refused_by_the_name_of_its_field(value):
    with pytest.raises(FieldInvalid) as caught:
        check_id("item.id", value)

    assert {"item.id": "must be a UUID"} == caught.value.violations


@given(st.text())
def test_any_text_is_an_id_or_not_without_an_exception(text):
    assert is_id(text) in (True, False)
