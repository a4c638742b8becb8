"""The edge as steps call it: with the API key that the operator gives to Workflows, and a deadline on every call."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
from grpc.aio import ClientCallDetails, Metadata
from typing_extensions import override

from services.meshkit.secret import Secret

CALL_SECONDS = 30.0


class KeyMissing(Exception):  # noqa: N818 - the step that called fails by it
    """No API key is given to Workflows: set MAILMESH_WORKFLOWS_API_KEY or its file."""


class ApiKey:
    """The key, read for each call, so that a changed file needs no restart.

    Args:
        key: The key itself, or None.
        key_file: A file that contains it, or None.
    """

    def __init__(self, key: Secret | None, key_file: Path | None) -> None:
        self._key, self._file = key, key_file

    def read(self) -> str:
        """Return the key.

        Raises:
            KeyMissing: There is none, or its file cannot be read.
        """
        if self._key is not None:
            return self._key.reveal()
        try:
            text = self._file.read_text("utf-8").strip() if self._file else ""
        except (OSError, UnicodeDecodeError) as exc:
            raise KeyMissing from exc
        if not text:
            raise KeyMissing
        return text


class WithKey(grpc.aio.UnaryUnaryClientInterceptor):
    """Adds the key and a deadline to calls with one answer.

    Args:
        key: The key.
    """

    def __init__(self, key: ApiKey) -> None:
        self._key = key

    @override
    async def intercept_unary_unary(
        self, continuation: Callable[..., Any], client_call_details: ClientCallDetails, request: Any
    ) -> Any:
        """Make the call."""
        headers = Metadata(*(client_call_details.metadata or ()))
        headers["authorization"] = f"Bearer {self._key.read()}"
        seconds = client_call_details.timeout
        details = ClientCallDetails(
            method=client_call_details.method,
            timeout=CALL_SECONDS if seconds is None else min(seconds, CALL_SECONDS),
            metadata=headers,
            credentials=client_call_details.credentials,
            wait_for_ready=client_call_details.wait_for_ready,
        )
        return await continuation(details, request)
