"""A request and its answer, apart from any web framework, so that batches can re-enter the same handlers."""

import json
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote

from simulator.accounts import Account
from simulator.tokens import Grant

JSON = dict[str, Any]


@dataclass(slots=True)
class Call:
    """One request to a provider.

    Attributes:
        path: Decoded path below the provider's base, without the query.
        query: Decoded pairs in order; names may repeat.
        headers: Names in lower case.
        params: The values that the matched pattern captured.
        account: Whose mailbox or grant it is about, once known.
    """

    method: str
    path: str
    query: list[tuple[str, str]]
    headers: Mapping[str, str]
    body: bytes
    params: dict[str, str] = field(default_factory=dict)
    account: Account | None = None
    grant: Grant | None = None
    inside_batch: bool = False

    def first(self, name: str, default: str = "") -> str:
        """Return the first value of a query parameter."""
        return next((value for key, value in self.query if key == name), default)

    def every(self, name: str) -> list[str]:
        """Return all values of a query parameter."""
        return [value for key, value in self.query if key == name]

    def form(self) -> dict[str, str]:
        """Return the body as form fields, the last of a name winning."""
        return dict(parse_qsl(self.body.decode("utf-8", "replace"), keep_blank_values=True))

    def form_pairs(self) -> list[tuple[str, str]]:
        """Return the body as form fields in order."""
        return parse_qsl(self.body.decode("utf-8", "replace"), keep_blank_values=True)

    def json(self) -> Any:
        """Return the body as JSON; None when it is empty.

        Raises:
            ValueError: The body is not JSON.
        """
        return json.loads(self.body) if self.body.strip() else None

    def json_object(self) -> JSON:
        """Return the body as a JSON object; an empty body is an empty one.

        Raises:
            ValueError: The body is not a JSON object.
        """
        body = {} if (found := self.json()) is None else found
        if not isinstance(body, dict):
            raise ValueError("the body is not a JSON object")  # noqa: TRY004 - as for what is no JSON at all
        return body

    def fields(self, known: Iterable[str], *, in_any_case: bool = False) -> JSON:
        """Return the fields of a JSON body under the names given in ``known``; annotations of OData are left out.

        Args:
            known: The fields that the simulator knows.
            in_any_case: Accept the names in any case, as Graph does for the parameters of actions.

        Raises:
            NotSimulatedError: The body has another field.
            ValueError: The body is not a JSON object.
        """
        return known_fields(self.json_object(), known, in_any_case=in_any_case)

    def preferences(self) -> dict[str, str]:
        """Return the Prefer header as name and value, names in lower case."""
        found: dict[str, str] = {}
        for part in self.headers.get("prefer", "").split(","):
            name, _, value = part.strip().partition("=")
            if name:
                found[name.lower()] = value.strip().strip('"')
        return found


def known_fields(body: JSON, known: Iterable[str], *, in_any_case: bool = False, where: str = "body") -> JSON:
    """Return an object's fields under their known names; annotations of OData are left out.

    Raises:
        NotSimulatedError: The object has another field.
    """
    names = {name.lower() if in_any_case else name: name for name in known}
    found: JSON = {}
    for given, value in body.items():
        name = names.get(given.lower() if in_any_case else given)
        if name is not None:
            found[name] = value
        elif "@odata." not in given:
            raise NotSimulatedError(f"the field {given} of the {where}")
    return found


@dataclass(slots=True)
class Reply:
    """One answer; a dict body is sent as JSON."""

    status: int = 200
    body: JSON | bytes | str = b""
    headers: dict[str, str] = field(default_factory=dict)

    def content(self) -> bytes:
        """Return the body as bytes."""
        if isinstance(self.body, dict):
            return json.dumps(self.body, separators=(",", ":")).encode()
        return self.body.encode("utf-8", "replace") if isinstance(self.body, str) else self.body

    def content_type(self) -> str:
        """Return the content type that goes with the body."""
        if isinstance(self.body, dict):
            return "application/json; charset=utf-8"
        return "text/html; charset=utf-8" if isinstance(self.body, str) else "application/octet-stream"


class NotSimulatedError(Exception):
    """The call asks for something that the simulator does not know; the provider answers 501 and names it.

    Args:
        what: The name, as a noun with its article: ``the query parameter $apply``.
    """

    def __init__(self, what: str) -> None:
        super().__init__(f"The simulator does not know {what}.")


class ApiError(Exception):
    """A provider's refusal, carrying the whole answer."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(f"{reply.status}")
        self.reply = reply


Handler = Callable[[Call], Reply | Awaitable[Reply]]


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of a provider; faults and the call log refer to it by its name."""

    name: str
    method: str
    pattern: re.Pattern[str]
    handler: Handler
    scopes: frozenset[str] = frozenset()
    units: int = 0
    is_api: bool = True
    query: frozenset[str] = frozenset()

    def check_query(self, call: Call) -> None:
        """Refuse query parameters that the simulator does not know.

        OAuth's endpoints ignore them, as RFC 6749 section 3.1 says.

        Raises:
            NotSimulatedError: There is one.
        """
        unknown = [name for name, _ in call.query if name not in self.query] if self.is_api else []
        if unknown:
            raise NotSimulatedError(f"the query parameter {unknown[0]} of {self.name}")


class Operations:
    """A provider's table of operations.

    Args:
        common_query: Query parameters that every operation takes.
    """

    def __init__(self, common_query: Iterable[str] = ()) -> None:
        self._common_query = frozenset(common_query)
        self._by_method: dict[str, list[Operation]] = {}

    def add(
        self,
        name: str,
        method: str,
        path: str,
        handler: Handler,
        *,
        scopes: Iterable[str] = (),
        units: int = 0,
        is_api: bool = True,
        query: Iterable[str] = (),
    ) -> None:
        """Add an operation; ``{name}`` in ``path`` captures one segment, ``query`` lists its query parameters."""
        pattern = re.compile("".join(_piece(piece) for piece in re.split(r"(\{\w+\})", path)) + r"/?")
        operation = Operation(
            name, method, pattern, handler, frozenset(scopes), units, is_api, self._common_query | set(query)
        )
        self._by_method.setdefault(method, []).append(operation)

    def find(self, method: str, path: str) -> tuple[Operation, dict[str, str]] | None:
        """Return the operation for a path that is still percent-encoded, with its decoded captures."""
        for operation in self._by_method.get(method, ()):
            if match := operation.pattern.fullmatch(path):
                return operation, {key: unquote(value) for key, value in match.groupdict().items()}
        return None


def _piece(piece: str) -> str:
    return f"(?P<{piece[1:-1]}>[^/]+)" if piece.startswith("{") else re.escape(piece)
