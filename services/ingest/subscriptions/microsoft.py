"""Graph subscriptions on mail (Microsoft Graph, resource `subscription`)."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import httpx

from services.ingest.subscriptions.failures import ConflictError, GoneError, no_such_folder, taken, unreachable
from services.ingest.subscriptions.next_step import ProviderSubscription
from services.ingest.subscriptions.provider_calls import ProviderCalls
from services.meshkit.secret import Secret

PROVIDER = "ms365"
# 10,080 minutes are the most for mail without resource data; clocks differ, so a little less is asked for.
LIFETIME = timedelta(minutes=10_080 - 15)
IMMUTABLE_IDS = {"prefer": 'IdType="ImmutableId"'}
MAX_LISTED_PAGES = 20


class GraphSubscriptions:
    """Subscriptions at Microsoft.

    Args:
        calls: Calls in tenants' names.
        graph_url: Base address with the version, such as "https://graph.microsoft.com/v1.0".
        public_url: The edge's own address, for the notification addresses.
    """

    def __init__(self, calls: ProviderCalls, graph_url: str, public_url: str) -> None:
        self._calls = calls
        self._subscriptions_url = f"{graph_url}/subscriptions"
        self._public_url = public_url

    async def make(
        self,
        tenant_id: str,
        subscription_id: str,
        resource: str,
        change_types: Sequence[str],
        client_state: Secret,
        now: datetime,
    ) -> ProviderSubscription:
        """Makes a subscription; one that is in its way is replaced, not adopted.

        The provider calls our edge back before it answers. Not idempotent: what a lost answer made is found by
        `delete_all_of`, since our id is in its notification address.

        Args:
            tenant_id: In whose name.
            subscription_id: Our id.
            resource: What to watch, relative to Graph's base.
            change_types: "created", "updated", "deleted".
            client_state: The secret that comes back with each notification; 128 characters at most.
            now: The time.

        Returns:
            The subscription.

        Raises:
            SubscriptionRefused: There is no such folder, or what is in the way is not ours.
            MeshError: What the provider's answer means.
        """
        document = {
            "changeType": ",".join(change_types),
            "resource": resource,
            "notificationUrl": self._url("webhook", subscription_id),
            "lifecycleNotificationUrl": self._url("lifecycle", subscription_id),
            "expirationDateTime": _text(now + LIFETIME),
            "clientState": client_state.reveal(),
            "latestSupportedTlsVersion": "v1_2",
        }
        try:
            return await self._post(tenant_id, document)
        except ConflictError:
            await self._delete_where(
                tenant_id,
                lambda found: _is_same(found, resource) and self._is_ours(found, subscription_id),
            )
        try:
            return await self._post(tenant_id, document)
        except ConflictError as exc:
            raise taken() from exc

    async def renew(self, tenant_id: str, provider_subscription_id: str, now: datetime) -> ProviderSubscription:
        """Renews by PATCH, which also reauthorizes; `/reauthorize` is never sent beside it.

        One that pushes to an address that the edge no longer has is deleted: PATCH could change where notifications go,
        but not where those about the subscription's own life go.

        Raises:
            GoneError: The provider does not know it, or not any more: make it anew.
            MeshError: What the provider's answer means.
        """
        url = f"{self._subscriptions_url}/{quote(provider_subscription_id, safe='')}"
        document = {"expirationDateTime": _text(now + LIFETIME)}
        response = await self._calls.send(tenant_id, "PATCH", url, json=document)
        if self._pushes_elsewhere(_object(response)):
            await self.delete(tenant_id, provider_subscription_id)
            raise GoneError
        return _made(response)

    async def delete(self, tenant_id: str, provider_subscription_id: str) -> None:
        """Deletes it; that it is gone already is a success.

        Raises:
            MeshError: What the provider's answer means.
        """
        url = f"{self._subscriptions_url}/{quote(provider_subscription_id, safe='')}"
        try:
            await self._calls.send(tenant_id, "DELETE", url)
        except GoneError:
            return

    async def delete_all_of(self, tenant_id: str, subscription_id: str) -> None:
        """Deletes what a call whose answer was lost may have made for our id.

        Raises:
            MeshError: What the provider's answer means.
        """
        path = _path("webhook", subscription_id)
        await self._delete_where(tenant_id, lambda found: str(found.get("notificationUrl", "")).endswith(path))

    async def _post(self, tenant_id: str, document: dict[str, str]) -> ProviderSubscription:
        try:
            response = await self._calls.send(
                tenant_id, "POST", self._subscriptions_url, json=document, headers=IMMUTABLE_IDS
            )
        except GoneError as exc:
            raise no_such_folder() from exc
        return _made(response)

    async def _delete_where(self, tenant_id: str, is_wanted: Callable[[dict[str, Any]], bool]) -> None:
        url = self._subscriptions_url
        for _ in range(MAX_LISTED_PAGES):
            page = _object(await self._calls.send(tenant_id, "GET", url))
            for found in page.get("value", []):
                if isinstance(found, dict) and isinstance(found.get("id"), str) and is_wanted(found):
                    await self.delete(tenant_id, found["id"])
            url = page.get("@odata.nextLink", "")
            if not isinstance(url, str) or not url.startswith(self._subscriptions_url):
                return

    def _is_ours(self, found: dict[str, Any], subscription_id: str) -> bool:
        """Whether it is this subscription's, also under an older public address, or one of this installation's."""
        url = str(found.get("notificationUrl", ""))
        return url.endswith(_path("webhook", subscription_id)) or url.startswith(f"{self._public_url}/api/ms365/")

    def _pushes_elsewhere(self, found: dict[str, Any]) -> bool:
        url = found.get("notificationUrl")
        return (
            bool(self._public_url)
            and isinstance(url, str)
            and not url.lower().startswith(f"{self._public_url}/api/ms365/".lower())
        )

    def _url(self, route: str, subscription_id: str) -> str:
        return f"{self._public_url}{_path(route, subscription_id)}"


def resource_of(user_id: str, folder_id: str) -> str:
    """The resource of a folder, or of all mail.

    Args:
        user_id: The user's object id.
        folder_id: An id or a well-known name; empty for all mail.
    """
    # A quote inside an OData string literal is doubled.
    folder = "mailFolders('{}')/".format(folder_id.replace("'", "''")) if folder_id else ""
    return f"users/{user_id}/{folder}messages"


def _path(route: str, subscription_id: str) -> str:
    return f"/api/ms365/{route}?s={subscription_id}"


def _is_same(found: dict[str, Any], resource: str) -> bool:
    return str(found.get("resource", "")).strip("/").lower() == resource.lower()


def _made(response: httpx.Response) -> ProviderSubscription:
    document = _object(response)
    try:
        return ProviderSubscription(str(document["id"]), _time(str(document["expirationDateTime"])))
    except (KeyError, ValueError) as exc:
        raise unreachable(PROVIDER) from exc


def _object(response: httpx.Response) -> dict[str, Any]:
    try:
        document = response.json()
    except ValueError as exc:
        raise unreachable(PROVIDER) from exc
    if not isinstance(document, dict):
        raise unreachable(PROVIDER)
    return document


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _time(text: str) -> datetime:
    """Reads a time with up to seven fractional digits and any offset; Python reads six."""
    head, dot, tail = text.partition(".")
    if dot:
        digits = len(tail) - len(tail.lstrip("0123456789"))
        text = f"{head}.{tail[: min(digits, 6)]}{tail[digits:]}"
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
