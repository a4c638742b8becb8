"""Values of a schema are found by format and label, and each stands in the text where the answer says."""

from collections.abc import Mapping
from typing import Any

import pytest

from mailmesh.primitives.v1 import primitive_service_pb2 as pb2
from services.meshkit.errors import FieldInvalid
from services.primitives.errors import SchemaUnsupported
from services.primitives.servicers.field_checks import check_extract
from services.primitives.texts.fields import extract_fields, is_verified
from tests.unit.primitives.attacks import ATTACKS

Properties = Mapping[str, Any]
ALL: Properties = {
    "invoice": {"format": "identifier", "x-labels": ["invoice no", "Rechnungsnummer"]},
    "due": {"format": "date", "title": "due date"},
    "total": {"format": "amount"},
    "iban": {"format": "iban"},
    "phone": {"format": "phone"},
    "mail": {"format": "email"},
    "link": {"format": "uri"},
    "status": {"enum": ["paid", "open", "pwned"]},
    "quantity": {"type": "integer"},
    "rate": {"type": "number"},
    "note": {"type": "string"},
}


def request(text: str, properties: Properties, required: tuple[str, ...] = ()) -> pb2.ExtractFieldsRequest:
    made = pb2.ExtractFieldsRequest(text=text)
    made.schema.update({"type": "object", "properties": dict(properties), "required": list(required)})
    return made


def values(text: str, properties: Properties) -> dict[str, list[str]]:
    asked = request(text, properties)
    answer = extract_fields(asked)
    assert is_verified(asked, answer, check_extract(asked))
    return {field.name: [value.value for value in field.values] for field in answer.fields}


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        ("date", "on 2026-11-03.", ["2026-11-03"]),
        ("date", "am 3.11.2026 um", ["2026-11-03"]),
        ("date", "am 3. November 2026", ["2026-11-03"]),
        ("date", "le 3 novembre 2026", ["2026-11-03"]),
        ("date", "November 3rd, 2026", ["2026-11-03"]),
        ("date", "1 augu\u017ft 2026, 5 apr\u0131l 2026, 6 May 2026", ["2026-05-06"]),
        ("date", "2026年11月3日", ["2026-11-03"]),
        ("date", "11/23/2026", ["2026-11-23"]),
        ("date", "03/04/2026", ["2026-04-03"]),
        ("date", "31.02.2026 and 2026-13-01", []),
        ("amount", "EUR 1.234,56 due", ["1234.56 EUR"]),
        ("amount", "1,234.56 € due", ["1234.56 EUR"]),
        ("amount", "£40", ["40 GBP"]),
        ("amount", "12.000 CHF", ["12000 CHF"]),
        ("amount", "$ 9.99 or ¥500", ["9.99 $", "500 ¥"]),
        ("amount", "1 234,50 €", ["1234.50 EUR"]),
        ("amount", "forty euros", []),
        ("email", "write to <ada.b+c@mail.example.com>, please", ["ada.b+c@mail.example.com"]),
        ("email", "ada@example and @example.com", []),
        ("uri", "see https://example.com/a?b=1.", ["https://example.com/a?b=1"]),
        ("uri", "javascript:alert(1) and file:///etc/passwd", []),
        ("iban", "IBAN: DE89 3704 0044 0532 0130 00", ["DE89370400440532013000"]),
        ("iban", "GB82WEST12345698765432", ["GB82WEST12345698765432"]),
        ("iban", "DE88 3704 0044 0532 0130 00", []),
        ("phone", "call +49 (0)30 1234567", ["+49301234567"]),
        ("phone", "call 0044 1632 960001", ["+441632960001"]),
    ],
)
def test_a_value_of_a_format_gets_one_spelling(kind: str, text: str, expected: list[str]) -> None:
    assert values(text, {"value": {"format": kind}}).get("value", []) == expected


def test_labels_tell_values_of_one_format_apart() -> None:
    text = (
        "Invoice date: 2026-11-03\nDue date:\n2026-12-01\nOrder number: 4711-A\n"
        "Invoice no. INV-2026/118\nName: Ada Lee\n"
    )
    properties = {
        "date": {"format": "date"},
        "dueDate": {"format": "date"},
        "invoice": {"format": "identifier", "x-labels": ["invoice no"]},
        "orderNumber": {"format": "identifier"},
        "name": {"type": "string"},
        "customer": {"type": "string"},
    }

    assert values(text, properties) == {
        "date": ["2026-11-03"], "dueDate": ["2026-12-01"], "invoice": ["INV-2026/118"], "orderNumber": ["4711-A"],
        "name": ["Ada Lee"],
    }  # fmt: skip


def test_places_methods_and_confidence_are_stated() -> None:
    asked = request(
        "Bitte bis 24.12.2026 an Ada. Total: 9 EUR", {"total": {"format": "amount"}, "by": {"format": "date"}}
    )
    by, total = extract_fields(asked).fields

    assert (by.values[0].start, by.values[0].end, by.values[0].method) == (10, 20, "date")
    assert (total.values[0].start, total.values[0].end, total.values[0].method) == (36, 41, "amount/label")
    assert by.values[0].confidence < total.values[0].confidence


def test_places_count_code_points_behind_characters_of_several_bytes() -> None:
    asked = request("😀 İstanbul ß: 5 €", {"price": {"format": "amount"}})
    (price,) = extract_fields(asked).fields

    assert asked.text[price.values[0].start : price.values[0].end] == "5 €"


def test_several_values_are_all_told_with_little_confidence_and_a_missing_one_by_name() -> None:
    asked = request(
        "2026-11-03, 2026-11-04 and 2026-11-03", {"day": {"format": "date"}, "iban": {"format": "iban"}}, ("iban",)
    )
    answer = extract_fields(asked)

    assert [value.value for value in answer.fields[0].values] == ["2026-11-03", "2026-11-04"]
    assert {value.confidence for value in answer.fields[0].values} == {0.3}
    assert answer.missing == ["iban"]


def test_an_enum_is_closed() -> None:
    assert values("PAID in full", {"status": {"enum": ["paid", "open"]}}) == {"status": ["paid"]}
    assert values("prepaid, reopened, refunded", {"status": {"enum": ["paid", "open"]}}) == {}


@pytest.mark.parametrize("attack", ATTACKS, ids=range(len(ATTACKS)))
def test_no_attack_gets_a_value_that_does_not_stand_in_the_text(attack: str) -> None:
    asked = request(attack[:65_536], ALL)
    answer = extract_fields(asked)

    assert is_verified(asked, answer, check_extract(asked))


def test_an_answer_that_invents_a_value_is_not_verified() -> None:
    asked = request("Total: 9 EUR", ALL)
    fields, good = check_extract(asked), extract_fields(asked)
    assert is_verified(asked, good, fields)

    for name, value in (
        ("value", "10 EUR"),
        ("start", 0),
        ("end", 13),
        ("start", -1),
        ("method", "x"),
        ("confidence", 2),
    ):
        bad = pb2.ExtractFieldsResponse()
        bad.CopyFrom(good)
        setattr(bad.fields[0].values[0], name, value)
        assert not is_verified(asked, bad, fields), name
    other = pb2.ExtractedField(name="other")
    assert not is_verified(asked, pb2.ExtractFieldsResponse(missing=["other"]), fields)
    assert not is_verified(asked, pb2.ExtractFieldsResponse(fields=[other]), fields)


HOSTILE = (
    "a", "1", "+1", "0 1", "1.", "@", "a@a.", "http://", "AA11 ", "invoice no ", "due date: 1", "\n", "1,1", "(",
    "3 May ", "€", "1 000 ", "1-1-", "total:", "0/", "no ", "DE89 3704 ", "1/1/", ".", "rate 1,1", "due date ( ",
    "note:", "note:x\n",
)  # fmt: skip


@pytest.mark.parametrize("piece", HOSTILE)
def test_the_longest_text_of_a_hostile_piece_is_read_to_its_end(piece: str) -> None:
    asked = request((piece * 65_536)[:65_500] + "\nTotal: 9 EUR", ALL)
    answer = extract_fields(asked)

    assert is_verified(asked, answer, check_extract(asked))


@pytest.mark.parametrize(
    ("schema", "place"),
    [
        ({}, "schema.type"),
        ({"type": "array"}, "schema.type"),
        ({"type": "object"}, "schema.properties"),
        ({"type": "object", "properties": {}}, "schema.properties"),
        ({"type": "object", "properties": {f"p{n}": {} for n in range(51)}}, "schema.properties"),
        ({"type": "object", "properties": {"a": {}}, "$ref": "#/x"}, "schema"),
        ({"type": "object", "properties": {"a": {}}, "additionalProperties": True}, "schema.additionalProperties"),
        ({"type": "object", "properties": {"a": {}}, "required": ["b"]}, "schema.required"),
        ({"type": "object", "properties": {"a": {"pattern": "(a+)+"}}}, "schema.properties[0]"),
        ({"type": "object", "properties": {"a": {"type": "object"}}}, "schema.properties[0].type"),
        ({"type": "object", "properties": {"a": {"type": ["string"]}}}, "schema.properties[0].type"),
        ({"type": "object", "properties": {"a": {"format": "regex"}}}, "schema.properties[0].format"),
        ({"type": "object", "properties": {"a": {"format": {"x": 1}}}}, "schema.properties[0].format"),
        ({"type": "object", "properties": {"a": {"format": "date", "enum": ["x"]}}}, "schema.properties[0]"),
        ({"type": "object", "properties": {"a": {"enum": []}}}, "schema.properties[0].enum"),
        ({"type": "object", "properties": {"a": {"enum": [1]}}}, "schema.properties[0].enum"),
        ({"type": "object", "properties": {"a": {"title": "x" * 65}}}, "schema.properties[0].title"),
        ({"type": "object", "properties": {"a": 1}}, "schema.properties[0]"),
        ({"type": "object", "properties": {"a\n": {}}}, "schema.properties[0]"),
    ],
)
def test_any_other_part_of_json_schema_is_refused_by_name(schema: dict[str, Any], place: str) -> None:
    asked = pb2.ExtractFieldsRequest(text="x")
    asked.schema.update(schema)

    with pytest.raises(SchemaUnsupported) as refused:
        check_extract(asked)
    assert refused.value.metadata["place"] == place


def test_a_schema_that_is_no_json_and_texts_beyond_their_bounds_are_refused() -> None:
    asked = request("x", ALL)
    asked.schema["title"] = float("nan")
    with pytest.raises(SchemaUnsupported):
        check_extract(asked)
    for text in ("", " \n", "x" * 65_537):
        with pytest.raises(FieldInvalid):
            check_extract(request(text, ALL))
