"""The part of the control API that changes calendars."""

from typing import Any
from urllib.parse import quote

from simulator.control_requests import ControlRequests, account_path, as_list, as_object
from simulator.http import JSON


class CalendarControl(ControlRequests):
    """Calendars and their events; every method is one request and returns the answer's JSON."""

    async def calendars(self, account: str) -> list[JSON]:
        """Return an account's calendars with their events."""
        return as_list(await self.request("GET", f"{account_path(account)}/calendars"))

    async def add_calendar(self, account: str, name: str, **facts: Any) -> JSON:
        """Add a calendar: ``owner``; ``canEdit`` at Microsoft, ``role`` and ``pushes`` at Google."""
        return as_object(await self.request("POST", f"{account_path(account)}/calendars", {"name": name, **facts}))

    async def remove_calendar(self, account: str, calendar: str) -> JSON:
        """Remove a calendar."""
        return as_object(await self.request("DELETE", f"{account_path(account)}/calendars/{quote(calendar, safe='')}"))

    async def channels(self) -> list[JSON]:
        """Return Google Calendar's living channels."""
        return as_list(await self.request("GET", "/channels"))

    async def silence_channel(self, channel: str, *, silent: bool = True) -> JSON:
        """Make a channel dead silently, or alive again."""
        return as_object(await self.request("POST", f"/channels/{quote(channel, safe='')}/silence", {"silent": silent}))

    async def remove_channel(self, channel: str) -> JSON:
        """Remove a channel silently."""
        return as_object(await self.request("DELETE", f"/channels/{quote(channel, safe='')}"))

    async def create_event(self, account: str, calendar: str, **fields: Any) -> JSON:
        """Add an event of the provider's fields; Graph's times are a wall clock in UTC, its ``body`` is text."""
        return as_object(await self.request("POST", _events(account, calendar), fields))

    async def update_event(self, account: str, calendar: str, event: str, **fields: Any) -> JSON:
        """Change fields of an event."""
        return as_object(await self.request("PATCH", _events(account, calendar, event), fields))

    async def delete_event(self, account: str, calendar: str, event: str) -> JSON:
        """Delete an event, a series with its instances, or one changed instance."""
        return as_object(await self.request("DELETE", _events(account, calendar, event)))

    async def cancel_instance(self, account: str, calendar: str, event: str, day: str) -> JSON:
        """Delete the instance of a series on a local day."""
        return as_object(await self.request("POST", f"{_events(account, calendar, event)}/cancel", {"day": day}))

    async def change_instance(
        self, account: str, calendar: str, event: str, day: str, original: str, **fields: Any
    ) -> JSON:
        """Change the instance of a series on a local day that it begins at a time in UTC."""
        body = {"day": day, "original": original, **fields}
        return as_object(await self.request("POST", f"{_events(account, calendar, event)}/instances", body))

    async def cancel_google(self, account: str, calendar: str, event: str, original: JSON) -> JSON:
        """Cancel the instance of a Google series with an original start."""
        return as_object(
            await self.request("POST", f"{_events(account, calendar, event)}/cancel", {"original": original})
        )

    async def change_google(self, account: str, calendar: str, event: str, original: JSON, **fields: Any) -> JSON:
        """Change the instance of a Google series with an original start."""
        body = {"original": original, **fields}
        return as_object(await self.request("POST", f"{_events(account, calendar, event)}/instances", body))


def _events(account: str, calendar: str, event: str = "") -> str:
    path = f"{account_path(account)}/calendars/{quote(calendar, safe='')}/events"
    return f"{path}/{quote(event, safe='')}" if event else path
