"""Parses Graph's change and lifecycle notifications, item by item of a POST.

Spellings vary (paths, `@odata.type`, time formats). An item is therefore routed by its subscription id, and its message
id is taken from the resource data; the path is used only when that is missing.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Final

import orjson

from services.ingest.webhooks.untrusted_json import UnreadableError, parse_object
from services.meshkit.errors import FieldInvalid
from services.meshkit.secret import Secret
from services.meshkit.text import is_storable

CHANGE_TYPES: Final = frozenset({"created", "updated", "deleted"})
LIFECYCLE_EVENTS: Final = frozenset({"reauthorizationRequired", "subscriptionRemoved", "missed"})
MAX_ITEMS: Final = 5000
"""The most notifications of a POST. Graph's have 900 bytes each, so an honest POST has fewer at the edge's bound."""
_ID_NAME: Final = b'"subscriptionId"'
_SECRETS: Final = ("clientState", "validationTokens", "encryptedContent")
_MAX_ID: Final = 1024
_MAX_TOKEN: Final = 4096
_MAX_VALIDATION_TOKEN: Final = 16 * 1024
_MAX_BASE64: Final = 256 * 1024
"""Characters of an encrypted resource. Ours have some hundred, since they have an id and a version."""
_MAIL_TYPE: Final = "#microsoft.graph.message"
_EVENT_TYPE: Final = "#microsoft.graph.event"


@dataclass(frozen=True, slots=True)
class EncryptedContent:
    """The encrypted resource of a notification, as it stands in its JSON; unproven.

    Args:
        certificate_id: Our id of the certificate for whose key it was encrypted.
        data: The encrypted JSON, in base64.
        data_key: The key of `data`, encrypted for the certificate, in base64.
        signature: HMAC-SHA256 of the decoded `data` under that key, in base64.
    """

    certificate_id: str
    data: str = field(repr=False)
    data_key: str = field(repr=False)
    signature: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class GraphChange:
    """The creation, update or deletion of a message, or of an event of a calendar.

    Args:
        provider_subscription_id: Graph's id of the subscription.
        client_state_digest: SHA-256 of the `clientState`; empty when there was none.
        change_type: "created", "updated" or "deleted".
        message_id: Graph's id of the message or event, case-sensitive.
        etag: Its version; empty when Graph gave none.
        content: The notification as JSON, without its secrets.
        is_of_calendar: Whether it is about an event of a calendar.
        external_tenant_id: The directory that it states; may be empty.
        encrypted: Its resource data, if it has any.
    """

    provider_subscription_id: str
    client_state_digest: bytes
    change_type: str
    message_id: str
    etag: str
    content: bytes
    is_of_calendar: bool = False
    external_tenant_id: str = ""
    encrypted: EncryptedContent | None = None

    def with_version(self, etag: Any) -> "GraphChange":
        """Return it with a version that its resource data states; without one if that is none."""
        return replace(self, etag=etag) if isinstance(etag, str) and _is_id(etag) else self


@dataclass(frozen=True, slots=True)
class GraphPost:
    """A POST of Graph.

    Args:
        notifications: Each notification, or the error that it cannot be parsed.
        validation_tokens: The tokens of its publisher; empty for notifications without resource data.
    """

    notifications: Iterator["GraphChange | GraphLifecycle | UnreadableError"]
    validation_tokens: tuple[Secret, ...]


@dataclass(frozen=True, slots=True)
class GraphLifecycle:
    """An event in the life of a subscription.

    Args:
        provider_subscription_id: Graph's id of the subscription.
        client_state_digest: SHA-256 of the `clientState`; empty when there was none.
        event: "reauthorizationRequired", "subscriptionRemoved" or "missed".
    """

    provider_subscription_id: str
    client_state_digest: bytes
    event: str


def parse_notifications(body: bytes) -> Iterator[GraphChange | GraphLifecycle | UnreadableError]:
    """Parse the notifications of a POST of Graph, as `parse_post` does."""
    return parse_post(body).notifications


def parse_post(body: bytes) -> GraphPost:
    """Parse a POST of Graph.

    Args:
        body: Untrusted bytes.

    Raises:
        UnreadableError: The body as a whole cannot be parsed.
        FieldInvalid: It has more than 5,000 notifications.
    """
    # Counting costs a thousandth of parsing. A name in another place makes an honest POST larger, never smaller.
    if body.count(_ID_NAME) > MAX_ITEMS:
        raise _too_many()
    document = parse_object(body)
    value = document.get("value")
    if not isinstance(value, list):
        raise UnreadableError("no_value")
    if len(value) > MAX_ITEMS:
        raise _too_many()
    return GraphPost(map(_parse_item, value), _validation_tokens(document.get("validationTokens")))


def _validation_tokens(stated: Any) -> tuple[Secret, ...]:
    """Return the tokens of a POST. All must verify, so one that cannot be a token leaves none."""
    if not isinstance(stated, list):
        return ()
    texts = [one for one in stated if isinstance(one, str) and one.isascii()]
    is_readable = len(texts) == len(stated) and all(0 < len(text) <= _MAX_VALIDATION_TOKEN for text in texts)
    return tuple(map(Secret, texts)) if is_readable else ()


def _too_many() -> FieldInvalid:
    return FieldInvalid.of("payload", f"has more than {MAX_ITEMS} notifications")


def is_echo_safe(validation_token: str) -> bool:
    """Return whether a validation token may be echoed: Graph sends neither markup nor control characters."""
    return (
        0 < len(validation_token) <= _MAX_TOKEN
        and validation_token.isprintable()
        and "<" not in validation_token
        and ">" not in validation_token
    )


def _parse_item(item: Any) -> GraphChange | GraphLifecycle | UnreadableError:
    if not isinstance(item, dict):
        return UnreadableError("item_no_object")
    subscription_id = item.get("subscriptionId")
    if not isinstance(subscription_id, str) or not _is_id(subscription_id):
        return UnreadableError("no_subscription_id")
    try:
        digest = _digest(item.get("clientState"))
        if "lifecycleEvent" in item:
            return _lifecycle(item, subscription_id, digest)
        return _change(item, subscription_id, digest)
    except (UnicodeEncodeError, orjson.JSONEncodeError):
        return UnreadableError("not_unicode")


def _lifecycle(item: dict[str, Any], subscription_id: str, digest: bytes) -> GraphLifecycle | UnreadableError:
    event = item["lifecycleEvent"]
    if not isinstance(event, str) or event not in LIFECYCLE_EVENTS:
        return UnreadableError("lifecycle_unknown")
    return GraphLifecycle(subscription_id, digest, event)


def _change(item: dict[str, Any], subscription_id: str, digest: bytes) -> GraphChange | UnreadableError:
    change_type = item.get("changeType")
    if not isinstance(change_type, str) or (change_type := change_type.lower()) not in CHANGE_TYPES:
        return UnreadableError("change_type_unknown")
    data = item.get("resourceData")
    data = data if isinstance(data, dict) else {}
    is_of_calendar = _is_about(data, item.get("resource"), _EVENT_TYPE, "/events")
    if not is_of_calendar and not _is_about(data, item.get("resource"), _MAIL_TYPE, "/messages"):
        return UnreadableError("not_mail")
    message_id = data.get("id") or _id_of_path(item.get("resource"))
    if not _is_id(message_id):
        return UnreadableError("no_message_id")
    etag, directory = data.get("@odata.etag"), item.get("tenantId")
    return GraphChange(
        provider_subscription_id=subscription_id,
        client_state_digest=digest,
        change_type=change_type,
        message_id=message_id,
        etag=etag if isinstance(etag, str) and _is_id(etag) else "",
        external_tenant_id=directory if isinstance(directory, str) and _is_id(directory) else "",
        encrypted=_encrypted(item.get("encryptedContent")),
        # The last one: it removes the secrets.
        content=_content(item, data),
        is_of_calendar=is_of_calendar,
    )


def _encrypted(stated: Any) -> EncryptedContent | None:
    """Return the resource data. One of another form becomes one that no key opens."""
    if stated is None:
        return None
    found = stated if isinstance(stated, dict) else {}
    names = ("encryptionCertificateId", "data", "dataKey", "dataSignature")
    texts = [value if isinstance(value := found.get(name), str) else "" for name in names]
    is_readable = all(0 < len(text) <= _MAX_BASE64 and text.isascii() for text in texts)
    return EncryptedContent(*texts) if is_readable else EncryptedContent("", "", "", "")


def _content(item: dict[str, Any], data: dict[str, Any]) -> bytes:
    """Return the notification without its secrets, which are removed from our own parsed copy."""
    for name in _SECRETS:
        item.pop(name, None)
        data.pop(name, None)
    return orjson.dumps(item)


def _digest(client_state: Any) -> bytes:
    return hashlib.sha256(client_state.encode()).digest() if isinstance(client_state, str) and client_state else b""


def _is_about(data: dict[str, Any], resource: Any, kind: str, path: str) -> bool:
    stated = data.get("@odata.type")
    if isinstance(stated, str):
        return stated.lower() == kind
    return isinstance(resource, str) and path in resource.lower()


def _id_of_path(resource: Any) -> str:
    """Return the message id in `users/{u}/messages/{id}` or `Users('{u}')/Messages('{id}')`."""
    if not isinstance(resource, str):
        return ""
    last = resource.rpartition("/")[2]
    return last.split("('", 1)[1][:-2] if "('" in last and last.endswith("')") else last


def _is_id(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= _MAX_ID and is_storable(value)
