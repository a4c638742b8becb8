"""The $filter of OData: comparisons, and, or, not, in, string functions and the lambdas any and all.

Text functions and addresses ignore case, as Exchange does; other comparisons of text do not.
"""

import operator
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from simulator.http import NotSimulatedError
from simulator.microsoft.errors import graph_error

Resolve = Callable[[str], Any]
Node = Callable[[Resolve], bool]
_TOKEN = re.compile(
    r"\s*(?:(?P<text>'(?:[^']|'')*')|(?P<time>\d{4}-\d\d-\d\d(?:T[\d:.]+(?:Z|[+-]\d\d:\d\d)?)?)(?![\w-])"
    r"|(?P<word>[\w@.$/-]+)|(?P<sign>[(),:]))",
    re.IGNORECASE,
)
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "eq": operator.eq,
    "ne": operator.ne,
    "ge": operator.ge,
    "gt": operator.gt,
    "le": operator.le,
    "lt": operator.lt,
}
_FUNCTIONS: dict[str, Callable[[str, str], bool]] = {
    "startswith": lambda text, part: text.lower().startswith(part.lower()),
    "endswith": lambda text, part: text.lower().endswith(part.lower()),
    "contains": lambda text, part: part.lower() in text.lower(),
}


def parse_time(text: str) -> datetime:
    """Read a time in any of the spellings Graph takes: offsets, and up to seven fractional digits.

    Raises:
        ValueError: It is not a time.
    """
    text = re.sub(r"(\.\d{6})\d+", r"\1", text.strip().strip("'"))
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def bad_filter(piece: str) -> Exception:
    """Return Graph's refusal of a filter."""
    message = f"The query filter contains one or more invalid nodes: {piece}"
    return graph_error(400, "ErrorInvalidUrlQueryFilter", message)


@dataclass(frozen=True, slots=True)
class Filter:
    """A filter that was read.

    Attributes:
        root: The condition; None lets everything pass.
        names: The properties in the order in which the text names them.
        bounds: (property, operator, value) of the comparisons that must all hold.
    """

    root: Node | None = None
    names: tuple[str, ...] = ()
    bounds: tuple[tuple[str, str, Any], ...] = ()

    @classmethod
    def read(cls, text: str, types: Mapping[str, type]) -> "Filter":
        """Read a $filter over properties of these types; ``datetime`` values are milliseconds since the epoch.

        Raises:
            ApiError: 400, the filter is malformed.
            NotSimulatedError: The filter uses a property or function that the simulator does not know.
        """
        if not text.strip():
            return cls()
        reader = _Reader(_tokens(text), types)
        root = reader.either()
        if reader.peek():
            raise bad_filter(reader.peek())
        return cls(root, tuple(reader.names), tuple(reader.bounds))

    def matches(self, resolve: Resolve) -> bool:
        """Return whether something passes, given how to find its properties."""
        return self.root is None or self.root(resolve)

    def bound(self, name: str, *operators: str) -> int | None:
        """Return the first bound on a property by one of these operators, or None."""
        return next((int(value) for key, sign, value in self.bounds if key == name and sign in operators), None)


def _tokens(text: str) -> Iterator[str]:
    at = 0
    text = text.rstrip()
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise bad_filter(text[at:])
        yield match[0].strip()
        at = match.end()


@dataclass(slots=True)
class _Reader:
    """Reads tokens by recursive descent; ``depth`` above zero is inside or, not or a lambda."""

    source: Iterator[str]
    types: Mapping[str, type]
    names: list[str] = field(default_factory=list)
    bounds: list[tuple[str, str, Any]] = field(default_factory=list)
    ahead: list[str] = field(default_factory=list)
    variables: list[tuple[str, str]] = field(default_factory=list)
    depth: int = 0

    def peek(self, at: int = 0) -> str:
        while len(self.ahead) <= at:
            self.ahead.append(next(self.source, ""))
        return self.ahead[at]

    def take(self, expected: str = "") -> str:
        token = self.peek()
        if not token or (expected and token.lower() != expected):
            raise bad_filter(token or "the end")
        return self.ahead.pop(0)

    def either(self) -> Node:
        kept = len(self.bounds)
        found = [self.both()]
        while self.peek().lower() == "or":
            self.take()
            found.append(self.both())
        if len(found) > 1:
            del self.bounds[kept:]
            return lambda resolve: any(node(resolve) for node in found)
        return found[0]

    def both(self) -> Node:
        found = [self.negated()]
        while self.peek().lower() == "and":
            self.take()
            found.append(self.negated())
        return (lambda resolve: all(node(resolve) for node in found)) if len(found) > 1 else found[0]

    def negated(self) -> Node:
        if self.peek().lower() != "not":
            return self.primary()
        self.take()
        kept = len(self.bounds)
        inner = self.negated()
        del self.bounds[kept:]
        return lambda resolve: not inner(resolve)

    def primary(self) -> Node:
        if self.peek() == "(":
            self.take()
            inner = self.either()
            self.take(")")
            return inner
        name = self.take()
        if self.peek() == "(":
            return self.called(name)
        return self.compared(name)

    def called(self, name: str) -> Node:
        collection, _, verb = name.rpartition("/")
        if collection and verb.lower() in {"any", "all"}:
            return self.quantified(collection, verb.lower())
        function = _FUNCTIONS.get(name.lower())
        if function is None:
            raise NotSimulatedError(f"the function {name} in $filter")
        self.take("(")
        path, _kind = self.property(self.take())
        self.take(",")
        part = self.literal(str)
        self.take(")")
        return lambda resolve: function(str(resolve(path) or ""), str(part))

    def quantified(self, collection: str, verb: str) -> Node:
        path, _kind = self.property(collection)
        self.take("(")
        if self.peek() == ")":
            self.take()
            return lambda resolve: bool(resolve(path))
        variable = self.take()
        self.take(":")
        self.variables.append((variable, path))
        kept = len(self.bounds)
        inner = self.either()
        del self.bounds[kept:]
        self.variables.pop()
        self.take(")")
        fold = any if verb == "any" else all
        return lambda resolve: fold(inner(_within(resolve, variable, item)) for item in resolve(path))

    def compared(self, name: str) -> Node:
        path, kind = self.property(name)
        sign = self.peek().lower()
        if sign == "in":
            return self.among(path, kind)
        if sign not in _COMPARE:
            if kind is bool:
                return lambda resolve: bool(resolve(path))
            raise bad_filter(f"{name} {sign}")
        self.take()
        value = self.literal(kind)
        if path in self.types:
            self.bounds.append((path, sign, value))
        compare = _COMPARE[sign]
        return lambda resolve: _compared(compare, sign, _folded(path, resolve(path)), _folded(path, value))

    def among(self, path: str, kind: type) -> Node:
        self.take()
        self.take("(")
        values = [self.literal(kind)]
        while self.peek() == ",":
            self.take()
            values.append(self.literal(kind))
        self.take(")")
        wanted = [_folded(path, value) for value in values]
        return lambda resolve: _folded(path, resolve(path)) in wanted

    def property(self, name: str) -> tuple[str, type]:
        """Return a property's path and type; one of a lambda's variable is text."""
        for variable, collection in self.variables:
            if name == variable or name.startswith(f"{variable}/"):
                full = f"{collection}{name[len(variable) :]}"
                if full != collection and full not in self.types:
                    raise NotSimulatedError(f"the property {name} in $filter")
                return name, str
        if name not in self.types:
            raise NotSimulatedError(f"the property {name} in $filter")
        self.names.append(name)
        return name, self.types[name]

    def literal(self, kind: type) -> Any:
        token = self.take()
        if token.lower() == "null":
            return None
        try:
            return _read(token, kind)
        except ValueError as error:
            raise bad_filter(token) from error


def _read(token: str, kind: type) -> Any:
    """Return a literal of a type; ValueError when it is of another."""
    is_text = token.startswith("'")
    if kind is datetime:
        return int(parse_time(token).timestamp() * 1000)
    if kind is bool:
        return {"true": True, "false": False}[token.lower()] if token.lower() in {"true", "false"} else int("x")
    if kind is int:
        return int(token)
    if not is_text:
        raise ValueError(token)
    return token[1:-1].replace("''", "'")


def _within(resolve: Resolve, variable: str, item: Any) -> Resolve:
    def inner(path: str) -> Any:
        if path == variable:
            return item
        if path.startswith(f"{variable}/"):
            return item.get(path[len(variable) + 1 :])
        return resolve(path)

    return inner


def _folded(path: str, value: Any) -> Any:
    return value.lower() if isinstance(value, str) and path.endswith("/address") else value


def _compared(compare: Callable[[Any, Any], bool], sign: str, left: Any, right: Any) -> bool:
    if left is None or right is None:
        return compare(left, right) if sign in {"eq", "ne"} else False
    return compare(left, right)
