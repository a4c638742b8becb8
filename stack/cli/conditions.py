"""Conditions of endpoints as the command line writes them: `sender:ends-with:@example.com`."""

from collections.abc import Sequence

import typer

from mailmesh.delivery.v1 import endpoint_service_pb2 as messages
from stack.cli.output import enum_value, word

FIELD, TEST = "ENDPOINT_CONDITION_FIELD_", "ENDPOINT_CONDITION_TEST_"
_NOT = "not:"


def read_conditions(options: Sequence[str] | None) -> list[messages.EndpointCondition]:
    """Return the conditions that options name.

    Raises:
        typer.BadParameter: One is malformed.
    """
    return [_read(option) for option in options or ()]


def condition_text(one: messages.EndpointCondition) -> str:
    """Return a condition as an option would write it."""
    field = word(messages.EndpointConditionField.Name(one.field), FIELD)
    test = [word(messages.EndpointConditionTest.Name(one.test), TEST)] if one.values else []
    text = ":".join(_dashed(part) for part in [field, *test])
    return f"{_NOT if one.is_negated else ''}{text}{':' if one.values else ''}{' or '.join(one.values)}"


def _read(option: str) -> messages.EndpointCondition:
    is_negated = option.startswith(_NOT)
    name, _, rest = option.removeprefix(_NOT).partition(":")
    field = enum_value(messages.EndpointConditionField, FIELD, name.replace("-", "_"))
    condition = messages.EndpointCondition(field=field, is_negated=is_negated)
    if not rest:
        return condition
    test, colon, value = rest.partition(":")
    if not colon:
        raise typer.BadParameter("--condition takes FIELD:TEST:VALUE, or a field that is true or false")
    condition.test = enum_value(messages.EndpointConditionTest, TEST, test.replace("-", "_"))
    condition.values.append(value)
    return condition


def _dashed(text: str) -> str:
    return text.replace("_", "-")
