"""Ids of instances are version 5 UUIDs of their series and day."""

from uuid import UUID, uuid5

from hypothesis import given
from hypothesis import strategies as st

from services.processor.calendar.ids import instance_uuid


@given(st.uuids(), st.dates())
def test_ids_of_instances_are_those_of_the_standard_library(series: UUID, day: object) -> None:
    assert str(uuid5(series, str(day))) == instance_uuid(str(series), str(day))
