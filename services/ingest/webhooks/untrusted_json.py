"""JSON from strangers."""

import json
from typing import Any

import orjson


class UnreadableError(Exception):
    """Something that a provider sent cannot be understood.

    Args:
        cause: A word for the metric; never a piece of the body.
    """

    def __init__(self, cause: str) -> None:
        super().__init__(cause)
        self.cause = cause


def parse_object(body: bytes) -> dict[str, Any]:
    """Reads a JSON object.

    The fast parser refuses what is JSON by the letter but no Unicode (a lone surrogate in one field would cost all its
    neighbours), so the patient one is asked before giving up.

    Args:
        body: Untrusted bytes.

    Returns:
        The object.

    Raises:
        UnreadableError: It is not JSON, nested too deeply, or no object.
    """
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        document = _parse_patiently(body)
    if not isinstance(document, dict):
        raise UnreadableError("not_an_object")
    return document


def _parse_patiently(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as exc:
        raise UnreadableError("not_json") from exc
