"""Control of Google Calendar's channels."""

from simulator.control.actions import Actions, ControlError, flag
from simulator.google.channels import Channel, Channels
from simulator.http import JSON


class ChannelControl:
    """The actions on channels."""

    def __init__(self, channels: Channels) -> None:
        self._channels = channels

    def register(self, actions: Actions) -> None:
        """Add the actions to the table."""
        one = "/control/channels/{channel}"
        actions.add("channels.list", "GET", "/control/channels", self.every)
        actions.add("channels.silence", "POST", f"{one}/silence", self.silence)
        actions.add("channels.remove", "DELETE", one, self.remove)

    def every(self, _body: JSON) -> list[JSON]:
        """Return the living channels."""
        return [_shown(channel) for channel in self._channels.every()]

    def silence(self, body: JSON) -> JSON:
        """Silence a living channel, or end its silence (``silent`` false)."""
        channel = self._channel(body)
        channel.is_silenced = flag(body, "silent", default=True)
        return _shown(channel)

    def remove(self, body: JSON) -> JSON:
        """Remove a channel silently."""
        channel = self._channel(body)
        self._channels.remove(channel)
        return {"removed": channel.id}

    def _channel(self, body: JSON) -> Channel:
        found = self._channels.find(str(body.get("channel", "")))
        if found is None:
            raise ControlError(404, "no such channel")
        return found


def _shown(channel: Channel) -> JSON:
    return {
        "id": channel.id,
        "account": channel.account.address,
        "calendar": channel.calendar,
        "address": channel.address,
        "resourceId": channel.resource_id,
        "expiresAtMs": channel.expires_ms,
        "isSilenced": channel.is_silenced,
        "token": channel.token,
    }
