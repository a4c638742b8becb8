"""A person's address: where a text or a message names it, and the same text or message without it.

Addresses are compared as `services.meshkit.addresses` does. An address with a plus tag is another address.
"""

import re
from collections.abc import Callable
from typing import Any, TypeAlias

import orjson
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from services.meshkit.addresses import plain, shown_domain

REPLACEMENT = "erased"
Codec: TypeAlias = Callable[[Any, "Person"], Any]
"""Returns a stored value without a person; the value itself when it does not name the person."""


class Person:
    """One address.

    Args:
        address: The address as `addresses.plain` returns it.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        local, _, domain = address.rpartition("@")
        self._local = local.encode() if local.isascii() else b""
        domains = {domain, shown_domain(domain)}
        named = "|".join(re.escape(one) for one in sorted(domains))
        pattern = rf"(?<![\w.+\-])(?<!\w'){re.escape(local)}(?:@|%40)(?:{named})(?![\w\-]|\.\w)"
        self._pattern = re.compile(pattern, re.IGNORECASE)

    def may_be_in(self, content: bytes) -> bool:
        """Return whether texts in UTF-8 may name the person, as they stand in a serialized message: fast, for most not.

        Two characters beside ASCII have a lower case in it: the Kelvin sign, and the long s as its upper case.
        """
        folded = content.lower()
        return self._local in folded or "\u212a".encode() in content or "\u017f".encode() in content

    def is_in(self, text: str) -> bool:
        """Return whether a text names the person."""
        return self._pattern.search(text) is not None

    def is_all(self, text: str) -> bool:
        """Return whether a text is the address and nothing else."""
        return self._pattern.fullmatch(text.strip()) is not None or plain(text) == self._address

    def out_of(self, text: str) -> str:
        """Return a text without the address."""
        return self._pattern.sub(REPLACEMENT, text)


def text(value: str, person: Person) -> str:
    """Codec of a text."""
    return person.out_of(value)


def answer(value: bytes, person: Person) -> bytes:
    """Codec of bytes from outside: all of them go when they name the person."""
    return b"" if person.is_in(value.decode(errors="replace")) else value


def json_bytes(value: bytes, person: Person) -> bytes:
    """Codec of a JSON document in bytes."""
    found = orjson.loads(value)
    rest = _json_without(found, person)
    return value if rest == found else orjson.dumps(rest)


def json_text(value: str, person: Person) -> str:
    """Codec of a column of JSON."""
    return json_bytes(value.encode(), person).decode()


def message(kind: type[Message]) -> Codec:
    """Return the codec of a serialized message."""

    def without(value: bytes | None, person: Person) -> bytes | None:
        if value is None:
            return None
        found = kind.FromString(value)
        return found.SerializeToString(deterministic=True) if take_out(found, person) else value

    return without


def take_out(found: Message, person: Person) -> bool:
    """Take a person out of a message, in place; return whether the message named the person.

    An element of a list that has the address as one of its fields goes whole, with the name and the status beside the
    address. A single message of that kind is emptied, and so is a text that is the address. Other texts lose it.
    """
    named = [_field_without(found, field, value, person) for field, value in found.ListFields()]
    return any(named)


def _json_without(value: Any, person: Person) -> Any:
    if isinstance(value, str):
        return person.out_of(value)
    if isinstance(value, list):
        return [_json_without(one, person) for one in value if not _is_entry_of(one, person)]
    if isinstance(value, dict):
        kept = {name: one for name, one in value.items() if not _is_named_json(one, person)}
        return {person.out_of(name): _json_without(one, person) for name, one in kept.items()}
    return value


def _is_named_json(value: Any, person: Person) -> bool:
    if not isinstance(value, dict):
        return False
    return any(isinstance(one, str) and person.is_all(one) for one in value.values())


def _is_entry_of(value: Any, person: Person) -> bool:
    """Return whether an entry of a list is the person's, also when the address is one level below it, as at Graph."""
    below = value.values() if isinstance(value, dict) else ()
    return _is_named_json(value, person) or any(_is_named_json(one, person) for one in below)


def _field_without(found: Message, field: FieldDescriptor, value: Any, person: Person) -> bool:
    if _is_map(field):
        return _map_without(field, value, person)
    if field.type == field.TYPE_MESSAGE and field.is_repeated:
        return _messages_without(value, person)
    if field.type == field.TYPE_MESSAGE:
        if not _is_named(value, person):
            return take_out(value, person)
        found.ClearField(field.name)
        return True
    return field.type in (field.TYPE_STRING, field.TYPE_BYTES) and _scalars_without(found, field, value, person)


def _scalars_without(found: Message, field: FieldDescriptor, value: Any, person: Person) -> bool:
    before = list(value) if field.is_repeated else [value]
    rest = [_scalar(one, person) for one in before]
    if field.is_repeated:
        value[:] = [one for one, earlier in zip(rest, before, strict=True) if one or not earlier]
    elif rest != before:
        setattr(found, field.name, rest[0])
    return rest != before


def _is_map(field: FieldDescriptor) -> bool:
    return bool(field.message_type is not None and field.message_type.GetOptions().map_entry)


def _is_single(field: FieldDescriptor) -> bool:
    return bool(field.type == field.TYPE_MESSAGE and not field.is_repeated)


def _scalar(value: str | bytes, person: Person) -> str | bytes:
    """Return a value without the person: empty if it is the address, as for bytes that name it."""
    if isinstance(value, bytes):
        return answer(value, person)
    return "" if person.is_all(value) else person.out_of(value)


def _messages_without(values: Any, person: Person) -> bool:
    is_named = False
    for index in reversed(range(len(values))):
        below = [one for field, one in values[index].ListFields() if _is_single(field)]
        if any(_is_named(one, person) for one in (values[index], *below)):
            del values[index]
            is_named = True
        else:
            is_named = take_out(values[index], person) or is_named
    return is_named


def _map_without(field: FieldDescriptor, values: Any, person: Person) -> bool:
    of_messages = bool(field.message_type and field.message_type.fields_by_name["value"].type == field.TYPE_MESSAGE)
    is_named = False
    for key in list(values):
        if isinstance(key, str) and person.is_in(key):
            del values[key]
            is_named = True
        elif of_messages:
            is_named = take_out(values[key], person) or is_named
        elif isinstance(values[key], str | bytes):
            rest = _scalar(values[key], person)
            is_named = is_named or rest != values[key]
            values[key] = rest
    return is_named


def _is_named(found: Message, person: Person) -> bool:
    values = [value for field, value in found.ListFields() if field.type == field.TYPE_STRING and not field.is_repeated]
    return any(person.is_all(value) for value in values)
