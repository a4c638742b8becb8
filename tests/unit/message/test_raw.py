"""The provider's object as a Struct: whole when it is small and in order, otherwise cut, and the same in both ways."""

import json
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict
from google.protobuf.struct_pb2 import Struct
from hypothesis import given, settings
from hypothesis import strategies as st

from services.message import raw
from services.message.raw import bounded_struct

ROOM = 1024 * 1024
TEXTS = st.text(st.characters(codec="utf-8") | st.sampled_from('\0\n"'), max_size=20)
LEAVES = st.none() | st.booleans() | st.floats() | st.integers() | TEXTS
JSON = st.dictionaries(
    TEXTS,
    st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4)),
    max_size=6,
)


@settings(max_examples=300, deadline=None)
@given(JSON)
def test_the_quick_way_and_the_careful_way_make_the_same_of_any_object(given: dict[str, Any]) -> None:
    careful, _ = raw._cut(given, ROOM)
    quick = raw._whole(given, ROOM)

    assert quick is None or careful.SerializeToString(deterministic=True) == quick.SerializeToString(deterministic=True)
    assert careful == bounded_struct(given, ROOM)[0]


def test_what_is_small_and_in_order_takes_the_quick_way() -> None:
    given = {"id": "AAMk", "n": 1, "f": 1.5, "yes": True, "none": None, "empty": [{}, []], "to": [{"name": "Zoë"}]}

    assert given == MessageToDict(raw._whole(given, ROOM) or Struct())


@pytest.mark.parametrize(
    "given",
    [
        {"text": "a\0b"},
        {"a\0b": 1},
        {"text": "\ud800"},
        {"number": float("nan")},
        {"number": 10**400},
        {"many": [0] * (raw.MAX_MEMBERS + 1)},
        {"deep": json.loads("[" * 60 + "]" * 60)},
        {"long": "x" * ROOM},
    ],
    ids=["nul", "nul in a name", "half surrogate", "nan", "huge number", "many members", "deep", "long"],
)
def test_what_is_not_in_order_takes_the_careful_way(given: dict[str, Any]) -> None:
    assert raw._whole(given, ROOM) is None
    assert ROOM >= bounded_struct(given, ROOM)[0].ByteSize()
