"""Checks the notifications of a POST that belong to subscriptions with resource data."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import structlog

from services.ingest.certificates.upkeep import Certificates
from services.ingest.errors import KeyUnavailable, SealBroken
from services.ingest.resource_data.decryption import ContentRefusedError, decrypt
from services.ingest.resource_data.publisher import Publisher
from services.ingest.webhooks.microsoft import GraphChange
from services.ingest.webhooks.outcomes import DATA_REFUSED, TOKEN_REFUSED
from services.meshkit.secret import Secret

logger = structlog.get_logger(__name__)


class ResourceDataChecks:
    """Proves notifications with resource data and opens their data.

    The data confirms the message's id, and gives the version where the notification has none. Nothing else is taken
    from it and nothing of it is stored: the message is fetched, as after every notification.

    Args:
        publisher: Verifies validation tokens.
        certificates: Finds private keys.
    """

    def __init__(self, publisher: Publisher, certificates: Certificates) -> None:
        self._publisher = publisher
        self._certificates = certificates

    async def check(
        self, changes: Mapping[GraphChange, str], tokens: Sequence[Secret]
    ) -> Mapping[GraphChange, GraphChange | str]:
        """Check notifications whose `clientState` is proven.

        Args:
            changes: Those of a POST whose subscriptions have resource data, with the directory of the subscription's
                account. A token of another directory proves nothing about them, whatever they state themselves.
            tokens: The validation tokens of that POST.

        Returns:
            By notification the one to keep, or the cause of its refusal: `token_refused` or `data_refused`.

        Raises:
            ProviderUnavailable: Microsoft's keys could not be fetched.
            StoreUnavailable: A private key could not be read.
        """
        organisations = await self._publisher.organisations(tokens)
        found: dict[GraphChange, GraphChange | str] = {}
        for change, directory in changes.items():
            stated = change.external_tenant_id.lower()
            if stated not in organisations or stated != directory.lower():
                found[change] = TOKEN_REFUSED
                continue
            try:
                found[change] = await self._opened(change)
            except ContentRefusedError:
                found[change] = DATA_REFUSED
            await asyncio.sleep(0)  # each costs a millisecond of computing
        return found

    async def _opened(self, change: GraphChange) -> GraphChange:
        """Return the notification with what its data adds.

        One without data is kept, as it is proven: nothing is known of what Graph sends with a deletion.
        """
        content = change.encrypted
        if content is None:
            return change
        try:
            key = await self._certificates.private_key(content.certificate_id)
        except (KeyUnavailable, SealBroken) as exc:
            logger.exception("certificate for resource data cannot be used", reason=exc.reason)
            raise ContentRefusedError from exc
        if key is None:
            raise ContentRefusedError
        resource = decrypt(content, key)
        if resource.get("id") != change.message_id:
            raise ContentRefusedError
        return change if change.etag else change.with_version(_version(resource))


def _version(resource: Mapping[str, Any]) -> Any:
    return resource.get("@odata.etag")
