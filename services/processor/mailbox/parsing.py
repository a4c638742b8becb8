"""JSON of the providers: short answers are parsed on arrival, long ones stay bytes until a process reads them."""

import asyncio
import base64
import json
from typing import Any

import orjson

MAX_PARSED_BYTES = 256 * 1024
"""A longer answer is parsed in a process of its own. The slowest answer of this length, one of nothing but members,
takes about 25 ms; the parser holds the interpreter's lock meanwhile, in whichever thread it runs."""

_PIECE_CHARACTERS = 256 * 1024
"""A multiple of four, so that each piece of a text is whole groups."""
_STANDARD = str.maketrans("-_", "+/")


def parse(raw: bytes) -> dict[str, Any] | None:
    """Read a JSON object; None when the answer is something else."""
    try:
        shown = parse_any(raw)
    except ValueError:
        return None
    return shown if isinstance(shown, dict) else None


def parse_any(raw: bytes) -> Any:
    """Read JSON, with the deviations that providers have been seen to send: half surrogates, endless numbers.

    Raises:
        ValueError: The bytes are no JSON, or nested too deep.
    """
    try:
        return orjson.loads(raw)
    except ValueError:
        try:
            return json.loads(raw)  # UnicodeDecodeError is a ValueError
        except RecursionError as exc:
            raise ValueError("nested too deep") from exc


def parse_short(raw: bytes) -> dict[str, Any] | None:
    """Read a JSON object; None when the answer is something else, or too long to be a failure that a provider words."""
    return parse(raw) if len(raw) <= MAX_PARSED_BYTES else None


async def decode_content(data: str) -> bytes:
    """Decode base64 of either alphabet, with or without padding; a long text in a thread, piece by piece.

    Raises:
        ValueError: The text is no base64.
    """
    return _decoded(data) if len(data) <= _PIECE_CHARACTERS else await asyncio.to_thread(_decoded, data)


def _decoded(data: str) -> bytes:
    pieces = (data[begin : begin + _PIECE_CHARACTERS] for begin in range(0, len(data), _PIECE_CHARACTERS))
    return b"".join(
        base64.b64decode(f"{piece}{'=' * (-len(piece) % 4)}".translate(_STANDARD), validate=True) for piece in pieces
    )
