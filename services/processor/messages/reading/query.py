"""A query of ours in the provider's language. Each value is quoted, so that no operator of the provider is in it."""

import re

from mailmesh.processor.v1 import message_service_pb2 as pb2
from services.meshkit.errors import FieldInvalid

_CHARACTERS = 200
_TEXTS = ("text", "from", "to", "subject")
# A quote ends the quoted value, a backslash escapes its end, and controls belong to no language.
_ACTING = re.compile(r'["\\\\\x00-\x1f\x7f-\x9f\u201c-\u201f\u2028\u2029]')


def check_query(query: pb2.MessageQuery) -> None:
    """Refuse a query that could say more than its fields.

    Raises:
        FieldInvalid: A text is too long or has quotes, or no field is set.
    """
    for name in _TEXTS:
        value = getattr(query, name)
        if len(value) > _CHARACTERS or _ACTING.search(value):
            raise FieldInvalid.of(
                f"query.{name}", f"must have at most {_CHARACTERS} characters, and no quote or backslash"
            )
    if not any(getattr(query, name).strip() for name in _TEXTS) and not query.has_attachments:
        raise FieldInvalid.of("query", "must have a field")


def keyword_query(query: pb2.MessageQuery) -> str:
    """Return the value of Graph's `$search`: a query in KQL within quotes, in which inner quotes are escaped."""
    terms = [*_terms(query), *(["hasAttachments:true"] if query.has_attachments else [])]
    escaped = " AND ".join(terms).replace('"', '\\"')
    return f'"{escaped}"'


def gmail_query(query: pb2.MessageQuery) -> str:
    """Return the value of Gmail's `q`."""
    return " ".join([*_terms(query), *(["has:attachment"] if query.has_attachments else [])])


def _terms(query: pb2.MessageQuery) -> list[str]:
    words = [f'"{word}"' for word in query.text.split()]
    fields = [(name, " ".join(getattr(query, name).split())) for name in ("from", "to", "subject")]
    return [*words, *(f'{name}:"{value}"' for name, value in fields if value)]
