"""Google's notification channels (Google Calendar API, "Push notifications", `events.watch`, `channels.stop`).

A channel cannot be renewed: a new one is opened beside it, and then the old one is stopped. Both push meanwhile.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import quote

from services.ingest.errors import PublicUrlUnset
from services.ingest.subscriptions.failures import GoneError, json_of, unreachable
from services.ingest.subscriptions.provider_calls import ProviderCalls
from services.meshkit.secret import Secret
from services.providers.names import GOOGLEWS

PATH: Final = "/api/googlews/calendar"
LIFETIME: Final = timedelta(days=7)
"""The life that is asked for: Google's default. The stated expiry counts."""
_MAX_RESOURCE_ID: Final = 1024


@dataclass(frozen=True, slots=True)
class OpenedChannel:
    """A channel as Google opened it.

    Args:
        resource_id: Google's id of the watched resource, which stopping needs.
        expires_at: When it ends by itself.
    """

    resource_id: str
    expires_at: datetime


class GoogleChannels:
    """Channels at Google Calendar.

    Args:
        calls: Calls on behalf of tenants.
        calendar_url: Base address with the version, such as "https://www.googleapis.com/calendar/v3".
        public_url: The edge's public URL, to which Google pushes. Empty: no channel can be opened.
    """

    def __init__(self, calls: ProviderCalls, calendar_url: str, public_url: str) -> None:
        self._calls = calls
        self._base = calendar_url
        self._public_url = public_url

    def check_address(self) -> None:
        """Check that Google can push to this installation.

        Raises:
            PublicUrlUnset: It has no public address.
        """
        if not self._public_url:
            raise PublicUrlUnset(subject="MAILMESH_PUBLIC_URL", metadata={"setting": "MAILMESH_PUBLIC_URL"})

    async def open(
        self, tenant_id: str, provider_calendar_id: str, channel_id: str, token: Secret, now: datetime
    ) -> OpenedChannel:
        """Open a channel. Google may push to it before it answers. Not idempotent: a channel's id is taken once.

        Args:
            tenant_id: The tenant on whose behalf.
            provider_calendar_id: The calendar; empty for the account's list of calendars.
            channel_id: Our id, at most 64 characters.
            token: The secret that each push repeats, at most 256 characters.
            now: The time.

        Raises:
            MeshError: The error of the provider's answer.
        """
        calendar = quote(provider_calendar_id, safe="")
        path = f"calendars/{calendar}/events/watch" if calendar else "users/me/calendarList/watch"
        document = {
            "id": channel_id,
            "type": "web_hook",
            "address": f"{self._public_url}{PATH}",
            "token": token.reveal(),
            "params": {"ttl": str(int(LIFETIME.total_seconds()))},
        }
        response = await self._calls.send(tenant_id, "POST", f"{self._base}/{path}", json=document)
        try:
            return _opened(json_of(response), now)
        except (KeyError, TypeError, ValueError, OverflowError) as exc:
            raise unreachable(GOOGLEWS) from exc

    async def stop(self, tenant_id: str, channel_id: str, resource_id: str) -> None:
        """Stop a channel. A missing channel is a success. Pushes may arrive for a while.

        Raises:
            MeshError: The error of the provider's answer.
        """
        document = {"id": channel_id, "resourceId": resource_id}
        try:
            await self._calls.send(tenant_id, "POST", f"{self._base}/channels/stop", json=document)
        except GoneError:
            return


def _opened(answer: dict[str, Any], now: datetime) -> OpenedChannel:
    resource_id = str(answer["resourceId"])
    if not 0 < len(resource_id) <= _MAX_RESOURCE_ID:
        raise ValueError
    # 64-bit numbers are strings in JSON. A channel without an expiry is replaced all the same.
    expiration = answer.get("expiration")
    ends_at = datetime.fromtimestamp(int(expiration) / 1000, UTC) if expiration else now + LIFETIME
    return OpenedChannel(resource_id, ends_at)
