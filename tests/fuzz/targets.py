"""The targets that are fed with any bytes: each raises only what it says it raises, and keeps its own promises."""

import contextlib
import json
import socket
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from yarl import URL

from mailmesh.mail.v1 import event_pb2
from mailmesh.vault.v1 import tenant_service_pb2
from services.delivery.signature import WebhookRefused, sign, verify
from services.delivery.signing_keys import HmacKey
from services.egress.addresses import EgressRules, is_public
from services.egress.headers import headers_fault
from services.egress.urls import url_fault
from services.ingest.webhooks.google import is_signed_by, parse_push
from services.ingest.webhooks.microsoft import GraphChange, parse_notifications
from services.ingest.webhooks.untrusted_json import UnreadableError
from services.meshkit.errors import PageTokenInvalid
from services.meshkit.pages import PageTokens
from services.meshkit.secret import Secret
from services.message.addresses import parse_addresses
from services.message.bounds import EVENT_BYTES, fit
from services.message.charsets import decode_bytes
from services.message.headers import Headers, automation, importance
from services.message.html import sanitize
from services.message.html_text import to_text
from services.message.words import decode_words
from services.processor.mail.sources import gmail_mapping, graph_mapping
from services.processor.stream.cursor import read_cursor
from services.processor.stream.errors import CursorInvalid

Target = Callable[[bytes], None]
WEBHOOK_KEY = HmacKey(bytes(32))
WEBHOOK_NOW = datetime(2026, 11, 27, 12, 0, tzinfo=UTC)


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


def signatures(data: bytes) -> None:
    """The headers of a webhook and its body: only the holder of the key makes one that is accepted."""
    lines = [*data.split(b"\n", 3), b"", b"", b""]
    names = ("webhook-id", "webhook-timestamp", "webhook-signature")
    given = {name: line.decode("utf-8", "replace") for name, line in zip(names, lines, strict=False)}
    with contextlib.suppress(WebhookRefused):
        webhook_id = verify([WEBHOOK_KEY], given, lines[3], WEBHOOK_NOW)
        sent_at = datetime.fromtimestamp(int(given["webhook-timestamp"]), UTC)
        assert sign([WEBHOOK_KEY], webhook_id, sent_at, lines[3])["webhook-signature"] in given["webhook-signature"]


def endpoints(data: bytes) -> None:
    """The URL of an endpoint, and a header of its own: both parsers find the same host, and no line is broken."""
    text, _, header = data.decode("utf-8", "replace").partition("\n")
    if not url_fault(text, EgressRules()):
        parts, url = urlsplit(text), URL(text, encoded=True)
        assert (parts.scheme, parts.hostname, parts.username) == ("https", (url.raw_host or "").lower(), None)
        assert (parts.port or 443) == url.port
        assert is_public(parts.hostname or "") or not socket_reads_as_number(parts.hostname or "")
    name, _, value = header.partition(":")
    if value and not headers_fault({name: Secret(value)}):
        assert f"{name}: {value}".isprintable() or "\t" in value
        assert not set("\r\n\0") & set(name + value)


def socket_reads_as_number(host: str) -> bool:
    """Return whether the C library takes a host for an IPv4 address in one of its spellings."""
    with contextlib.suppress(OSError):
        return bool(socket.inet_aton(host))
    return False


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


_ALL: tuple[Target, ...] = (
    *(notifications, pushes, words, headers, html, graph_messages, gmail_messages, cursors),
    *(signatures, endpoints),
)
TARGETS = {target.__name__: target for target in _ALL}
