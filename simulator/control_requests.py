"""Requests to the control API, and the forms of its answers."""

from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import httpx

from simulator.http import JSON

_TIMEOUT_SECONDS = 60.0


class ControlRefusedError(Exception):
    """The control API refused the request; the message is its reason."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status


class ControlRequests:
    """Requests to the control API.

    Args:
        url: Address of the control API, ``controlUrl`` of the ready file.

    Use it in ``async with``, or close it with :meth:`close`.
    """

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self._client = httpx.AsyncClient(base_url=self.url, timeout=_TIMEOUT_SECONDS, trust_env=False)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def request(self, method: str, path: str, body: Any = None, **query: Any) -> Any:
        """Do any request below ``/control``.

        Raises:
            ControlRefusedError: The answer was an error.
        """
        answer = await self._client.request(method, f"/control{path}", json=body, params=query)
        if answer.is_error:
            raise ControlRefusedError(answer.status_code, answer.text)
        return answer.json()


def account_path(account: str) -> str:
    """Return the path of an account."""
    return f"/accounts/{quote(account, safe='@')}"


def as_object(answer: Any) -> JSON:
    """Return an answer that is an object.

    Raises:
        TypeError: It is none.
    """
    if not isinstance(answer, dict):
        msg = f"not an object: {answer!r}"
        raise TypeError(msg)
    return answer


def as_list(answer: Any) -> list[JSON]:
    """Return an answer that is a list.

    Raises:
        TypeError: It is none.
    """
    if not isinstance(answer, list):
        msg = f"not a list: {answer!r}"
        raise TypeError(msg)
    return answer
