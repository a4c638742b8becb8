"""Google Calendar's channels: opened with a first push, replaced by further ones, stopped, and ended by the clock."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any
from urllib.parse import quote, urlsplit

from simulator.accounts import Account
from simulator.google.calendars import calendar_of
from simulator.google.errors import api_error
from simulator.google.gmail import AUTH
from simulator.http import JSON, Call, Operations, Reply
from simulator.mailboxes.google_calendars import GoogleCalendar
from simulator.push import Rules
from simulator.spoil import spoiled
from simulator.state import World

_ROOT = "/calendar/v3"
_EVENTS = tuple(f"{AUTH}calendar{name}" for name in ("", ".events", ".events.readonly", ".readonly"))
_LISTS = tuple(f"{AUTH}calendar{name}" for name in ("", ".calendarlist", ".calendarlist.readonly", ".readonly"))
_FIELDS = ("id", "type", "address", "token", "params", "expiration", "payload", "kind", "resourceId", "resourceUri")
_ID = re.compile(r"[A-Za-z0-9\-_+/=]{1,64}")
_MAX_TOKEN = 256
_KIND = "notify.calendar"
_REPEATED = frozenset({0, 500, 502, 503, 504})
"""Answers after which a push is repeated (0: no answer); any other status is a success, or a push that is lost."""
_ANSWERS = frozenset(range(100, 600)) - _REPEATED


@dataclass(slots=True)
class Channel:
    """A channel; no calendar means the account's list of calendars. A silenced one lives on and sends nothing."""

    id: str
    account: Account
    client_id: str
    calendar: str
    address: str
    token: str
    resource_id: str
    resource_uri: str
    expires_ms: int
    number: int = 0
    is_silenced: bool = False


class Channels:
    """All channels, by id."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._by_id: dict[str, Channel] = {}
        self._used: set[str] = set()

    def register(self, operations: Operations) -> None:
        """Add the operations to the provider's table."""
        events = f"{_ROOT}/calendars/{{calendar}}/events/watch"
        lists = f"{_ROOT}/users/me/calendarList/watch"
        operations.add("calendar.events.watch", "POST", events, self.watch_events, scopes=_EVENTS)
        operations.add("calendar.list.watch", "POST", lists, self.watch_list, scopes=_LISTS)
        either = {*_EVENTS, *_LISTS}
        operations.add("calendar.channels.stop", "POST", f"{_ROOT}/channels/stop", self.stop, scopes=either)

    def watch_events(self, call: Call) -> Reply:
        """Open a channel on a calendar's events; public calendars have none."""
        calendar = calendar_of(call)
        if not calendar.pushes:
            reason = "pushNotSupportedForRequestedResource"
            raise api_error(400, reason, "Push notifications are not supported by this resource.")
        return self._open(call, calendar.id, f"calendars/{quote(calendar.id, safe='')}/events")

    def watch_list(self, call: Call) -> Reply:
        """Open a channel on the list of calendars."""
        return self._open(call, "", "users/me/calendarList")

    def stop(self, call: Call) -> Reply:
        """Stop a channel; the caller must be its user and client."""
        body = call.fields(_FIELDS)
        channel = self._by_id.get(str(body.get("id") or ""))
        grant = call.grant
        is_own = channel is not None and grant is not None and grant.client_id == channel.client_id
        if channel is None or not is_own or channel.account is not call.account:
            raise api_error(404, "notFound", f"Channel '{body.get('id')}' not found for project")
        if channel.resource_id != body.get("resourceId"):
            raise api_error(404, "notFound", "Resource not found for the channel")
        del self._by_id[channel.id]
        return Reply(204)

    def changed(self, account: Account, calendar: GoogleCalendar | None) -> None:
        """Push that a calendar has changed, or the list of calendars."""
        for channel in self.every():
            if channel.account is account and channel.calendar == (calendar.id if calendar else ""):
                self.push(channel, "exists")

    def every(self) -> list[Channel]:
        """Return all living channels."""
        now = self._world.clock.milliseconds()
        return [channel for channel in self._by_id.values() if channel.expires_ms > now]

    def find(self, channel_id: str) -> Channel | None:
        """Return a living channel."""
        return next((one for one in self.every() if one.id == channel_id), None)

    def remove(self, channel: Channel) -> None:
        """Remove a channel silently."""
        self._by_id.pop(channel.id, None)

    def forget(self) -> None:
        """Remove all channels silently."""
        self._by_id.clear()

    def push(self, channel: Channel, state: str) -> None:
        """Queue a push, unless the channel is silenced or a fault drops, doubles or delays it. Numbers have gaps."""
        if channel.is_silenced:
            return
        channel.number += 1 if not channel.number else 1 + channel.number % 3
        item = {
            "X-Goog-Channel-ID": channel.id,
            "X-Goog-Channel-Token": channel.token,
            "X-Goog-Channel-Expiration": format_datetime(_moment(channel.expires_ms), usegmt=True),
            "X-Goog-Resource-ID": channel.resource_id,
            "X-Goog-Resource-URI": channel.resource_uri,
            "X-Goog-Resource-State": state,
            "X-Goog-Message-Number": str(channel.number),
        }
        for wait in spoiled(self._world, _KIND, channel.account):
            if wait:
                self._world.pushes.put_later(wait, _KIND, channel.address, item, self._rules)
            else:
                self._world.pushes.put(_KIND, channel.address, item, self._rules)

    def _open(self, call: Call, calendar: str, path: str) -> Reply:
        body = call.fields(_FIELDS)
        self._check(body)
        assert call.account is not None  # noqa: S101  the token has an account
        uri = f"{self._world.google_url}{_ROOT}/{path}?alt=json"
        channel = Channel(
            id=str(body["id"]),
            account=call.account,
            client_id=call.grant.client_id if call.grant else "",
            calendar=calendar,
            address=str(body["address"]),
            token=str(body.get("token") or ""),
            resource_id=hashlib.sha256(f"{call.account.id}:{calendar}".encode()).hexdigest()[:27],
            resource_uri=uri,
            expires_ms=self._expiry(body),
        )
        self._by_id[channel.id] = channel
        self._used.add(channel.id)
        # It leaves before the answer does, and may arrive before it.
        self.push(channel, "sync")
        shown: JSON = {
            "kind": "api#channel", "id": channel.id, "resourceId": channel.resource_id, "resourceUri": uri,
            "expiration": str(channel.expires_ms),
        }  # fmt: skip
        return Reply(200, {**shown, **({"token": channel.token} if channel.token else {})})

    def _check(self, body: JSON) -> None:
        channel_id, token = str(body.get("id") or ""), str(body.get("token") or "")
        if not _ID.fullmatch(channel_id):
            raise api_error(400, "required", "entity.resource")
        if channel_id in self._used:
            raise api_error(400, "channelIdNotUnique", f"Channel id {channel_id} not unique")
        if str(body.get("type") or "") not in {"web_hook", "webhook"}:
            raise api_error(400, "channelUnknown", "Unknown channel type")
        if len(token) > _MAX_TOKEN:
            raise api_error(400, "invalid", "Invalid value for token")
        parts = urlsplit(str(body.get("address") or ""))
        is_local = parts.hostname in {"127.0.0.1", "localhost", "::1"} and self._world.knobs.allow_http_loopback
        if parts.scheme != "https" and not (parts.scheme == "http" and is_local):
            raise api_error(400, "push.webhookUrlNotHttps", f"WebHook callback must be HTTPS: {body.get('address')}")

    def _expiry(self, body: JSON) -> int:
        """Return when a channel ends: as `params.ttl` in seconds or `expiration` asks, within the longest life."""
        now, longest = self._world.clock.milliseconds(), self._world.knobs.channel_seconds * 1000
        wanted = longest
        params = body.get("params")
        if isinstance(params, dict) and params.get("ttl"):
            wanted = int(params["ttl"]) * 1000
        elif body.get("expiration"):
            wanted = int(body["expiration"]) - now
        return now + max(0, min(wanted, longest))

    def _rules(self) -> Rules:
        knobs = self._world.knobs
        return Rules(
            compose=_composed,
            accepted=_ANSWERS,
            batch_max=1,
            wait_seconds=0.0,
            timeout_seconds=lambda _attempts: knobs.push_retry_timeout_seconds,
            concurrency=knobs.push_concurrency,
            retry_first_seconds=knobs.push_retry_first_seconds,
            retry_max_seconds=knobs.push_retry_max_seconds,
            give_up_seconds=knobs.push_retry_for_seconds,
            pending_max=knobs.push_pending_max,
        )


def _composed(items: Sequence[Any]) -> tuple[bytes, dict[str, str]]:
    headers = {"user-agent": "APIs-Google; (+https://developers.google.com/webmasters/APIs-Google.html)"}
    return b"", {**headers, **items[0]}


def _moment(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds // 1000, UTC)
