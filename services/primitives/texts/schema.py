"""The subset of JSON Schema that `ExtractFields` takes: an object of typed values. Anything else is refused by name."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from services.primitives.errors import SchemaUnsupported

FORMATS = ("amount", "date", "email", "iban", "identifier", "phone", "uri")
MAX_FIELDS, MAX_NAME, MAX_VALUES, MAX_LABELS = 50, 64, 100, 16
_OF_OBJECT = frozenset(("type", "properties", "required", "additionalProperties", "title", "description", "$schema"))
_OF_FIELD = frozenset(("type", "format", "enum", "title", "description", "x-labels"))
_TYPES = ("integer", "number", "string")


@dataclass(frozen=True)
class Field:
    """A value that is looked for.

    Args:
        name: The property's name.
        kind: A member of `FORMATS`, "enum", "number", "integer" or "text".
        labels: Texts that stand before such a value.
        values: The values of an enum.
        is_required: Whether its absence is reported.
    """

    name: str
    kind: str
    labels: tuple[str, ...]
    values: tuple[str, ...]
    is_required: bool


def fields_of(schema: Mapping[str, Any]) -> list[Field]:
    """Read a schema; return its fields, sorted by name.

    Raises:
        SchemaUnsupported: It is no object of typed values; the metadata has the place and the cause.
    """
    _keywords("schema", schema, _OF_OBJECT)
    if schema.get("type") != "object":
        raise _refused("schema.type", 'is not "object"')
    if schema.get("additionalProperties", False) is not False:
        raise _refused("schema.additionalProperties", "is not false")
    properties = schema.get("properties")
    if not isinstance(properties, Mapping) or not 1 <= len(properties) <= MAX_FIELDS:
        raise _refused("schema.properties", f"has not 1 to {MAX_FIELDS} properties")
    required = _texts("schema.required", schema.get("required", []), MAX_FIELDS)
    if unknown := set(required) - set(properties):
        raise _refused("schema.required", f"has {len(unknown)} names that are no property")
    return [
        _field(place, name, properties[name], is_required=name in required)
        for place, name in enumerate(sorted(properties))
    ]


def _field(place: int, name: str, value: object, *, is_required: bool) -> Field:
    where = f"schema.properties[{place}]"  # the names are the caller's text, which no message repeats
    if not 1 <= len(name) <= MAX_NAME or not name.isprintable():
        raise _refused(where, f"has a name without 1 to {MAX_NAME} printable characters")
    if not isinstance(value, Mapping):
        raise _refused(where, "is no object")
    _keywords(where, value, _OF_FIELD)
    values = _texts(f"{where}.enum", value.get("enum", []), MAX_VALUES)
    if "enum" in value and not values:
        raise _refused(f"{where}.enum", "is empty")
    own = _texts(f"{where}.x-labels", value.get("x-labels", []), MAX_LABELS)
    title = _texts(f"{where}.title", [value["title"]] if "title" in value else [], 1)
    labels = tuple(dict.fromkeys((*own, *title, _words(name))))
    return Field(name, _kind(where, value), labels, tuple(values), is_required)


def _kind(where: str, value: Mapping[str, Any]) -> str:
    kind = value.get("type", "string")
    if kind not in _TYPES:
        raise _refused(f"{where}.type", f"is none of {', '.join(_TYPES)}")
    if kind != "string":
        if {"format", "enum"} & set(value):
            raise _refused(where, "is a number with format or enum")
        return str(kind)
    if "format" in value and "enum" in value:
        raise _refused(where, "has format and enum")
    found = value.get("format", "enum" if "enum" in value else "text")
    if "format" in value and found not in FORMATS:
        raise _refused(f"{where}.format", f"is none of {', '.join(FORMATS)}")
    return str(found)


def _keywords(where: str, value: Mapping[str, Any], known: frozenset[str]) -> None:
    if unknown := sorted(set(value) - known):
        word = unknown[0] if unknown[0].isidentifier() and len(unknown[0]) <= MAX_NAME else "a keyword"
        raise _refused(where, f"has {word}, which is not supported")


def _texts(where: str, value: object, most: int) -> Sequence[str]:
    if not isinstance(value, Sequence) or isinstance(value, str) or len(value) > most:
        raise _refused(where, f"is no list of at most {most} texts")
    for text in value:
        if not isinstance(text, str) or not text.strip() or len(text) > MAX_NAME or not text.isprintable():
            raise _refused(where, f"has a value without 1 to {MAX_NAME} printable characters")
    return list(value)


def _words(name: str) -> str:
    """Return a name such as `invoiceNumber` or `invoice_number` as words."""
    spaced = "".join(f" {letter}" if letter.isupper() else letter for letter in name)
    return " ".join(spaced.replace("_", " ").replace("-", " ").split()) or name


def _refused(where: str, cause: str) -> SchemaUnsupported:
    return SchemaUnsupported(f"{where} {cause}", metadata={"place": where, "cause": cause})
