"""The OpenAPI document is valid and describes the edge as the contract does."""

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import openapi_spec_validator
import pytest
from google.api import annotations_pb2

from mailmesh.access.v1 import access_pb2
from tests.contract.reading import door_of, methods
from tools.documents import read_yaml
from tools.generate import openapi_bounds
from tools.generate.protos import ROOT

VERBS = {"get", "post", "patch", "put", "delete"}


@cache
def document() -> Any:
    return read_yaml((ROOT / "gen" / "openapi" / "openapi.yaml").read_text())


def operations() -> Iterator[tuple[str, str, Any]]:
    for path, verbs in document()["paths"].items():
        yield from ((path, verb, operation) for verb, operation in verbs.items() if verb in VERBS)


def operation(path: str, verb: str) -> Any:
    return document()["paths"][path][verb]


def test_it_is_valid() -> None:
    openapi_spec_validator.validate(document())


def test_it_has_every_route_of_the_edge_and_no_other() -> None:
    assert sorted((verb, path) for path, verb, _ in operations()) == sorted(routes())


def routes() -> Iterator[tuple[str, str]]:
    for method in methods():
        rule = method.GetOptions().Extensions[annotations_pb2.http]
        for one in (rule, *rule.additional_bindings):
            if verb := one.WhichOneof("pattern"):
                yield verb, camel(getattr(one, verb))


def camel(path: str) -> str:
    """Return the path with its variables as JSON names."""
    return re.sub(r"_([a-z])", lambda found: found[1].upper(), path)


def test_open_routes_ask_for_no_key_and_all_others_do() -> None:
    doors = {method.name: door_of(method.containing_service) for method in methods()}
    assert document()["security"] == [{"apiKey": []}]
    for _, _, one in operations():
        is_open = doors[one["operationId"].split("_")[1]] == access_pb2.DOOR_OPEN

        assert one.get("security") == ([] if is_open else None)
        assert ("x-minimum-role" in one) == (not is_open)


def test_every_operation_can_fail_with_a_status() -> None:
    failure = document()["components"]["responses"]["Failure"]

    assert all(one["responses"]["default"] == {"$ref": "#/components/responses/Failure"} for _, _, one in operations())
    assert failure["content"] == {"application/json": {"schema": {"$ref": "#/components/schemas/Status"}}}


def test_the_stream_is_of_server_sent_events() -> None:
    assert set(operation("/v1/events:stream", "get")["responses"]["200"]["content"]) == {"text/event-stream"}


@pytest.mark.parametrize("path", ["/api/ms365/webhook", "/api/ms365/lifecycle", "/api/googlews/webhook"])
def test_a_webhook_takes_any_bytes(path: str) -> None:
    webhook = operation(path, "post")

    assert webhook["requestBody"]["content"] == {"*/*": {"schema": {"type": "string", "format": "binary"}}}
    assert [name["name"] for name in webhook.get("parameters", []) if "payload" in name["name"]] == []


def test_the_body_does_not_repeat_the_variables_of_the_path() -> None:
    update = document()["components"]["schemas"]["UpdateTenantRequest"]

    assert sorted(update["properties"]) == ["displayName", "updateMask"]


def test_operation_ids_are_unique() -> None:
    ids = [one["operationId"] for _, _, one in operations()]

    assert sorted(set(ids)) == sorted(ids)


def test_every_operation_has_a_short_summary() -> None:
    summaries = {one["operationId"]: one["summary"] for _, _, one in operations()}

    assert all(
        text and text[0].isupper() and len(text) <= 150 and not text.endswith(".") for text in summaries.values()
    )


def test_every_bound_of_the_table_is_in_the_document() -> None:
    left = [method.input_type for method in methods(access_pb2.DOOR_KEY)]
    seen = {}
    while left:
        message = left.pop()
        if message.full_name not in seen:
            seen[message.full_name] = {f"{message.name}.{field.name}" for field in message.fields}
            left += [field.message_type for field in message.fields if field.message_type is not None]

    assert set(openapi_bounds.BOUNDS) <= set().union(*seen.values())


def test_the_page_of_an_unknown_flow_is_no_refusal() -> None:
    (flow,) = operation("/auth/oauth/result", "get")["parameters"]

    assert flow["schema"] == {"type": "string"}


def test_a_body_without_a_required_field_may_be_left_out() -> None:
    required = {
        one["operationId"]: one["requestBody"]["required"] for _, _, one in operations() if "requestBody" in one
    }

    assert not required["TenantService_DisableTenant"]
    assert required["ApiKeyService_CreateApiKey"]
    assert required["DeadLetterService_RetryDeadLetters"]
