"""Requests, lists, secrets and comments keep the contract's rules, and the event keeps its promised JSON names."""

import re

import pytest
from google.api import field_behavior_pb2
from google.protobuf.descriptor import FieldDescriptor, MethodDescriptor
from google.protobuf.json_format import MessageToDict, Parse

from mailmesh.mail.v1 import event_pb2
from tests.contract.reading import fields, methods, request_messages
from tools import contract

PAGE_SIZE = (
    "page_size is the maximum number of items to return. "
    "0 means 50; a value above 1000 is reduced to 1000; a negative value fails with INVALID_ARGUMENT."
)
# Names of fields that hold secrets. An id or a digest of a secret may be shown.
SECRET = re.compile(r"(^|_)(token|secret|password|ticket|state|code|verifier|authorization_url|private_key|api_key)$")
# These names only resemble a secret's.
NO_SECRET = {
    "page_token",
    "next_page_token",
    "validation_token",  # Graph's handshake: the sender chooses it and receives it back
    "provider_code",
}


LISTS = [method for method in methods() if method.name.startswith("List")]


def test_every_request_field_says_whether_it_is_required() -> None:
    either = {field_behavior_pb2.REQUIRED, field_behavior_pb2.OPTIONAL}
    silent = [
        field.full_name
        for message in request_messages()
        for field in fields(message)
        if len(either & set(field.GetOptions().Extensions[field_behavior_pb2.field_behavior])) != 1
    ]

    assert silent == []


@pytest.mark.parametrize("method", LISTS, ids=lambda method: method.name)
def test_a_list_is_paged_by_the_same_rules(method: MethodDescriptor) -> None:
    asked = {field.name: field for field in fields(method.input_type)}
    given = {field.name for field in fields(method.output_type)}
    comment = next(item.comment for item in contract.named() if item.name == asked["page_size"].full_name)

    assert " ".join(comment.split()) == PAGE_SIZE
    assert ("page_token" in asked and "next_page_token" in given) or ("cursor" in asked and "next_cursor" in given)


@pytest.mark.parametrize("message", sorted(event_pb2.DESCRIPTOR.message_types_by_name))
def test_no_event_message_has_a_field_that_may_hold_a_secret(message: str) -> None:
    names = [field.name for field in event_pb2.DESCRIPTOR.message_types_by_name[message].fields]

    assert [name for name in names if SECRET.search(name)] == []


def strings() -> list[FieldDescriptor]:
    everything = {
        field.full_name: field
        for method in methods()
        for message in (method.input_type, method.output_type)
        for field in fields(message)
        if field.type in (FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_BYTES)
    }
    return [field for _, field in sorted(everything.items())]


@pytest.mark.parametrize(
    "field", [field for field in strings() if SECRET.search(field.name)], ids=lambda field: field.full_name
)
def test_a_secret_is_marked_so_that_nothing_prints_it(field: FieldDescriptor) -> None:
    assert field.GetOptions().debug_redact == (field.name not in NO_SECRET)


def test_everything_is_explained_and_the_comment_begins_with_its_name() -> None:
    unexplained = [item.name for item in contract.named() if not begins_with_its_name(item)]

    assert unexplained == []


def begins_with_its_name(item: contract.Named) -> bool:
    name = item.name.rpartition(".")[2]
    reason = name.removeprefix("ERROR_REASON_")  # the catalogue's values are known without their prefix
    return re.split(r"\W", item.comment, maxsplit=1)[0] in (name, reason)


def test_the_envelope_has_the_promised_json_names() -> None:
    sample = """{
        "provider": "ms365", "tenantId": "t", "externalTenantId": "e", "userId": "u", "eventType": "mail.created",
        "messageId": "m", "receivedAt": "2026-11-21T06:00:00Z", "correlationId": "c", "raw": {"id": "m"}
    }"""
    event = Parse(sample, event_pb2.NormalizedMailEvent())

    assert MessageToDict(event) == {
        "provider": "ms365",
        "tenantId": "t",
        "externalTenantId": "e",
        "userId": "u",
        "eventType": "mail.created",
        "messageId": "m",
        "receivedAt": "2026-11-21T06:00:00Z",
        "correlationId": "c",
        "raw": {"id": "m"},
    }


def test_the_json_name_of_every_event_field_is_its_own_in_lower_camel_case() -> None:
    for message in event_pb2.DESCRIPTOR.message_types_by_name.values():
        for field in message.fields:
            head, *rest = field.name.split("_")

            assert field.json_name == head + "".join(part.title() for part in rest)
