"""Pieces that a model took for values of a text: those that stand there, with their places."""

import re
from collections.abc import Iterator, Sequence

from google.protobuf import json_format

from mailmesh.primitives.v1 import primitive_service_pb2 as primitives_pb2
from mailmesh.primitives.v1 import quote_service_pb2 as pb2
from services.primitives.texts.fields import MAX_FOUND, Candidate, pattern_of, spelled
from services.primitives.texts.formats import MAX_SOURCE
from services.primitives.texts.schema import Field, fields_of

WAY = "/model"
"""The end of the method of a value that a model has quoted."""
_ALONE, _ONE_OF_SEVERAL = 0.6, 0.3
_LEFT, _RIGHT = re.compile(r"\d[.,']"), re.compile(r"[.,']\d")


def check_quotes(request: pb2.CheckQuotesRequest) -> pb2.CheckQuotesResponse:
    """Return the quotes that stand in the text and are values of their field; count the others. Pure.

    Args:
        request: A request that was checked.
    """
    answer = pb2.CheckQuotesResponse()
    fields = {field.name: field for field in fields_of(json_format.MessageToDict(request.request.schema))}
    found: dict[str, list[Candidate]] = {name: [] for name in fields}
    for quote in request.quotes:
        field = fields.get(quote.name)
        one = None if field is None else _candidate(field, request.request.text, quote.text.strip())
        if one is None:
            answer.refused += 1
        else:
            found[quote.name].append(one)
    for name, field in fields.items():
        _add(answer.answer, field, found[name])
    return answer


def _add(answer: primitives_pb2.ExtractFieldsResponse, field: Field, found: Sequence[Candidate]) -> None:
    first = {one.value: one for one in reversed(found)}
    if not first:
        if field.is_required:
            answer.missing.append(field.name)
        return
    values = answer.fields.add(name=field.name).values
    confidence = _ALONE if len(first) == 1 else _ONE_OF_SEVERAL
    for one in sorted(first.values(), key=lambda one: one.start)[:MAX_FOUND]:
        values.add(value=one.value, start=one.start, end=one.end, method=f"{field.kind}{WAY}", confidence=confidence)


def _candidate(field: Field, text: str, quote: str) -> Candidate | None:
    """Return the place of a quote and its value; None if it does not stand in the text, or is no value of the field."""
    if not 1 <= len(quote) <= MAX_SOURCE or not pattern_of(field).fullmatch(quote):
        return None
    start = next((start for start in _places(text, quote) if _is_whole(text, start, start + len(quote))), None)
    if start is None or not (value := spelled(field, quote)):
        return None
    return Candidate(start, start + len(quote), value)


def _places(text: str, quote: str) -> Iterator[int]:
    """Yield the places of a quote, without overlaps, so that time is linear in the text."""
    start = text.find(quote)
    while start >= 0:
        yield start
        start = text.find(quote, start + len(quote))


def _is_whole(text: str, start: int, end: int) -> bool:
    """Tell whether a piece begins and ends at the bounds of words and numbers: 100 is no value of 1100 or 1.100."""
    before, after = text[max(0, start - 2) : start], text[end : end + 2]
    first, last = text[start], text[end - 1]
    is_within_word = (before[-1:].isalnum() and first.isalnum()) or (last.isalnum() and after[:1].isalnum())
    is_within_number = (first.isdigit() and _LEFT.fullmatch(before)) or (last.isdigit() and _RIGHT.fullmatch(after))
    return not (is_within_word or is_within_number)
