"""The streamed decoding of Gmail's content, in pieces of any length."""

import asyncio
import base64
import os
import random
from collections.abc import AsyncIterator

import pytest

from services.processor.mailbox.decoding import NotDecodableError, decoded


async def pieces_of(answer: bytes, lengths: list[int]) -> AsyncIterator[bytes]:
    at = 0
    while at < len(answer):
        length = lengths.pop() if lengths else 7
        yield answer[at : at + length]
        at += length


def read(answer: bytes, lengths: list[int] | None = None) -> bytes:
    async def all_of_it() -> bytes:
        return b"".join([piece async for piece in decoded(pieces_of(answer, list(lengths or [])))])

    return asyncio.run(all_of_it())


@pytest.mark.parametrize("seed", range(30))
def test_content_of_any_length_is_decoded_whatever_the_pieces(seed: int) -> None:
    chance = random.Random(seed)
    content = os.urandom(chance.randrange(0, 2000))
    text = base64.urlsafe_b64encode(content).decode()
    written = [text, text.rstrip("="), text.replace("=", r"\u003d")][seed % 3]
    form = ['{{"data":"{}"}}', '{{\n  "data": "{}"\n}}\n', '{{"raw": "{}"}}'][seed % 3]
    lengths = [chance.randrange(1, 60) for _ in range(500)]

    assert content == read(form.format(written).encode(), lengths)


@pytest.mark.parametrize("answer", [b"{}", b"{\n}\n", b'{"data":""}'])
def test_an_empty_file_is_no_failure(answer: bytes) -> None:
    assert b"" == read(answer)


@pytest.mark.parametrize(
    "answer",
    [
        b"", b'{"data":"QUJD', b'{"data":"QUJD"', b'{"data":"QU*D"}', b'{"data":"QUJD"} more', b'{"other":"QUJD"}',
        b'{"data":"A"}', b'{"data":"QUJD=QUJD"}', b'{"data":"QU\\nJD"}', b'["QUJD"]', b" " * 5000 + b'{"data":"QUJD"}',
        b'{"data":"QUJD","more":"' + b"x" * 5000, b'{"data":"' + rb"\u003d" * 20 + b'"}',
    ],
)  # fmt: skip
def test_an_answer_of_another_form_is_refused(answer: bytes) -> None:
    with pytest.raises(NotDecodableError):
        read(answer)
