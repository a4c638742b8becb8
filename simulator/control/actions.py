"""Named actions with JSON in and out, which HTTP routes and scenario steps share."""

from collections.abc import Awaitable, Callable
from typing import Any

from simulator.accounts import Account
from simulator.http import JSON
from simulator.state import World

Action = Callable[[JSON], Any | Awaitable[Any]]


class ControlError(Exception):
    """The control API cannot carry out the request; ``status`` is the HTTP status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Actions:
    """The table of actions, and of the routes that lead to them."""

    def __init__(self) -> None:
        self.by_name: dict[str, Action] = {}
        self.routes: list[tuple[str, str, str]] = []

    def add(self, name: str, method: str, path: str, action: Action) -> None:
        """Add an action under its name and its route; path parameters join the body."""
        self.by_name[name] = action
        self.routes.append((method, path, name))

    def find(self, name: str) -> Action:
        """Return an action by name.

        Raises:
            ControlError: 404, there is none.
        """
        if name not in self.by_name:
            raise ControlError(404, f"no action {name}")
        return self.by_name[name]


def account_of(world: World, body: JSON) -> Account:
    """Return the account that a body names by address or id.

    Raises:
        ControlError: 404, there is none.
    """
    name = str(body.get("account", ""))
    account = world.account(name, str(body.get("provider", "")))
    if account is None:
        raise ControlError(404, f"no account {name}")
    return account


def flag(body: JSON, name: str, *, default: bool = False) -> bool:
    """Return a boolean that may have come as text in a query."""
    value = body.get(name, default)
    return value.lower() in {"1", "true", "yes"} if isinstance(value, str) else bool(value)
