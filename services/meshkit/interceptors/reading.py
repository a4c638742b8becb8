"""Reads requests. Bytes that are no message of the RPC become a refusal with a reason instead of gRPC's INTERNAL.

Text that is not UTF-8 is the usual cause: the transcoder passes on the bytes of a path or a query as they are. gRPC
would log a traceback for each such request before any handler runs.
"""

from collections.abc import Callable
from typing import Any

from google.protobuf.message import DecodeError

from services.meshkit.errors import FieldInvalid

Deserialize = Callable[[bytes], Any]


class Unreadable:
    """Stands for a request that could not be read, until the caller is known and may get an answer."""


_UNREADABLE = Unreadable()


def reading(deserialize: Deserialize | None) -> Deserialize | None:
    """Return a deserializer that returns `Unreadable` where the given one raises."""
    if deserialize is None:
        return None

    def read(data: bytes) -> Any:
        try:
            return deserialize(data)
        except (DecodeError, UnicodeDecodeError):
            return _UNREADABLE

    return read


def check_readable(request: Any) -> None:
    """Refuse a request that could not be read.

    Raises:
        FieldInvalid: The bytes are no message of this RPC, or a text in it is not UTF-8.
    """
    if isinstance(request, Unreadable):
        raise FieldInvalid("The request is no message of this RPC, or a text in it is not valid UTF-8.")
