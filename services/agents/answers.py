"""Answers for agents: the content of mail is marked as untrusted, cleaned of invisible characters, and bounded.

Filters do not stop a mail from giving orders to a model; the rights of the key do. The marks tell a careful host which
text strangers wrote, and the cleaning removes the characters that a person who reads along would not see.
"""

import re
import unicodedata
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from services.meshkit.text import visible

MOST_CHARACTERS = 20_000
MOST_CHARACTERS_OF_ALL = 200_000
CUT = " [cut]"
# Strangers write these: mails, calendar events with their zones, the names of shared calendars, the subjects and
# addresses of conversations. Their fields stand below the key `untrusted`. A test compares the list with the contract.
UNTRUSTED = frozenset(
    {
        "mailmesh.mail.v1.MailMessage",
        "mailmesh.calendar.v1.Calendar",
        "mailmesh.calendar.v1.CalendarChange",
        "mailmesh.calendar.v1.CalendarEvent",
        "mailmesh.conversation.v1.BouncedRecipient",
        "mailmesh.conversation.v1.Conversation",
        "mailmesh.conversation.v1.ConversationMessage",
    }
)
# These fields alone: hits of a search quote mails, an answer takes its recipients and its subject from the stranger's
# mail, and servers word reports.
UNTRUSTED_FIELDS = frozenset(
    {
        *(f"mailmesh.processor.v1.SearchHit.{name}" for name in ("subject", "from_address", "snippet")),
        *(f"mailmesh.processor.v1.Send.{name}" for name in ("to", "cc", "bcc", "subject")),
        *(
            f"mailmesh.processor.v1.{owner}.{name}"
            for owner in ("SendReport", "SendEvent")
            for name in ("recipient", "status", "diagnostic")
        ),
    }
)
# The provider's own object, HTML and headers repeat the text in forms that are harder to judge.
LEFT_OUT = frozenset({"raw", "html", "headers", "correlation_id", "subscription_ids"})
# Invisible although their category is that of letters or marks: fillers, the grapheme joiner, variation selectors.
_INVISIBLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0000-\U000e0fff]"
)
# Control and format characters (bidirectional ones included), surrogates, private and unassigned ones.
_HIDDEN_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn"})
_KEPT = frozenset("\n\t")


def clean(text: str) -> str:
    """Return a text without characters that a reader does not see; lines and tabulators stay."""
    plain = _INVISIBLE.sub("", text)
    if plain.isascii() and plain.isprintable():
        return plain
    return "".join(
        character
        for character in plain
        if character in _KEPT or unicodedata.category(character) not in _HIDDEN_CATEGORIES
    )


def shown(arguments: Any) -> Any:
    """Return arguments for a person to read, each character that acts by its code; the ends of lines stay.

    A stranger's mail may have worded them, and the person would confirm another text than the one that is sent.
    """
    match arguments:
        case str():
            return "\n".join(map(visible, arguments.split("\n")))
        case list():
            return [shown(one) for one in arguments]
        case dict():
            return {name: shown(one) for name, one in arguments.items()}
        case _:
            return arguments


class Answer:
    """Makes the answer of one call, within its bound."""

    def __init__(self) -> None:
        self._left = MOST_CHARACTERS_OF_ALL

    def of(self, message: Message) -> dict[str, Any]:
        """Return a message as JSON."""
        document: dict[str, Any] = {}
        is_untrusted = message.DESCRIPTOR.full_name in UNTRUSTED
        for field, value in message.ListFields():
            if field.name in LEFT_OUT or field.type == FieldDescriptor.TYPE_BYTES:
                continue
            marked = is_untrusted or field.full_name in UNTRUSTED_FIELDS
            place = document.setdefault("untrusted", {}) if marked else document
            place[field.json_name] = self._value(field, value)
        return document

    def _value(self, field: FieldDescriptor, value: Any) -> Any:
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            return {self._text(str(key)): self._text(str(item)) for key, item in sorted(value.items())}
        if field.is_repeated:
            return [self._one(field, item) for item in value]
        return self._one(field, value)

    def _one(self, field: FieldDescriptor, value: Any) -> Any:
        if isinstance(value, Message):
            return value.ToJsonString() if hasattr(value, "ToJsonString") else self.of(value)
        if field.enum_type is not None:
            known = field.enum_type.values_by_number.get(value)
            return known.name if known else value
        return self._text(value) if isinstance(value, str) else value

    def _text(self, text: str) -> str:
        cleaned = clean(text)
        bound = min(MOST_CHARACTERS, self._left)
        self._left -= min(len(cleaned), bound)
        return cleaned if len(cleaned) <= bound else cleaned[:bound] + CUT
