"""Confirmations of acting tools: a signed handle, bound to the caller, the tool and the arguments, for some minutes.

The door keeps no state. A handle can be used again while it is valid. The idempotency key of every acting tool makes
that harmless: the same key with the same arguments acts once.
"""

import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping
from typing import Any

from services.meshkit.clock import Clock
from services.meshkit.secret import Secret

ARGUMENT = "confirmation"
_SEPARATOR = "."


class Confirmations:
    """Issues and checks confirmations.

    Args:
        key: Signs them; None takes a random one.
        seconds: How long one is valid.
        clock: The time.
    """

    def __init__(self, key: Secret | None, seconds: int, clock: Clock) -> None:
        self._key = key.reveal().encode() if key else secrets.token_bytes(32)
        self._seconds, self._clock = seconds, clock

    def issue(self, caller: str, tool: str, arguments: Mapping[str, Any]) -> str:
        """Return a confirmation for one call.

        Args:
            caller: The id of the caller's key, as the edge states it: an agent's own credential may change meanwhile.
            tool: The tool's name.
            arguments: Its arguments, without a confirmation.
        """
        expires_at = str(self._now() + self._seconds)
        return expires_at + _SEPARATOR + self._signature(expires_at, caller, tool, arguments)

    def accepts(self, confirmation: str, caller: str, tool: str, arguments: Mapping[str, Any]) -> bool:
        """Return whether a confirmation was issued for this very call and is still valid."""
        if not confirmation.isascii():
            return False
        expires_at, _, signature = confirmation.partition(_SEPARATOR)
        expected = self._signature(expires_at, caller, tool, arguments)
        if not hmac.compare_digest(expected.encode(), signature.encode()):
            return False
        return self._now() <= int(expires_at)

    def _now(self) -> int:
        return int(self._clock.now().timestamp())

    def _signature(self, expires_at: str, caller: str, tool: str, arguments: Mapping[str, Any]) -> str:
        who = hashlib.sha256(caller.encode()).hexdigest()
        parts = [expires_at, who, tool, json.dumps(arguments, sort_keys=True, ensure_ascii=True)]
        digest = hmac.digest(self._key, json.dumps(parts).encode(), "sha256")
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
