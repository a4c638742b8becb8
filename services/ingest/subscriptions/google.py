"""Gmail's watch: one for each mailbox, the union of our subscriptions' labels (Gmail API, `users.watch`)."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from services.ingest.errors import InstallationMisconfigured
from services.ingest.store.subscription_rows import ProviderSubscription
from services.ingest.subscriptions.failures import GoneError, json_of, unreachable
from services.ingest.subscriptions.provider_calls import ProviderCalls
from services.providers.names import GOOGLEWS

PROVIDER = GOOGLEWS


class GmailWatches:
    """Watches at Google.

    Args:
        calls: Calls on behalf of tenants.
        gmail_url: Base address with the version, such as "https://gmail.googleapis.com/gmail/v1".
        topic: The Pub/Sub topic that Gmail publishes to: "projects/.../topics/...". Empty: no topic is set.
    """

    def __init__(self, calls: ProviderCalls, gmail_url: str, topic: str) -> None:
        self._calls = calls
        self._url = f"{gmail_url}/users/me"
        self._topic = topic

    async def watch(self, tenant_id: str, label_ids: Sequence[str]) -> ProviderSubscription:
        """Watch the mailbox; an existing watch is replaced. Safe to call again.

        Args:
            tenant_id: The tenant on whose behalf.
            label_ids: The union of the labels of all subscriptions; empty means all mail.

        Returns:
            The watch with the mailbox's history id.

        Raises:
            InstallationMisconfigured: No topic is set, or Google cannot use it.
            MeshError: The error of the provider's answer.
        """
        if not self._topic:
            raise InstallationMisconfigured(
                "No Pub/Sub topic is set: set MAILMESH_GOOGLEWS_PUBSUB_TOPIC, or subscribe by polling.",
                subject=PROVIDER,
                metadata={"provider": PROVIDER, "detail": "MAILMESH_GOOGLEWS_PUBSUB_TOPIC"},
            )
        document: dict[str, Any] = {"topicName": self._topic}
        if label_ids:
            document |= {"labelIds": sorted(label_ids), "labelFilterBehavior": "include"}
        response = await self._calls.send(tenant_id, "POST", f"{self._url}/watch", json=document)
        try:
            answer = json_of(response)
            # 64-bit numbers are strings in JSON; the guide prints them as numbers.
            ends_at = datetime.fromtimestamp(int(answer["expiration"]) / 1000, UTC)
            return ProviderSubscription("", ends_at, int(answer["historyId"]))
        except (KeyError, TypeError, ValueError, OverflowError) as exc:
            raise unreachable(PROVIDER) from exc

    async def stop(self, tenant_id: str) -> None:
        """Stop the watch. A missing watch is a success.

        Raises:
            MeshError: The error of the provider's answer.
        """
        try:
            await self._calls.send(tenant_id, "POST", f"{self._url}/stop")
        except GoneError:
            return


def union(watched: Sequence[Sequence[str]]) -> list[str]:
    """Return the union of watched labels; empty, meaning all mail, when one of them is all mail."""
    if any(not labels for labels in watched):
        return []
    return sorted({label for labels in watched for label in labels})
