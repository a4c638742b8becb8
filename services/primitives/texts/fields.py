"""Values of a text by format and by the label before them. Nothing is inferred: each value stands in the text."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from google.protobuf import json_format

from mailmesh.primitives.v1 import primitive_service_pb2 as pb2
from services.primitives.texts.formats import MAX_SOURCE, PATTERNS, SPELL, is_ambiguous_date
from services.primitives.texts.schema import Field, fields_of

MAX_CANDIDATES = 1000
MAX_FOUND = 10
_NEEDS_LABEL = frozenset(("identifier", "number", "integer", "text"))
_CHECKED = frozenset(("iban",))
# Between a label and its value: signs, and the words for "number", in one line or at the end of the line before.
_BETWEEN = re.compile(
    r"[ \t]{0,8}(?:\([^()\n]{0,20}\)[ \t]?)?"
    r"(?:(?:no|nr|num|number|nummer|n°|id|is|lautet|ist|est|vom|of|on|am|du)\b\.?[ \t]?"
    r"|[:#=|.\uff1a*-][ \t]{0,8}|\r?\n[ \t]{0,8}){0,4}",
    re.IGNORECASE,
)
_LABELLED, _CHECKED_ALONE, _ALONE, _ONE_OF_SEVERAL, _AMBIGUOUS = 0.9, 0.8, 0.6, 0.3, 0.3


@dataclass(frozen=True)
class Candidate:
    """A value in the text.

    Args:
        start: The place of its first character.
        end: The place after its last one.
        value: Its one spelling.
        label: The length of the field's label before it; 0 without one.
    """

    start: int
    end: int
    value: str
    label: int = 0


def extract_fields(request: pb2.ExtractFieldsRequest) -> pb2.ExtractFieldsResponse:
    """Extract the values of a schema from a text. Pure; time is linear in the text.

    Args:
        request: A request that was checked.
    """
    fields = fields_of(json_format.MessageToDict(request.schema))
    labelled = {field.name: list(_labelled(field, request.text)) for field in fields}
    claims: dict[int, int] = {}
    for one in (one for found in labelled.values() for one in found):
        claims[one.start] = max(one.label, claims.get(one.start, 0))
    answer = pb2.ExtractFieldsResponse()
    for field in fields:
        # Of "due date: ..." the field `date` claims less than the field `dueDate`.
        found = [one for one in labelled[field.name] if one.label == claims[one.start]]
        found = found or [one for one in _alone(field, request.text) if one.start not in claims]
        _add(answer, field, found, request.text)
    return answer


def _add(answer: pb2.ExtractFieldsResponse, field: Field, found: Sequence[Candidate], text: str) -> None:
    if not found:
        if field.is_required:
            answer.missing.append(field.name)
        return
    values = answer.fields.add(name=field.name).values
    distinct = {one.value for one in found}
    first = {one.value: one for one in reversed(found)}  # each value once, where it stands first
    for one in sorted(first.values(), key=lambda one: one.start)[:MAX_FOUND]:
        method = f"{field.kind}/label" if one.label else field.kind
        confidence = _confidence(field, one, len(distinct), text)
        values.add(value=one.value, start=one.start, end=one.end, method=method, confidence=confidence)


def _confidence(field: Field, one: Candidate, distinct: int, text: str) -> float:
    if field.kind == "date" and is_ambiguous_date(text[one.start : one.end]):
        return _AMBIGUOUS
    if one.label:
        return _LABELLED if distinct == 1 else _ALONE
    if distinct > 1:
        return _ONE_OF_SEVERAL
    return _CHECKED_ALONE if field.kind in _CHECKED else _ALONE


def _labelled(field: Field, text: str) -> Iterator[Candidate]:
    """Yield the values directly behind a label of the field."""
    if field.kind == "enum":
        return
    words = "|".join(r"\s{1,4}".join(map(re.escape, label.split())) for label in field.labels)
    for count, label in enumerate(re.finditer(rf"(?<!\w)(?:{words})(?![^\W\d_])", text, re.IGNORECASE)):
        if count >= MAX_CANDIDATES:
            return
        between = _BETWEEN.match(text, label.end())
        start = between.end() if between else label.end()
        if field.kind == "text" and not re.search("[:=\uff1a]", text[label.end() : start]):
            continue
        if found := PATTERNS[field.kind].match(text, start):
            yield from _candidate(field, text, found, label.end() - label.start())


def _alone(field: Field, text: str) -> Iterator[Candidate]:
    """Yield the values of the field's format, wherever they stand."""
    if field.kind in _NEEDS_LABEL:
        return
    for count, found in enumerate(pattern_of(field).finditer(text)):
        if count >= MAX_CANDIDATES:
            return
        yield from _candidate(field, text, found, 0)


def _candidate(field: Field, text: str, found: re.Match[str], label: int) -> Iterator[Candidate]:
    start, end = found.span()
    while end > start and (text[end - 1].isspace() or (field.kind == "uri" and text[end - 1] in ".,;:!?")):
        end -= 1
    if value := spelled(field, text[start:end]):
        yield Candidate(start, end, value, label)


def pattern_of(field: Field) -> re.Pattern[str]:
    """Return the pattern of a field that needs no label."""
    if field.kind != "enum":
        return PATTERNS[field.kind]
    words = "|".join(re.escape(value) for value in sorted(field.values, key=len, reverse=True))
    return re.compile(rf"(?<!\w)(?:{words})(?!\w)", re.IGNORECASE)


def spelled(field: Field, source: str) -> str:
    """Return the value that a piece of text stands for, or nothing if it is none of the field's."""
    if not source or len(source) > MAX_SOURCE:
        return ""
    if field.kind == "enum":
        return next((value for value in field.values if value.lower() == source.lower()), "")
    return SPELL[field.kind](source)


def is_verified(
    request: pb2.ExtractFieldsRequest,
    answer: pb2.ExtractFieldsResponse,
    fields: Sequence[Field],
    ways: Sequence[str] = ("", "/label"),
) -> bool:
    """Tell whether each value of an answer stands in the text where the answer says, and is of its field.

    Args:
        request: The text and the schema.
        answer: The answer of a process that may have been taken over.
        fields: The fields of the schema.
        ways: The ends that a method may have behind the kind of the field.
    """
    known = {field.name: field for field in fields}
    names = [field.name for field in answer.fields]
    if not set(names) <= set(known) or len(set(names)) != len(names) or not set(answer.missing) <= set(known):
        return False
    return all(
        0 <= value.start < value.end <= len(request.text)
        and 0 <= value.confidence <= 1
        and value.method in {f"{known[field.name].kind}{way}" for way in ways}
        and value.value == spelled(known[field.name], request.text[value.start : value.end])
        for field in answer.fields
        for value in field.values
    )
