"""JSON of the providers: short answers are parsed on arrival, long ones stay bytes until a process reads them."""

import json
from typing import Any

import orjson

MAX_PARSED_BYTES = 256 * 1024
"""A longer answer about mail is parsed in a process of its own. The slowest answer of this length, one of nothing but
members, takes about 25 ms; the parser holds the interpreter's lock meanwhile, in whichever thread it runs."""


def parse(raw: bytes) -> dict[str, Any] | None:
    """Read a JSON object; None when the answer is something else."""
    try:
        shown = orjson.loads(raw)
    except ValueError:
        shown = _parse_leniently(raw)
    return shown if isinstance(shown, dict) else None


def _parse_leniently(raw: bytes) -> Any:
    """Read the deviations from strict JSON that providers have been seen to send: half surrogates, endless numbers."""
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):  # UnicodeDecodeError is a ValueError
        return None


def parse_short(raw: bytes) -> dict[str, Any] | None:
    """Read a JSON object; None when the answer is something else, or too long to be a failure that a provider words."""
    return parse(raw) if len(raw) <= MAX_PARSED_BYTES else None
