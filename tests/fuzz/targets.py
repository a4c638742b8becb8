"""What is fed with any bytes: each target raises nothing but what it says it raises, and keeps its own promises."""

import contextlib
import json
from collections.abc import Callable, Iterator
from typing import Any

from mailmesh.mail.v1 import event_pb2
from mailmesh.vault.v1 import tenant_service_pb2
from services.ingest.webhooks.google import is_signed_by, parse_push
from services.ingest.webhooks.microsoft import GraphChange, parse_notifications
from services.ingest.webhooks.untrusted_json import UnreadableError
from services.meshkit.errors import PageTokenInvalid
from services.meshkit.pages import PageTokens
from services.processor.errors import CursorInvalid
from services.processor.mail.message.addresses import parse_addresses
from services.processor.mail.message.bounds import EVENT_BYTES, fit
from services.processor.mail.message.charsets import decode_bytes
from services.processor.mail.message.headers import Headers, automation, importance
from services.processor.mail.message.html import sanitize
from services.processor.mail.message.html_text import to_text
from services.processor.mail.message.words import decode_words
from services.processor.mail.sources import gmail_mapping, graph_mapping
from services.processor.stream.cursor import read_cursor

Target = Callable[[bytes], None]


def notifications(data: bytes) -> None:
    """A POST of Graph."""
    with contextlib.suppress(UnreadableError):
        for found in parse_notifications(data):
            if isinstance(found, GraphChange):
                kept = json.loads(found.content)
                assert "clientState" not in kept
                assert found.message_id.encode()


def pushes(data: bytes) -> None:
    """A push of Pub/Sub, and the claims of its token."""
    with contextlib.suppress(UnreadableError):
        push = parse_push(data)
        assert 0 < push.history_id < 2**64
        assert push.address == push.address.lower()
    assert not is_signed_by(data.decode("latin-1"), "")


def words(data: bytes) -> None:
    """A charset and bytes in it; a header with encoded words."""
    charset, _, rest = data.partition(b"\0")
    decode_bytes(rest, charset.decode("latin-1")).encode()
    decode_words(data.decode("utf-8", "replace")).encode()


def headers(data: bytes) -> None:
    """Lines of headers, as both providers give them."""
    lines = [line.partition(b":") for line in data.split(b"\n")]
    fields = [{"name": name.decode("latin-1"), "value": value.decode("utf-8", "replace")} for name, _, value in lines]
    found = Headers(fields)
    for name, _ in found.fields:
        found.words(name).encode()
        found.message_ids(name)
        parse_addresses(found.first(name))
    automation(found), importance(found), found.date()


def html(data: bytes) -> None:
    """An HTML body: what comes out stays as it is."""
    once = sanitize(data.decode("utf-8", "replace"))
    assert sanitize(once) == once
    to_text(once).encode()


def graph_messages(data: bytes) -> None:
    """A message of Graph."""
    _mapped(graph_mapping.map_message, data)


def gmail_messages(data: bytes) -> None:
    """A message of Gmail."""
    _mapped(gmail_mapping.map_message, data)


def cursors(data: bytes) -> None:
    """A cursor of a stream, a token of a page."""
    text = data.decode("utf-8", "replace")
    with contextlib.suppress(CursorInvalid):
        read_cursor(text).write()
    with contextlib.suppress(PageTokenInvalid):
        PageTokens().read(tenant_service_pb2.ListTenantsRequest(page_token=text))


def _mapped(map_message: Callable[[Any], Any], data: bytes) -> None:
    for raw in _objects(data):
        mapped = map_message(raw)
        event = event_pb2.NormalizedMailEvent(message=mapped.message, truncation=mapped.truncation, raw=mapped.raw)
        assert fit(event).ByteSize() <= EVENT_BYTES


def _objects(data: bytes) -> Iterator[dict[str, Any]]:
    with contextlib.suppress(ValueError, RecursionError):
        raw = json.loads(data)
        if isinstance(raw, dict):
            yield raw


TARGETS: dict[str, Target] = {
    target.__name__: target
    for target in (notifications, pushes, words, headers, html, graph_messages, gmail_messages, cursors)
}
