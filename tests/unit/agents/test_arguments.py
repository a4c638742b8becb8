"""The check of arguments costs little, whatever a caller sends, and names one fault without its value."""

from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
from typing_extensions import override

from services.agents.arguments import MOST_DEPTH, MOST_VALUES, fault_of
from services.agents.tools import load_tools

TOOLS = load_tools()


class Counted(list):
    """A list that counts how many of its items are read."""

    looked_at = 0

    @override
    def __iter__(self) -> Iterator[Any]:
        for item in super().__iter__():
            self.looked_at += 1
            yield item


def fault(tool: str, arguments: dict) -> str:
    return fault_of(jsonschema.Draft202012Validator(TOOLS[tool].schema), arguments)


@pytest.mark.parametrize("item", [1, "mail.created", []], ids=["wrong", "right", "empty"])
def test_a_long_list_is_refused_by_its_length_alone(item: Any) -> None:
    items = Counted([item] * 250_000)

    assert fault("list_events", {"tenant_id": "t", "event_types": items}) == "arguments: too many values, or too deep"
    assert items.looked_at == 0


def test_a_list_above_its_bound_is_refused_before_its_items() -> None:
    items = [1] * 101

    assert fault("list_events", {"tenant_id": "t", "event_types": items}) == "arguments.event_types: has too many items"


def test_the_check_ends_at_the_first_fault() -> None:
    faults = iter([jsonschema.ValidationError("a", validator="type", path=["to", 3, "name"])])

    class Check:
        def iter_errors(self, _arguments: Any) -> Iterator[jsonschema.ValidationError]:
            yield next(faults)
            raise AssertionError("a second fault was looked for")

    assert fault_of(Check(), {}) == "arguments.to.3.name: has a value of a wrong type"


@pytest.mark.parametrize(
    "arguments",
    [
        {str(number): 1 for number in range(MOST_VALUES + 1)},
        {"change": {str(number): 1 for number in range(MOST_VALUES + 1)}},
        {"to": [[1] * 100] * 100},
    ],
    ids=["names", "inner-names", "lists-of-lists"],
)
def test_all_values_together_are_bounded(arguments: dict) -> None:
    assert fault("send_mail", arguments) == "arguments: too many values, or too deep"


def test_the_depth_is_bounded() -> None:
    deep: Any = 1
    for _ in range(MOST_DEPTH + 1):
        deep = [deep]

    assert fault("send_mail", {"to": deep}) == "arguments: too many values, or too deep"


def most(schema: dict) -> tuple[int, int]:
    """The most values below a schema, and its depth."""
    if schema["type"] == "array":
        inner, depth = most(schema["items"])
        return schema["maxItems"] * (inner + 1), depth + 1
    if schema["type"] == "object":
        parts = [most(part) for part in schema["properties"].values()]
        return sum(inner + 1 for inner, _ in parts), 1 + max(depth for _, depth in parts)
    return 0, 0


@pytest.mark.parametrize("tool", TOOLS)
def test_the_bounds_permit_all_that_a_schema_permits(tool: str) -> None:
    values, depth = most(TOOLS[tool].schema)

    assert values < MOST_VALUES
    assert depth <= MOST_DEPTH
