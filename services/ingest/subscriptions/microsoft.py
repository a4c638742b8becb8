"""Graph subscriptions on mail (Microsoft Graph, resource `subscription`)."""

import base64
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote, unquote

import httpx

from services.ingest.certificates.upkeep import Certificate
from services.ingest.store.subscription_rows import ProviderSubscription
from services.ingest.subscriptions.failures import (
    ConflictError,
    GoneError,
    json_of,
    no_such_folder,
    taken,
    unreachable,
)
from services.ingest.subscriptions.provider_calls import ProviderCalls
from services.meshkit.secret import Secret
from services.providers.names import MS365

PROVIDER = MS365
# 10,080 minutes are the maximum for mail without resource data; clocks differ, so the request asks for a little less.
LIFETIME = timedelta(minutes=10_080 - 15)
LIFETIME_WITH_DATA = timedelta(minutes=1_440 - 15)
"""The same with resource data, for which the maximum is 1,440 minutes."""
DATA = "$select=id"
"""The requested resource data. Graph wants a selection for Outlook's resources. The id is enough: mail is fetched."""
IMMUTABLE_IDS = {"prefer": 'IdType="ImmutableId"'}
MAX_LISTED_PAGES = 20


class GraphSubscriptions:
    """Subscriptions at Microsoft.

    Args:
        calls: Calls on behalf of tenants.
        graph_url: Base address with the version, such as "https://graph.microsoft.com/v1.0".
        public_url: The edge's public URL, for the notification URLs.
    """

    def __init__(self, calls: ProviderCalls, graph_url: str, public_url: str) -> None:
        self._calls = calls
        self._subscriptions_url = f"{graph_url}/subscriptions"
        self._public_url = public_url

    async def create(
        self,
        tenant_id: str,
        subscription_id: str,
        resource: str,
        change_types: Sequence[str],
        client_state: Secret,
        now: datetime,
        certificate: Certificate | None = None,
    ) -> ProviderSubscription:
        """Create a subscription. A conflicting one is replaced, not adopted.

        The provider calls our edge back before it answers. Not idempotent: a subscription whose answer was lost is
        found by `delete_all_of`, because our id is in its notification URL.

        Args:
            tenant_id: The tenant on whose behalf.
            subscription_id: Our id.
            resource: The watched resource, relative to Graph's base.
            change_types: "created", "updated", "deleted".
            client_state: The secret that each notification repeats; at most 128 characters.
            now: The time.
            certificate: Graph encrypts resource data for it; None asks for no resource data.

        Returns:
            The subscription.

        Raises:
            SubscriptionRefused: There is no such folder, or the conflicting subscription is not ours.
            MeshError: The error of the provider's answer.
        """
        document = {
            "changeType": ",".join(change_types),
            "resource": f"{resource}?{DATA}" if certificate else resource,
            "notificationUrl": self._url("webhook", subscription_id),
            "lifecycleNotificationUrl": self._url("lifecycle", subscription_id),
            "clientState": client_state.reveal(),
            "latestSupportedTlsVersion": "v1_2",
            **({"includeResourceData": True} if certificate else {}),
            **_terms(now, certificate),
        }
        try:
            return _with(certificate, await self._post(tenant_id, document))
        except ConflictError:
            await self._delete_where(
                tenant_id,
                lambda found: _is_same(found, resource) and self._is_ours(found, subscription_id),
            )
        try:
            return _with(certificate, await self._post(tenant_id, document))
        except ConflictError as exc:
            raise taken() from exc

    async def renew(
        self,
        tenant_id: str,
        provider_subscription_id: str,
        now: datetime,
        resource: str = "",
        certificate: Certificate | None = None,
    ) -> ProviderSubscription:
        """Renew by PATCH, which also reauthorizes; `/reauthorize` is never sent beside it.

        A subscription that pushes to an old URL of the edge is deleted: PATCH could change the URL of notifications,
        but not the URL of lifecycle notifications. So is one to another resource.

        Args:
            tenant_id: The tenant.
            provider_subscription_id: Graph's id of the subscription.
            now: The time.
            resource: The resource that it has to be to; empty accepts any.
            certificate: The certificate for its resource data from now on; None for one without resource data.

        Raises:
            GoneError: The provider does not know it, or not any more: recreate it.
            MeshError: The error of the provider's answer.
        """
        url = f"{self._subscriptions_url}/{quote(provider_subscription_id, safe='')}"
        response = await self._calls.send(tenant_id, "PATCH", url, json=_terms(now, certificate))
        found = _object(response)
        is_to_another = bool(resource) and bool(found.get("resource")) and not _is_same(found, resource)
        if is_to_another or self._pushes_elsewhere(found):
            await self.delete(tenant_id, provider_subscription_id)
            raise GoneError
        return _with(certificate, _parsed(response))

    async def delete(self, tenant_id: str, provider_subscription_id: str) -> None:
        """Delete it. A missing subscription is a success.

        Raises:
            MeshError: The error of the provider's answer.
        """
        url = f"{self._subscriptions_url}/{quote(provider_subscription_id, safe='')}"
        try:
            await self._calls.send(tenant_id, "DELETE", url)
        except GoneError:
            return

    async def delete_all_of(self, tenant_id: str, subscription_id: str) -> None:
        """Delete the subscriptions that calls with lost answers may have created for our id.

        Raises:
            MeshError: The error of the provider's answer.
        """
        path = _path("webhook", subscription_id)
        await self._delete_where(tenant_id, lambda found: str(found.get("notificationUrl", "")).endswith(path))

    async def _post(self, tenant_id: str, document: dict[str, Any]) -> ProviderSubscription:
        try:
            response = await self._calls.send(
                tenant_id, "POST", self._subscriptions_url, json=document, headers=IMMUTABLE_IDS
            )
        except GoneError as exc:
            raise no_such_folder() from exc
        return _parsed(response)

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
        """Return whether it belongs to this subscription, under any public URL, or to this installation."""
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
    """Return the resource of a folder, or of all mail.

    Args:
        user_id: The user's object id.
        folder_id: An id or a well-known name; empty for all mail.
    """
    # A quote inside an OData string literal is doubled.
    folder = "mailFolders('{}')/".format(folder_id.replace("'", "''")) if folder_id else ""
    return f"users/{user_id}/{folder}messages"


def _path(route: str, subscription_id: str) -> str:
    return f"/api/ms365/{route}?s={subscription_id}"


def _terms(now: datetime, certificate: Certificate | None) -> dict[str, Any]:
    """Return the part of a subscription that a renewal changes: its end, and the certificate of its resource data."""
    if certificate is None:
        return {"expirationDateTime": _text(now + LIFETIME)}
    return {
        "expirationDateTime": _text(now + LIFETIME_WITH_DATA),
        "encryptionCertificate": base64.b64encode(certificate.der).decode(),
        "encryptionCertificateId": certificate.certificate_id,
    }


def _with(certificate: Certificate | None, made: ProviderSubscription) -> ProviderSubscription:
    return replace(made, certificate_id=certificate.certificate_id) if certificate else made


def _is_same(found: dict[str, Any], resource: str) -> bool:
    """Return whether a subscription is to a resource, with or without a selection of resource data."""
    return unquote(str(found.get("resource", "")).partition("?")[0]).strip("/").lower() == unquote(resource).lower()


def _parsed(response: httpx.Response) -> ProviderSubscription:
    document = _object(response)
    try:
        return ProviderSubscription(str(document["id"]), _time(str(document["expirationDateTime"])))
    except (KeyError, ValueError) as exc:
        raise unreachable(PROVIDER) from exc


def _object(response: httpx.Response) -> dict[str, Any]:
    try:
        document = json_of(response)
    except ValueError as exc:
        raise unreachable(PROVIDER) from exc
    if not isinstance(document, dict):
        raise unreachable(PROVIDER)
    return document


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _time(text: str) -> datetime:
    """Parse a time with up to seven fractional digits and any offset; Python parses six digits."""
    head, dot, tail = text.partition(".")
    if dot:
        digits = len(tail) - len(tail.lstrip("0123456789"))
        text = f"{head}.{tail[: min(digits, 6)]}{tail[digits:]}"
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
