"""Forms of stored values for an export: messages as JSON, numbers of states as words, bytes as base64."""

import base64
from collections.abc import Mapping
from enum import IntEnum
from typing import Any

import asyncpg
import orjson
from google.protobuf.json_format import MessageToDict, SerializeToJsonError
from google.protobuf.message import DecodeError, Message

from services.meshkit.exporting import Form, Written

SECRET, DIGEST = "a secret", "a digest, which recognises repetitions"


def message_json(kind: type[Message], stored: bytes | None) -> Any:
    """Return a serialized message as JSON has it, by the contract's names; its bytes if JSON cannot have it."""
    if stored is None:
        return None
    try:
        return MessageToDict(kind.FromString(stored))
    except (DecodeError, SerializeToJsonError, ValueError):
        return bytes_json(stored)


def bytes_json(stored: bytes | None) -> Any:
    """Return bytes as text if they are text in UTF-8, else in base64."""
    if stored is None:
        return None
    try:
        return stored.decode()
    except UnicodeDecodeError:
        return base64_json(stored)


def base64_json(stored: bytes | None) -> Any:
    """Return bytes in base64: for parts of files, which may end within a character."""
    return None if stored is None else {"base64": base64.b64encode(stored).decode()}


def document_json(stored: bytes) -> Any:
    """Return a stored JSON document; its text if it is none."""
    try:
        return orjson.loads(stored) if stored else None
    except orjson.JSONDecodeError:
        return bytes_json(stored)


def word(kind: type[IntEnum], number: int) -> str | int:
    """Return the name of a state in lower case; the number if this release does not know it."""
    try:
        return kind(number).name.lower()
    except ValueError:
        return number


def form(
    messages: Mapping[str, type[Message]] | None = None,
    words: Mapping[str, type[IntEnum]] | None = None,
    left_out: Mapping[str, str] | None = None,
) -> Form:
    """Return the form of a table whose columns are written one by one.

    Args:
        messages: Columns that have serialized messages.
        words: Columns that have numbers of states or kinds.
        left_out: Columns that are not written, with the reason.
    """
    kinds, states = messages or {}, words or {}

    def read(row: asyncpg.Record) -> Written:
        return {
            **{name: message_json(kind, row[name]) for name, kind in kinds.items()},
            **{name: word(kind, row[name]) for name, kind in states.items()},
        }

    return Form((*kinds, *states), read, left_out or {})
