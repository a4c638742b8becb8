"""Work for a mapping process, in a form that can be written for it."""

import itertools
from dataclasses import dataclass
from typing import Any

_MAX_GROWTH = 4
"""How much longer JSON may be when it is written again, where a character becomes an escape."""
MAX_MEMBERS = 100_000
"""Members of an object that is sent whole; writing more of them for the child would hold the interpreter's lock."""
MAX_DEPTH = 300
"""Levels that remain of an object that is too deep; the mapping reads fewer."""
_MAX_MAIL_BYTES = 8 * 1024 * 1024
_MAX_ENTRIES = 20_000
"""Entries that remain of each list of a larger object; the mapping reads no more of any list."""


@dataclass(frozen=True)
class Task:
    """Work for a child.

    Args:
        operation: The name of one of `mapping_child.OPERATIONS`.
        arguments: Its arguments: bytes, strings and JSON.
        max_bytes: The longest answer that is read.
    """

    operation: str
    arguments: tuple[Any, ...]
    max_bytes: int = _MAX_MAIL_BYTES

    def without_depths(self) -> "Task":
        """Return the task without what is nested too deep, or is too much, to be written for the child."""
        arguments = tuple(without_depths(argument, MAX_DEPTH) for argument in self.arguments)
        return Task(self.operation, arguments, self.max_bytes)


def longest_answer(raw: bytes) -> int:
    """Return the bound of an answer that consists of parts of another one, in bytes."""
    return max(_MAX_MAIL_BYTES, _MAX_GROWTH * len(raw))


def has_many_members(value: Any, most: int = MAX_MEMBERS) -> bool:
    """Tell whether JSON has more members than a child gets; it stops when it knows."""
    left, waiting = most, [value]
    for found in waiting:
        if isinstance(found, dict | list | tuple):
            left -= len(found)
            if left < 0:
                return True
            waiting += found.values() if isinstance(found, dict) else found
    return False


def without_depths(value: Any, levels: int) -> Any:
    """Copy JSON without what is nested deeper than a number of levels, and without entries that are never read."""
    if not isinstance(value, dict | list):
        return value
    if not levels:
        return None
    if isinstance(value, dict):
        members = itertools.islice(value.items(), _MAX_ENTRIES)
        return {name: without_depths(member, levels - 1) for name, member in members}
    return [without_depths(member, levels - 1) for member in itertools.islice(value, _MAX_ENTRIES)]
