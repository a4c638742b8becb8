"""The contract's routes for tests of the gate, and the spellings of their fields."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

import httpx
from google.api import annotations_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor

from gateway.gate import STRANGERS
from mailmesh.access.v1 import access_pb2
from tests.contract.reading import methods
from tests.gateway.conftest import ADMIN_KEY, Edge, error_of

KEY = {"authorization": f"Bearer {ADMIN_KEY}"}


VERBS = ("get", "put", "post", "delete", "patch")


FREE = "google."


@dataclass(frozen=True)
class Route:
    """A route of the contract.

    Attributes:
        verb: HTTP method.
        template: Path with its variables in braces.
        body: The field that the body fills; "*" for all, empty for none.
        request: The type of the RPC's request.
    """

    verb: str
    template: str
    body: str
    request: Descriptor

    @property
    def path(self) -> str:
        path = self.template
        for name in self.variables:
            path = path.replace(f"{{{name}}}", "ms365")
        return path

    @property
    def variables(self) -> list[str]:
        return [part.partition("}")[0] for part in self.template.split("{")[1:]]

    @property
    def is_strict(self) -> bool:
        return not self.template.startswith(STRANGERS)

    async def send(self, edge: Edge, query: str = "", body: str | None = None, suffix: str = "") -> httpx.Response:
        edge.seen.calls.clear()
        content = body if body is not None or not self.body else "{}"
        path = f"{self.path}{suffix}?{query}" if query else f"{self.path}{suffix}"
        return await edge.client.request(self.verb, path, content=content, headers=KEY)


def routes() -> Iterator[Route]:
    """Read the routes from the contract itself, independently of the gate's tables."""
    for method in (*methods(access_pb2.DOOR_KEY), *methods(access_pb2.DOOR_OPEN)):
        rule = method.GetOptions().Extensions[annotations_pb2.http]
        for one in (rule, *rule.additional_bindings):
            verb = one.WhichOneof("pattern")
            if verb in VERBS:
                yield Route(verb.upper(), getattr(one, verb), one.body, method.input_type)


ROUTES = list(routes())


def spellings(field: FieldDescriptor) -> list[str]:
    """Return the names of a field in JSON and in the contract."""
    return sorted({field.name, field.json_name})


def leaves(message: Descriptor, seen: tuple[str, ...] = ()) -> Iterator[tuple[FieldDescriptor, ...]]:
    """Yield the path of each singular field that a query can set."""
    for field in message.fields:
        inner = field.message_type
        if field.is_repeated or (inner is not None and inner.full_name in seen):
            continue
        if inner is None or inner.full_name.startswith(FREE):
            yield (field,)
        else:
            for rest in leaves(inner, (*seen, inner.full_name)):
                yield (field, *rest)


def names(path: tuple[FieldDescriptor, ...]) -> list[str]:
    """Return every spelling of a path, such as "filter.tenantIds"."""
    return [".".join(parts) for parts in product(*map(spellings, path))]


def nested(parts: list[str], value: Any) -> Any:
    """Return an object that has a value at a path."""
    for part in reversed(parts):
        value = {part: value}
    return value


async def refused(edge: Edge, route: Route, name: str, **request: str) -> None:
    """Expect a refusal that names the field, before any service sees the request."""
    answer = await route.send(edge, **request)
    about = (route.verb, route.path, request, answer.text)
    assert 400 == answer.status_code, about
    assert [] == edge.seen.calls, about
    if route.template.startswith("/auth/oauth/"):
        assert answer.headers["content-type"].startswith("text/html"), about
        return
    assert (3, "FIELD_INVALID") == error_of(answer), about
    assert name == answer.json()["details"][1]["fieldViolations"][0]["field"], about
