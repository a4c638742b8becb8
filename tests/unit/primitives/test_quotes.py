"""Quotes of a model: those that stand in the text are values, and all others are counted."""

import time
from typing import Any

import pytest

from mailmesh.primitives.v1 import quote_service_pb2 as pb2
from services.primitives.servicers.field_checks import check_extract
from services.primitives.texts.fields import is_verified
from services.primitives.texts.quotes import WAY, check_quotes

TEXT = "Total: 1.100,00 EUR, of which 100,00 EUR are due on 24.12.2026. Write to ada@example.com; state paid."
PROPERTIES = {
    "total": {"format": "amount"},
    "due": {"format": "date"},
    "mail": {"format": "email"},
    "state": {"enum": ["paid", "open"]},
    "note": {},
}


def checked(quotes: dict[str, str], text: str = TEXT, **more: Any) -> pb2.CheckQuotesResponse:
    asked = pb2.CheckQuotesRequest()
    asked.request.text = text
    asked.request.schema.update({"type": "object", "properties": PROPERTIES, **more})
    for name, quote in quotes.items():
        asked.quotes.add(name=name, text=quote)
    answer = check_quotes(asked)
    assert is_verified(asked.request, answer.answer, check_extract(asked.request), (WAY,))
    return answer


def test_quotes_that_stand_in_the_text_are_values_with_their_places() -> None:
    quotes = {
        "total": "100,00 EUR",
        "due": "24.12.2026",
        "mail": "ada@example.com",
        "state": "paid",
        "note": "Write to",
    }
    found = checked(quotes)

    values = {field.name: field.values[0] for field in found.answer.fields}
    assert {
        "total": "100.00 EUR", "due": "2026-12-24", "mail": "ada@example.com", "state": "paid", "note": "Write to",
    } == {name: value.value for name, value in values.items()}  # fmt: skip
    # Not within 1.100,00: a quote begins and ends at the bounds of words and numbers.
    assert TEXT.index(" 100,00") + 1 == values["total"].start
    assert 0 == found.refused


@pytest.mark.parametrize(
    ("name", "quote"),
    [
        ("total", "999,99 EUR"), ("total", "EUR"), ("total", "otal"), ("due", "24.12.2027"), ("due", "Total"),
        ("due", ""), ("mail", "ada"), ("mail", "eve@evil.example"), ("state", "open"), ("state", "ai"), ("note", "aid"),
        ("note", "x" * 400), ("other", "paid"), ("note", "due\non"), ("total", "1.100,00\u00a0EUR"),
    ],
)  # fmt: skip
def test_a_quote_that_does_not_stand_in_the_text_or_is_no_value_is_refused(name: str, quote: str) -> None:
    found = checked({name: quote}, required=["total"])

    assert (1, [], ["total"]) == (found.refused, list(found.answer.fields), list(found.answer.missing))


def test_several_values_do_not_decide() -> None:
    asked = pb2.CheckQuotesRequest()
    asked.request.text = TEXT
    asked.request.schema.update({"type": "object", "properties": PROPERTIES})
    for quote in ("1.100,00 EUR", "100,00 EUR", "100,00 EUR"):
        asked.quotes.add(name="total", text=quote)
    found = check_quotes(asked).answer.fields[0]

    assert ["1100.00 EUR", "100.00 EUR"] == [value.value for value in found.values]
    assert {0.3} == {value.confidence for value in found.values}


def test_an_answer_that_a_process_invents_is_not_verified() -> None:
    found = checked({"due": "24.12.2026"})
    asked = pb2.CheckQuotesRequest()
    asked.request.text = TEXT
    asked.request.schema.update({"type": "object", "properties": PROPERTIES})
    fields = check_extract(asked.request)
    for name, value in (("value", "2027-01-01"), ("method", "date"), ("start", 0)):
        bad = pb2.CheckQuotesResponse()
        bad.CopyFrom(found)
        setattr(bad.answer.fields[0].values[0], name, value)
        assert not is_verified(asked.request, bad.answer, fields, (WAY,)), name


def test_the_time_of_hostile_quotes_is_bounded() -> None:
    text = "a" * 65_536
    asked = pb2.CheckQuotesRequest()
    asked.request.text = text
    asked.request.schema.update({"type": "object", "properties": PROPERTIES})
    for length in range(500):
        asked.quotes.add(name="note", text="a" * (1 + length % 200))
    began = time.process_time()

    assert 500 == check_quotes(asked).refused
    assert time.process_time() - began < 10
