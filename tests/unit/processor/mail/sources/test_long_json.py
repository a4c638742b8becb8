"""A long answer goes to another process in pieces, and comes out as it was."""

import json
from typing import Any

import pytest

from services.processor.mail.sources import long_json
from services.processor.mailbox.parsing import decode_content, parse

_LONG = "ü" * 100_000
_EVENT = {"id": "e", "body": {"content": _LONG}, "attendees": [{"email": f"{n}@x.example"} for n in range(5000)]}
VALUES: list[Any] = [
    {}, [], None, "x", 1, _LONG, "\ud83d" * 70_000, {"a": "\ud83d"}, {"": _LONG}, [[_LONG]], {"a": _LONG, "b": 1},
    {"items": [_EVENT, {"id": "f"}, _EVENT], "nextPageToken": "t"}, list(range(50_000)),
    {f"n{n}": n for n in range(20_000)}, [1, _LONG, 2, [_LONG], {}, 3], {"n" * 70_000: 1, "m": {"n" * 70_000: _LONG}},
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(VALUES)))
def test_json_comes_out_as_it_was(number: int) -> None:
    data = long_json.write(VALUES[number])
    found = long_json.read(data)

    assert VALUES[number] == found
    assert json.dumps(VALUES[number]) == json.dumps(found)  # with the members in their order


def test_no_piece_but_a_text_is_long() -> None:
    pieces = list(long_json._pieces({"items": [_EVENT] * 20, "n": list(range(50_000))}))
    texts = [piece for piece in pieces if piece == _LONG.encode()]

    assert 20 == len(texts)
    assert max(len(piece) for piece in pieces if piece != _LONG.encode()) <= long_json._PIECE_BYTES + 2


@pytest.mark.parametrize(
    "data", [b"", b"W", long_json.write({"a": _LONG})[:-9000], b"O\xff\xff\xff\xff", b"W\0\0\0\1x"]
)
def test_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"JSON|value"):
        long_json.read(data)


async def test_a_long_content_is_decoded_as_a_short_one() -> None:
    for size in (0, 1, 2, 3, 262_144, 400_001):
        text = "-_8A" * (size // 3) + ("-_" if size % 3 else "")
        expected = b"\xfb\xff\x00" * (size // 3) + (b"\xfb" if size % 3 else b"")
        assert expected == await decode_content(text)
    with pytest.raises(ValueError, match="base64"):
        await decode_content("-_8A" * 100_000 + "?")


def test_json_of_no_end_is_no_object() -> None:
    assert parse(b"[" * 100_000) is None
