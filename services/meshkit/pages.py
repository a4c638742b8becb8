"""Pages of a list: how many, and where the next one begins.

A page token is opaque to callers. It holds the position behind the last row and a digest that binds it to the method
and to every other field of the request, so that a token from one list cannot be continued in another. With a key the
digest is a MAC; without one it tells mistakes, not forgers, which is enough where the position reveals and grants
nothing: the scope of the caller is an argument of every query by itself.
"""

import hashlib
import hmac
import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from google.protobuf.message import Message

from services.meshkit import opaque
from services.meshkit.errors import FieldInvalid, PageTokenInvalid
from services.meshkit.ids import is_id
from services.meshkit.text import is_storable

DEFAULT_PAGE_SIZE = 50
MAX_PAGE_SIZE = 1000
_DIGEST_BYTES = 16

Position = list[str | int]
"""Where a page ended: the values of the columns that the list is sorted by."""

Column = Callable[[str | int], bool]
"""Tells whether a value can be one of a column."""


def is_time(value: str | int) -> bool:
    """Tell whether a value is a time in ISO form, with its offset."""
    try:
        datetime.fromisoformat(str(value)).astimezone(UTC)
    except (ValueError, OverflowError):
        return False
    return True


def is_row_id(value: str | int) -> bool:
    """Tell whether a value is the id of a row."""
    return is_id(str(value))


def page_size(requested: int) -> int:
    """Return the number of rows of a page.

    Args:
        requested: The request's `page_size`.

    Returns:
        50 for 0, never more than 1000.

    Raises:
        FieldInvalid: It is negative.
    """
    if requested < 0:
        raise FieldInvalid.of("page_size", "must not be negative")
    return min(requested or DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE)


class PageTokens:
    """Writes and reads the page tokens of one list.

    Args:
        key: Authenticates the tokens when given.
        columns: The checks of a position's values. Without a key anyone can write a token whose digest fits, so an
            impossible position is refused like any other invalid token.
    """

    def __init__(self, key: bytes = b"", columns: Sequence[Column] = ()) -> None:
        self._key = key
        self._columns = columns

    def write(self, request: Message, position: Position | None) -> str:
        """Make the `next_page_token`.

        Args:
            request: The request that was answered.
            position: Where the page ended, or None at the end of the list.

        Returns:
            The token, empty at the end of the list.
        """
        if position is None:
            return ""
        payload = json.dumps(position, separators=(",", ":")).encode()
        return opaque.encode(self._digest(request, payload) + payload)

    def read(self, request: Message) -> Position | None:
        """Take the position out of a request's `page_token`.

        Args:
            request: A generated message with the fields `page_size` and `page_token`.

        Returns:
            The position to go on behind, or None for the first page.

        Raises:
            PageTokenInvalid: The token was altered, or belongs to a request with other fields.
        """
        token: str = request.page_token  # type: ignore[attr-defined]
        if not token:
            return None
        raw = _decoded(token)
        digest, payload = raw[:_DIGEST_BYTES], raw[_DIGEST_BYTES:]
        if not hmac.compare_digest(digest, self._digest(request, payload)):
            raise _invalid()
        position = _parsed(payload)
        if self._columns and not self._fits(position):
            raise _invalid()
        return position

    def _fits(self, position: Position) -> bool:
        pairs = zip(self._columns, position, strict=False)
        return len(position) == len(self._columns) and all(is_one(value) for is_one, value in pairs)

    def _digest(self, request: Message, payload: bytes) -> bytes:
        unpaged = type(request)()
        unpaged.CopyFrom(request)
        unpaged.ClearField("page_size")
        unpaged.ClearField("page_token")
        content = unpaged.SerializeToString(deterministic=True)
        digest = hashlib.blake2b(key=self._key, digest_size=_DIGEST_BYTES)
        for part in (request.DESCRIPTOR.full_name.encode(), content, payload):
            digest.update(len(part).to_bytes(4, "big") + part)
        return digest.digest()


def _decoded(token: str) -> bytes:
    try:
        return opaque.decode(token)
    except opaque.NotOpaqueError as exc:
        raise _invalid() from exc


def _parsed(payload: bytes) -> Position:
    try:
        position = json.loads(payload)
    except (ValueError, RecursionError) as exc:
        raise _invalid() from exc
    if not isinstance(position, list) or not all(_is_value(value) for value in position):
        raise _invalid()
    return position


def _is_value(value: object) -> bool:
    return is_storable(value) if isinstance(value, str) else isinstance(value, int)


def _invalid() -> PageTokenInvalid:
    return PageTokenInvalid(violations={"page_token": "does not belong to this request"})
