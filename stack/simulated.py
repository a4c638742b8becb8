"""The simulated providers' control API, for the demo and for tests."""

from typing import Any

import httpx

TIMEOUT_SECONDS = 60.0


class SimulatorControl:
    """Asks the simulator to make things happen.

    Args:
        url: Its control address, such as "http://127.0.0.1:9000".
    """

    def __init__(self, url: str) -> None:
        self.url = url

    def call(self, method: str, path: str, **body: Any) -> Any:
        """Calls one action.

        Args:
            method: HTTP method.
            path: Behind "/control/".
            body: The action's fields.

        Raises:
            httpx.HTTPStatusError: The simulator refuses; its sentence is in the message.
        """
        url = f"{self.url}/control/{path}"
        answer = httpx.request(method, url, json=body or None, timeout=TIMEOUT_SECONDS, trust_env=False)
        if answer.is_error:
            message = f"{method} {path}: {answer.status_code} {answer.text}"
            raise httpx.HTTPStatusError(message, request=answer.request, response=answer)
        return answer.json()

    def accounts(self) -> list[dict[str, Any]]:
        """Returns all accounts."""
        found: list[dict[str, Any]] = self.call("GET", "accounts")
        return found

    def add_account(self, provider: str, address: str, **more: Any) -> dict[str, Any]:
        """Adds an account."""
        made: dict[str, Any] = self.call("POST", "accounts", provider=provider, address=address, **more)
        return made

    def generate(self, account: str, count: int, **more: Any) -> list[dict[str, Any]]:
        """Delivers generated mails and returns them; the same numbers give the same mails."""
        made: dict[str, Any] = self.call("POST", f"accounts/{account}/generate", count=count, show=True, **more)
        messages: list[dict[str, Any]] = made["messages"]
        return messages

    def deliver(self, account: str, **mail: Any) -> dict[str, Any]:
        """Delivers one mail."""
        made: dict[str, Any] = self.call("POST", f"accounts/{account}/messages", **mail)
        return made

    def truth(self, account: str) -> dict[str, Any]:
        """Returns everything that is in a mailbox."""
        found: dict[str, Any] = self.call("GET", f"accounts/{account}/truth")
        return found

    def fault(self, **rule: Any) -> int:
        """Adds a fault and returns its id."""
        number: int = self.call("POST", "faults", **rule)["id"]
        return number

    def clear_faults(self) -> None:
        """Ends all faults."""
        self.call("DELETE", "faults")

    def count(self, endpoint: str) -> int:
        """Returns how many calls of an endpoint (a pattern) there were."""
        return len(self.call("GET", f"calls?endpoint={endpoint}&limit=100000"))

    def move_clock(self, seconds: float) -> None:
        """Moves the providers' clock forward."""
        self.call("POST", "clock", advanceSeconds=seconds)

    def wait_until_idle(self, seconds: float = 30.0) -> bool:
        """Waits until no notification is on its way."""
        idle: bool = self.call("GET", f"pushes/idle?seconds={seconds:g}")["idle"]
        return idle
