"""Parses JSON from untrusted senders."""

import json
from typing import Any

import orjson


class UnreadableError(Exception):
    """A provider's message cannot be parsed.

    Args:
        cause: A word for the metric; never a part of the body.
    """

    def __init__(self, cause: str) -> None:
        super().__init__(cause)
        self.cause = cause


def parse_object(body: bytes) -> dict[str, Any]:
    """Parse a JSON object.

    The fast parser refuses valid JSON that is not valid Unicode: a lone surrogate in one field would lose all other
    notifications of the POST. The tolerant parser therefore tries again.

    Args:
        body: Untrusted bytes.

    Returns:
        The object.

    Raises:
        UnreadableError: The body is not JSON, is nested too deeply, or is not an object.
    """
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        document = _parse_tolerantly(body)
    if not isinstance(document, dict):
        raise UnreadableError("not_an_object")
    return document


def _parse_tolerantly(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as exc:
        raise UnreadableError("not_json") from exc
