"""Arguments of a call: bounded in number and depth first, then checked against the tool's schema up to one fault.

The check runs between the calls of everybody, so that its duration must not grow with the body that a caller chooses.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from jsonschema.protocols import Validator

# Above all that the schemas of the tools permit; a test computes that from the contract.
MOST_VALUES = 2_000
MOST_DEPTH = 8
_RULES = {
    "additionalProperties": "has an unknown argument",
    "required": "lacks a required argument",
    "type": "has a value of a wrong type",
    "enum": "has a value that is not one of the allowed ones",
    "maxLength": "is too long",
    "maxItems": "has too many items",
    "minLength": "is too short",
}


def fault_of(check: Validator, arguments: Mapping[str, Any]) -> str:
    """Return a fault of the arguments, without their values; empty for none.

    Args:
        check: The check of the tool's schema.
        arguments: The arguments as they came.
    """
    if not _are_bounded(arguments):
        return "arguments: too many values, or too deep"
    error = next(check.iter_errors(arguments), None)
    if error is None:
        return ""
    place = ".".join(str(part) for part in error.absolute_path if isinstance(part, int) or part.isidentifier())
    return f"arguments{'.' + place if place else ''}: {_RULES.get(str(error.validator), 'has a wrong value')}"


def _are_bounded(arguments: Mapping[str, Any]) -> bool:
    """Count before looking into a list or an object: the longest one costs nothing."""
    waiting, count = [(_parts(arguments), 0)], 0
    while waiting:
        parts, depth = waiting.pop()
        count += len(parts)
        if count > MOST_VALUES or depth > MOST_DEPTH:
            return False
        waiting.extend((_parts(part), depth + 1) for part in parts if isinstance(part, dict | list))
    return True


def _parts(value: Any) -> Sequence[Any]:
    if len(value) > MOST_VALUES:
        return range(MOST_VALUES + 1)
    return list(value.values()) if isinstance(value, dict) else value
