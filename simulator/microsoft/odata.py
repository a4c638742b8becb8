"""Pages, properties and preferences in a request."""

import base64
import json
from typing import Any

from simulator.http import Call, NotSimulatedError
from simulator.mailboxes.graph import GraphMailbox
from simulator.microsoft.errors import graph_error
from simulator.microsoft.render import PROPERTIES, View


def seal(state: dict[str, Any]) -> str:
    """Return an opaque token that holds a state."""
    return base64.urlsafe_b64encode(json.dumps(state, separators=(",", ":")).encode()).decode().rstrip("=")


def unseal(token: str) -> dict[str, Any]:
    """Return the state in an opaque token.

    Raises:
        ApiError: 400, the token is not one of ours.
    """
    try:
        state = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    except ValueError as error:
        raise graph_error(400, "BadRequest", "The token is malformed.") from error
    if not isinstance(state, dict):
        raise graph_error(400, "BadRequest", "The token is malformed.")
    return state


def number(call: Call, name: str, default: int, most: int) -> int:
    """Return a number from the query, at least 1 and at most ``most``.

    Raises:
        ApiError: 400, it is not a number.
    """
    text = call.first(name)
    if text and not text.isdecimal():
        raise graph_error(400, "BadRequest", f"Invalid value '{text}' for {name}.")
    return max(1, min(int(text or default), most))


def selected(text: str) -> tuple[str, ...]:
    """Return the names in a $select."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


def boolean(call: Call, name: str) -> bool:
    """Return a boolean of the query, False when it is not there.

    Raises:
        ApiError: 400, it is neither true nor false.
    """
    text = call.first(name, "false").lower()
    if text not in {"true", "false"}:
        raise graph_error(400, "BadRequest", f"Invalid value '{text}' for {name}.")
    return text == "true"


def skipped(call: Call) -> int:
    """Return how many items the query passes over.

    Raises:
        ApiError: 400, it is not a number.
    """
    text = call.first("$skip", "0")
    if not text.isdecimal():
        raise graph_error(400, "BadRequest", f"Invalid value '{text}' for $skip.")
    return int(text)


def known_selection(text: str, known: frozenset[str], what: str) -> tuple[str, ...]:
    """Return the names in a $select.

    Raises:
        NotSimulatedError: The simulator does not know a name.
    """
    names = selected(text)
    if unknown := [name for name in names if name not in known]:
        raise NotSimulatedError(f"the property {unknown[0]} of {what} in $select")
    return names


def view_for(call: Call, mailbox: GraphMailbox, select: str | None = None) -> View:
    """Return the view that a request's preferences and $select ask for."""
    preferences = call.preferences()
    body_type = preferences.get("outlook.body-content-type", "").lower()
    return View(
        mailbox,
        is_immutable=wants_immutable(call),
        body_type=body_type if body_type in {"text", "html"} else "",
        select=known_selection(call.first("$select") if select is None else select, PROPERTIES, "a message"),
    )


def wants_immutable(call: Call) -> bool:
    """Return whether the request prefers immutable ids."""
    return call.preferences().get("idtype", "").lower() == "immutableid"


def applied(call: Call) -> dict[str, str]:
    """Return the Preference-Applied header for a request."""
    names = [part.strip() for part in call.headers.get("prefer", "").split(",") if part.strip()]
    return {"preference-applied": ", ".join(names)} if names else {}
