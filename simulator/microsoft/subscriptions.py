"""Graph subscriptions: created with the real handshake, renewed, listed, and ended by the clock."""

import asyncio
import secrets
import uuid
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from urllib.parse import quote, unquote, urlsplit

import aiohttp
from yarl import URL

from simulator.accounts import Account
from simulator.http import JSON, ApiError, Call, Operations, Reply, known_fields
from simulator.mailboxes.graph import GraphMailbox
from simulator.mailboxes.mailbox import MailboxError
from simulator.microsoft.calendars import READ as CALENDARS
from simulator.microsoft.errors import graph_error
from simulator.microsoft.filters import parse_time
from simulator.microsoft.graph import BASE, READ
from simulator.microsoft.odata import wants_immutable
from simulator.microsoft.registry import Subscription, SubscriptionRegistry
from simulator.microsoft.resource_data import certificate_of, check_query
from simulator.state import World

_KINDS = frozenset({"created", "updated", "deleted"})
_MAX_CLIENT_STATE = 128
_EITHER = (*READ, *CALENDARS)
"""The permissions of which an operation needs one; the resource of a subscription decides which."""
_FIELDS = (
    *("changeType", "resource", "notificationUrl", "lifecycleNotificationUrl", "expirationDateTime", "clientState"),
    *("latestSupportedTlsVersion", "includeResourceData", "encryptionCertificate", "encryptionCertificateId"),
)


class Subscriptions:
    """The subscription resource."""

    def __init__(self, world: World, registry: SubscriptionRegistry) -> None:
        self._world = world
        self._registry = registry

    def register(self, operations: Operations) -> None:
        """Add the resource to the provider's table."""
        one = f"{BASE}/subscriptions/{{id}}"
        operations.add("graph.subscriptions.create", "POST", f"{BASE}/subscriptions", self.create, scopes=_EITHER)
        operations.add("graph.subscriptions.list", "GET", f"{BASE}/subscriptions", self.list, scopes=_EITHER)
        operations.add(
            "graph.subscriptions.get", "GET", one, lambda call: Reply(200, _shown(self._mine(call))), scopes=_EITHER
        )
        operations.add("graph.subscriptions.renew", "PATCH", one, self.renew, scopes=_EITHER)
        operations.add("graph.subscriptions.delete", "DELETE", one, self.delete, scopes=_EITHER)
        operations.add(
            "graph.subscriptions.reauthorize", "POST", f"{one}/reauthorize", self.reauthorize, scopes=_EITHER
        )

    async def create(self, call: Call) -> Reply:
        """Make a subscription; the handshake happens before the answer."""
        body = _body(call)
        wanted = self._read(call, body)
        await self._validate(wanted)
        self._refuse_duplicates(wanted)
        self._registry.put(wanted)
        return Reply(
            201,
            {"@odata.context": f"{self._world.microsoft_url}{BASE}/$metadata#subscriptions/$entity", **_shown(wanted)},
        )

    def list(self, call: Call) -> Reply:
        """Return the caller's subscriptions."""
        return Reply(
            200,
            {
                "value": [
                    _shown(subscription) for subscription in self._registry.every() if self._is_mine(call, subscription)
                ]
            },
        )

    async def renew(self, call: Call) -> Reply:
        """Change the expiry, or the URL, which is then validated again."""
        subscription, body = self._mine(call), _body(call)
        if url := body.get("notificationUrl"):
            self._check_url(url)
            await self._handshake(url)
            subscription.notification_url = url
        if body.get("encryptionCertificate"):
            if subscription.certificate is None:
                raise graph_error(400, "InvalidRequest", "The subscription does not include resource data.")
            subscription.certificate, subscription.certificate_id = certificate_of(body)
        if body.get("expirationDateTime"):
            subscription.expires_at = self._expiry(body, with_data=subscription.certificate is not None)
        return Reply(200, _shown(subscription))

    def delete(self, call: Call) -> Reply:
        """End a subscription."""
        self._registry.remove(self._mine(call))
        return Reply(204)

    def reauthorize(self, call: Call) -> Reply:
        """Accept a new authorization without a new expiry."""
        self._mine(call)
        return Reply(204)

    def _mine(self, call: Call) -> Subscription:
        found = self._registry.find(call.params["id"])
        if found is None or not self._is_mine(call, found):
            raise graph_error(404, "ResourceNotFound", "The object was not found.")
        return found

    def _is_mine(self, call: Call, subscription: Subscription) -> bool:
        grant = call.grant
        if (
            grant is None
            or grant.client_id != subscription.client_id
            or grant.directory != subscription.account.directory
        ):
            return False
        return grant.account in (None, subscription.account)

    def _read(self, call: Call, body: JSON) -> Subscription:
        account, folder, calendar = self._resource(call, str(body.get("resource") or ""))
        with_data = body.get("includeResourceData") is True
        check_query(str(body["resource"]).partition("?")[2], with_data=with_data)
        certificate, certificate_id = certificate_of(body) if with_data else (None, "")
        change_type = str(body.get("changeType") or "")
        kinds = frozenset(kind.strip().lower() for kind in change_type.split(","))
        if not kinds <= _KINDS:
            raise graph_error(400, "InvalidRequest", "changeType is missing or invalid.")
        for name in ("notificationUrl", "lifecycleNotificationUrl"):
            if name == "notificationUrl" or body.get(name):
                self._check_url(str(body.get(name) or ""))
        if len(str(body.get("clientState") or "")) > _MAX_CLIENT_STATE:
            raise graph_error(400, "InvalidRequest", f"clientState is longer than {_MAX_CLIENT_STATE} characters.")
        return Subscription(
            id=str(uuid.uuid4()),
            account=account,
            client_id=call.grant.client_id if call.grant else "",
            resource=str(body["resource"]).lstrip("/"),
            folder=folder,
            calendar=calendar,
            kinds=kinds,
            change_type=change_type,
            notification_url=str(body["notificationUrl"]),
            lifecycle_url=str(body.get("lifecycleNotificationUrl") or ""),
            client_state=str(body.get("clientState") or ""),
            expires_at=self._expiry(body, with_data=with_data),
            certificate=certificate,
            certificate_id=certificate_id,
            is_immutable=wants_immutable(call),
        )

    def _resource(self, call: Call, resource: str) -> tuple[Account, str, str]:
        """Return whose mailbox, which folder and which calendar (their ids, or empty) a resource names."""
        parts = [
            unquote(part) for part in resource.replace("('", "/").replace("')", "").partition("?")[0].split("/") if part
        ]
        if parts and parts[0].lower() == "me":
            parts = ["users", "me", *parts[1:]]
        kind = parts[-1].lower() if len(parts) in {3, 5} and parts[0].lower() == "users" else ""
        parent = {"messages": "mailfolders", "events": "calendars"}.get(kind)
        if parent is None or (len(parts) == 5 and parts[2].lower() != parent):
            raise graph_error(400, "InvalidRequest", f"The resource '{resource}' is not supported.")
        account = self._account(call, parts[1], CALENDARS if kind == "events" else READ)
        if kind == "events":
            return account, "", self._calendar(account, parts[3] if len(parts) == 5 else "")
        return account, self._folder(account, parts[3]) if len(parts) == 5 else "", ""

    def _account(self, call: Call, name: str, scopes: Collection[str]) -> Account:
        grant = call.grant
        account = grant.account if grant and name == "me" else self._world.accounts["ms365"].find(name)
        if (
            account is None
            or grant is None
            or grant.account not in (None, account)
            or account.directory != grant.directory
            or not grant.scopes & set(scopes)
        ):
            raise graph_error(403, "ErrorAccessDenied", "Access is denied. Check credentials and try again.")
        call.account = account
        if not account.has_mailbox:
            raise graph_error(
                404,
                "MailboxNotEnabledForRESTAPI",
                "The mailbox is either inactive, soft-deleted, or is hosted on-premise.",
            )
        return account

    def _calendar(self, account: Account, calendar_id: str) -> str:
        """Return the id of the default calendar, or of another one of the account's own, as no document says."""
        mailbox = account.mailbox
        assert isinstance(mailbox, GraphMailbox)  # noqa: S101  the account is Microsoft's
        if not calendar_id:
            return next(one.id for one in mailbox.calendars.by_id.values() if one.is_default)
        try:
            found = mailbox.calendars.find(calendar_id)
        except MailboxError as error:
            raise graph_error(404, "ErrorItemNotFound", "The specified object was not found in the store.") from error
        if self._world.knobs.graph_calendar_subscriptions == "default":
            raise graph_error(400, "InvalidRequest", "The resource is not supported.")
        if found.owner.lower() != account.address.lower():
            raise graph_error(403, "ErrorAccessDenied", "Access is denied. Check credentials and try again.")
        return found.id

    def _folder(self, account: Account, name: str) -> str:
        mailbox = account.mailbox
        assert isinstance(mailbox, GraphMailbox)  # noqa: S101  the account is Microsoft's
        try:
            return mailbox.folder(name).id
        except MailboxError as error:
            raise graph_error(404, "ErrorItemNotFound", "The specified folder was not found.") from error

    def _expiry(self, body: JSON, *, with_data: bool) -> datetime:
        try:
            wanted = parse_time(str(body.get("expirationDateTime") or ""))
        except ValueError as error:
            raise graph_error(400, "InvalidRequest", "expirationDateTime is missing or invalid.") from error
        now, knobs = self._world.clock.now(), self._world.knobs
        most = knobs.subscription_max_minutes_with_data if with_data else knobs.subscription_max_minutes
        latest = now + timedelta(minutes=most)
        if wanted <= now:
            raise graph_error(400, "InvalidRequest", "Subscription expiration can only be in the future.")
        if wanted > latest + timedelta(seconds=60) and knobs.subscription_over_max == "reject":
            raise graph_error(
                400,
                "InvalidRequest",
                f"Subscription expiration can only be {most} minutes in the future.",
            )
        return min(max(wanted, now + timedelta(minutes=knobs.subscription_min_minutes)), latest)

    def _check_url(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme == "https" and parts.hostname:
            return
        if parts.scheme == "http" and self._world.knobs.allow_http_loopback and _is_loopback(parts.hostname or ""):
            return
        raise graph_error(400, "InvalidRequest", "The notification URL must be a valid HTTPS address.")

    def _refuse_duplicates(self, wanted: Subscription) -> None:
        held = self._registry.of(wanted.account)
        same = (wanted.client_id, wanted.kinds, wanted.folder, wanted.calendar)
        if any((other.client_id, other.kinds, other.folder, other.calendar) == same for other in held):
            raise graph_error(409, "Conflict", "A subscription for this resource and change type exists already.")
        if len(held) >= self._world.knobs.subscriptions_per_mailbox:
            raise graph_error(403, "ErrorAccessDenied", "The mailbox has reached its limit of subscriptions.")

    async def _validate(self, wanted: Subscription) -> None:
        urls = [wanted.notification_url, *([wanted.lifecycle_url] if wanted.lifecycle_url else [])]
        await asyncio.gather(*(self._handshake(url) for url in urls))

    async def _handshake(self, url: str) -> None:
        """Ask a URL to repeat an opaque token in its decoded form.

        Raises:
            ApiError: 400, it did not.
        """
        token = f"Validation: Testing client application reachability. Request-Id: {secrets.token_urlsafe(12)}+/=&%"
        target = f"{url}{'&' if '?' in url else '?'}validationToken={quote(token, safe='')}"
        timeout = aiohttp.ClientTimeout(total=self._world.knobs.validation_timeout_seconds)
        headers = {"content-type": "text/plain; charset=utf-8"}
        try:
            session = self._world.pushes.session()
            async with session.post(
                URL(target, encoded=True), data=b"", headers=headers, timeout=timeout, allow_redirects=False
            ) as answer:
                echoed, status, kind = await answer.text(), answer.status, answer.content_type
        except (aiohttp.ClientError, TimeoutError, OSError, UnicodeDecodeError) as error:
            raise _invalid(f"The request failed: {type(error).__name__}.") from error
        if status != 200 or kind != "text/plain" or echoed != token:
            raise _invalid(f"HTTP status code is '{status}', content type '{kind}'.")


def _invalid(reason: str) -> ApiError:
    return graph_error(
        400,
        "ValidationError",
        "Subscription validation request failed. Notification endpoint must respond with 200 OK to validation "
        f"request. {reason}",
    )


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _body(call: Call) -> JSON:
    try:
        body = call.json()
    except ValueError as error:
        raise graph_error(400, "BadRequest", "Unable to read JSON request payload.") from error
    if not isinstance(body, dict):
        raise graph_error(400, "BadRequest", "Empty payload.")
    return known_fields(body, _FIELDS, where="subscription")


def expiry_text(moment: datetime) -> str:
    """Return an expiry with seven fractional digits, as Graph writes it."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f") + "0Z"


def _shown(subscription: Subscription) -> JSON:
    return {
        "id": subscription.id,
        "resource": subscription.resource,
        "applicationId": subscription.client_id,
        "changeType": subscription.change_type,
        "clientState": subscription.client_state or None,
        "notificationUrl": subscription.notification_url,
        "notificationQueryOptions": None,
        "lifecycleNotificationUrl": subscription.lifecycle_url or None,
        "expirationDateTime": expiry_text(subscription.expires_at),
        "creatorId": subscription.account.id,
        "includeResourceData": True if subscription.certificate else None,
        "latestSupportedTlsVersion": "v1_2",
        "encryptionCertificate": None,
        "encryptionCertificateId": subscription.certificate_id or None,
        "notificationUrlAppId": None,
    }
