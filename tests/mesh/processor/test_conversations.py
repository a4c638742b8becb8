"""Conversations on the running mesh: enabled for a tenant, fed by its mail, changed by version."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import httpx
import pytest

from mailmesh.access.v1 import access_pb2
from mailmesh.processor.v1 import event_service_pb2 as events
from mailmesh.processor.v1 import event_service_pb2_grpc as event_services
from mailmesh.vault.v1 import api_key_service_pb2 as keys
from mailmesh.vault.v1 import api_key_service_pb2_grpc as key_services
from stack.cli.connection import CHANNEL_OPTIONS, with_key
from tests.mesh.accounts import connect, new_address, subscribe
from tests.programs.mesh import Mesh, eventually

pytestmark = pytest.mark.timeout(400)


def told(mesh: Mesh, tenant: str, channel: grpc.Channel | None = None) -> list[Any]:
    """Read the entries of the stream about a tenant's conversations."""
    chosen = events.EventFilter(tenant_ids=[tenant], event_types=["conversation.*"])
    request = events.ListEventsRequest(page_size=1000, cursor="earliest", filter=chosen)
    found = event_services.EventServiceStub(channel or mesh.channel).ListEvents(request).events
    return [event.conversation for event in found]


def test_mail_becomes_a_conversation_that_callers_change_by_its_version(mesh: Mesh) -> None:
    address = new_address(mesh, "ms365")
    tenant = connect(mesh, "ms365", address)
    subscribe(mesh, tenant)
    mesh.run("conversations", "enable", tenant, "--address", address)
    mesh.simulator.deliver(address, subject="Question", text="Where is my parcel?")
    (opened,) = eventually(lambda: told(mesh, tenant), 200, what="the conversation is opened")
    identity = opened.conversation.conversation_id
    listed = json.loads(mesh.run("conversations", "list", tenant, "--json").stdout)
    messages = json.loads(mesh.run("conversations", "messages", identity, "--json").stdout)
    solved = json.loads(mesh.run("conversations", "set-state", identity, "solved", "--version", "1", "--json").stdout)
    headers = {"authorization": f"Bearer {mesh.key}"}
    with httpx.Client(base_url=mesh.ready.http, headers=headers, timeout=60, trust_env=False) as client:
        answer = client.get(f"/v1/conversations/{identity}").json()

    assert ("conversation.opened", 1) == (opened.event_type, opened.conversation.version)
    assert [identity] == [one["conversationId"] for one in listed]
    assert ["JOIN_REASON_NEW"] == [one["joinedBy"] for one in messages]
    assert ("CONVERSATION_STATE_SOLVED", "2") == (solved["state"], solved["version"])
    assert "CONVERSATION_STATE_SOLVED" == answer["conversation"]["state"]
    request = keys.CreateApiKeyRequest(display_name="without", role=access_pb2.ROLE_READER, abilities=["mail.read"])
    secret = key_services.ApiKeyServiceStub(mesh.channel).CreateApiKey(request).secret
    with grpc.insecure_channel(mesh.ready.grpc, CHANNEL_OPTIONS) as opened_channel:
        assert [] == told(mesh, tenant, with_key(opened_channel, secret))
        assert 2 == len(told(mesh, tenant))


def test_a_timer_falls_due_although_processor_is_killed(mesh: Mesh) -> None:
    address = new_address(mesh, "ms365")
    tenant = connect(mesh, "ms365", address)
    subscribe(mesh, tenant)
    mesh.run("conversations", "enable", tenant, "--address", address)
    mesh.simulator.deliver(address, subject="Question", text="Where is my parcel?")
    (opened,) = eventually(lambda: told(mesh, tenant), 200, what="the conversation is opened")
    identity = opened.conversation.conversation_id
    at = (datetime.now(UTC) + timedelta(seconds=4)).isoformat(timespec="seconds")
    timer = json.loads(mesh.run("conversations", "timer", identity, "--name", "first", "--at", at, "--json").stdout)
    mesh.kill("processor")
    eventually(lambda: len(told(mesh, tenant)) > 1, 200, what="the timer is due")
    assigned = json.loads(mesh.run("conversations", "assign", identity, "Kim", "--version", "1", "--json").stdout)
    found = eventually(lambda: told(mesh, tenant)[2:], what="the conversation is assigned")

    assert ["first"] == [one["name"] for one in timer["timers"]]
    assert ("conversation.timer_due", "first", 1) == (
        (due := told(mesh, tenant)[1]).event_type, due.timer.name, due.conversation.version
    )  # fmt: skip
    assert "Kim" == assigned["assignee"]
    assert ["conversation.assigned"] == [one.event_type for one in found]


def test_an_answer_to_a_version_that_has_passed_sends_no_mail(mesh: Mesh) -> None:
    address, customer = new_address(mesh, "ms365"), new_address(mesh, "ms365")
    tenant = connect(mesh, "ms365", address, ["mail.read", "mail.send"])
    subscribe(mesh, tenant)
    mesh.run("conversations", "enable", tenant, "--address", address)
    mesh.simulator.deliver(address, **{"from": customer, "subject": "Question", "text": "Where is my parcel?"})
    (opened,) = eventually(lambda: told(mesh, tenant), 200, what="the conversation is opened")
    seen = ("--conversation", opened.conversation.conversation_id, "--version", "1")
    answer = ("send", "--tenant", tenant, "--reply", opened.message.message_id, *seen, "--text", "Soon.", "--json")
    sent = json.loads(mesh.run(*answer).stdout)
    refused = mesh.run(*answer)
    committed = next(one for one in told(mesh, tenant) if one.event_type == "conversation.answer_committed")
    eventually(lambda: answers(mesh, customer), 200, what="the customer has the answer")

    assert (sent["sendId"], 2) == (committed.send_id, committed.conversation.version)
    assert (1, True) == (refused.returncode, "CONVERSATION_CHANGED" in refused.stderr)
    assert 1 == answers(mesh, customer)


def answers(mesh: Mesh, address: str) -> int:
    """Count the answers in a simulated mailbox."""
    truth = mesh.simulator.call("GET", f"accounts/{address}/truth")
    return [mail["subject"].lower() for mail in truth["messages"]].count("re: question")
