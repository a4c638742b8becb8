"""Agents use the mesh through /mcp with the SDK's own client, in both eras of the protocol."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from tests.mesh.accounts import connect, created_events, new_address, subscribe
from tests.programs.mesh import Mesh, eventually

ACTING = {"mark_messages", "send_mail", "send_reply", "get_send"}
READING = {
    "explain_account",
    "get_event",
    "get_message",
    "list_accounts",
    "list_dead_letters",
    "list_events",
    "search_mail",
    "search_messages",
}
# The first discovers the newest version; the second shakes hands as of 2025.
pytestmark = [pytest.mark.parametrize("mode", ["auto", "legacy"]), pytest.mark.timeout(300)]


@asynccontextmanager
async def agent(mesh: Mesh, key: str, mode: Any) -> AsyncIterator[Client]:
    """Connect an agent with a key."""
    headers = {"authorization": f"Bearer {key}"}
    async with (
        httpx2.AsyncClient(headers=headers, timeout=60) as http,
        Client(streamable_http_client(f"{mesh.ready.http}/mcp", http_client=http), mode=mode) as client,
    ):
        yield client


def key_of(mesh: Mesh, *options: str) -> str:
    """Make an API key."""
    made = mesh.run("keys", "create", "agent", *options, "--json")
    assert made.returncode == 0, made.stderr
    return str(json.loads(made.stdout)["secret"])


@pytest.fixture(scope="module")
def reader(mesh: Mesh) -> str:
    return key_of(mesh, "--role", "reader")


@pytest.fixture(scope="module")
def account(mesh: Mesh) -> tuple[str, str, str]:
    """An account with one mail: tenant, address, message id."""
    address = new_address(mesh, "ms365")
    tenant = connect(mesh, "ms365", address, ["mail.read", "mail.send"])
    subscribe(mesh, tenant)
    mesh.simulator.generate(address, 1)
    (event,) = eventually(lambda: created_events(mesh, tenant), what="the mail")
    return tenant, address, event.mail.message_id


async def test_a_reader_finds_reading_tools_only(mesh: Mesh, reader: str, mode: str) -> None:
    async with agent(mesh, reader, mode) as client:
        listed = (await client.list_tools()).tools

    assert READING == {tool.name for tool in listed}
    assert all(tool.annotations and tool.annotations.read_only_hint for tool in listed)


async def test_mail_is_read_as_untrusted_text(
    mesh: Mesh, reader: str, account: tuple[str, str, str], mode: str
) -> None:
    tenant, _, message = account
    async with agent(mesh, reader, mode) as client:
        events = await client.call_tool("list_events", {"tenant_id": tenant, "event_types": ["mail.created"]})
        mail = await client.call_tool("get_message", {"tenant_id": tenant, "message_id": message})

    assert not events.is_error
    assert [event["mail"]["eventType"] for event in events.structured_content["events"]] == ["mail.created"]
    assert set(mail.structured_content["message"]) == {"untrusted"}
    assert "html" not in mail.structured_content["message"]["untrusted"].get("body", {})


async def test_unknown_arguments_and_tools_are_refused(
    mesh: Mesh, reader: str, account: tuple[str, str, str], mode: str
) -> None:
    async with agent(mesh, reader, mode) as client:
        unknown = await client.call_tool("list_events", {"tenant_id": account[0], "secret": "x"})
        absent = await client.call_tool("send_mail", {"tenant_id": account[0]})
        elsewhere = await client.call_tool("explain_account", {"tenant_id": "018f0000-0000-7000-8000-000000000000"})

    assert (unknown.is_error, unknown.content[0].text) == (True, "arguments: has an unknown argument")
    assert (absent.is_error, absent.content[0].text) == (True, "there is no such tool for this API key")
    assert elsewhere.is_error
    assert elsewhere.content[0].text.startswith("TENANT_NOT_FOUND")


async def test_a_mail_is_sent_only_with_the_confirmation_of_its_arguments(
    mesh: Mesh, account: tuple[str, str, str], mode: str
) -> None:
    tenant, address, _ = account
    key = key_of(mesh, "--role", "operator", "--ability", "mail.read", "--ability", "mail.send")
    mail = {
        "tenant_id": tenant,
        "idempotency_key": f"agent-{mode}",
        "to": [{"address": address}],
        "subject": "Hello",
        "text": "From an agent.",
    }
    async with agent(mesh, key, mode) as client:
        names = {tool.name for tool in (await client.list_tools()).tools}
        asked = await client.call_tool("send_mail", mail)
        confirmation = asked.structured_content["confirmation"]
        other = await client.call_tool("send_mail", mail | {"subject": "Bye", "confirmation": confirmation})
        sent = await client.call_tool("send_mail", mail | {"confirmation": confirmation})
        again = await client.call_tool("send_mail", mail | {"confirmation": confirmation})

    assert names == READING | {"send_mail", "send_reply", "get_send"}
    assert other.is_error
    assert other.content[0].text.startswith("CONFIRMATION_INVALID")
    assert sent.structured_content["send"]["untrusted"]["subject"] == "Hello"
    assert again.structured_content["wasKnown"] is True
    assert again.structured_content["send"]["sendId"] == sent.structured_content["send"]["sendId"]


async def test_a_confirmation_serves_no_other_key(mesh: Mesh, account: tuple[str, str, str], mode: str) -> None:
    options = ("--role", "operator", "--ability", "mail.read", "--ability", "mail.mark")
    change = {
        "tenant_id": account[0],
        "idempotency_key": f"mark-{mode}",
        "message_ids": [account[2]],
        "change": {"is_read": True},
    }
    async with agent(mesh, key_of(mesh, *options), mode) as one, agent(mesh, key_of(mesh, *options), mode) as two:
        asked = await one.call_tool("mark_messages", change)
        stolen = change | {"confirmation": asked.structured_content["confirmation"]}
        refused = await two.call_tool("mark_messages", stolen)

    assert refused.content[0].text.startswith("CONFIRMATION_INVALID")


async def test_strangers_foreign_pages_and_other_methods_are_refused(mesh: Mesh, reader: str, mode: str) -> None:
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}
    known = {"authorization": f"Bearer {reader}", "accept": "application/json, text/event-stream"}
    async with httpx.AsyncClient(base_url=mesh.ready.http, timeout=60) as http:
        stranger = await http.post("/mcp", json=body)
        foreign = await http.post("/mcp", json=body, headers=known | {"origin": "https://evil.example"})
        stream = await http.get("/mcp", headers=known)
        large = await http.post("/mcp", content=b" " * (1024 * 1024 + 1), headers=known)
        metadata = await http.get("/.well-known/oauth-protected-resource/mcp")

    assert (stranger.status_code, stranger.headers["www-authenticate"]) == (401, "Bearer")
    assert stranger.json()["details"][0]["reason"] == "API_KEY_INVALID"
    assert foreign.status_code == 403
    assert (stream.status_code, stream.headers["allow"]) == (405, "POST")
    assert large.status_code == 413
    assert (metadata.status_code, metadata.json()["details"][0]["reason"]) == (404, "AGENT_SIGN_IN_NOT_OFFERED")
