"""Bodies that are no JSON-RPC message get an answer of the door's own, which repeats nothing and names no library."""

import json

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.agents.bodies import NOT_A_MESSAGE, NOT_JSON
from tests.wire.agents.conftest import HOST, RunningDoor, StartDoor

VERSIONS = ("2025-06-18", "2025-11-25", "2026-07-28")
CANARY = "canary-7391"


async def posted(door: RunningDoor, body: bytes, version: str) -> httpx.Response:
    headers = {
        "accept": "application/json, text/event-stream",
        "content-type": "application/json",
        "mcp-protocol-version": version,
        "x-mailmesh-key-id": "key",
    }
    return await door.client.post(f"{door.url}/mcp", content=body, headers=headers, extensions={"sni_hostname": HOST})


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("body", "code", "text"),
    [
        (f"{{{CANARY}", -32700, NOT_JSON),
        ("", -32700, NOT_JSON),
        ("\ud83d".encode("utf-8", "surrogatepass"), -32700, NOT_JSON),
        ("[" * 5000, -32700, NOT_JSON),
        ("1" * 5000, -32700, NOT_JSON),
        ("null", -32600, NOT_A_MESSAGE),
        (f'"{CANARY}"', -32600, NOT_A_MESSAGE),
        (json.dumps({"jsonrpc": "1.0", "id": 1, "method": CANARY}), -32600, NOT_A_MESSAGE),
        (json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": CANARY}), -32600, NOT_A_MESSAGE),
        (json.dumps([{"jsonrpc": "2.0", "id": 1, "method": "tools/list"}]), -32600, NOT_A_MESSAGE),
    ],
)
async def test_a_body_that_is_no_message_is_refused_in_our_own_words(
    start_door: StartDoor, version: str, body: str | bytes, code: int, text: str
) -> None:
    door = await start_door()
    answer = await posted(door, body if isinstance(body, bytes) else body.encode(), version)

    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == {"jsonrpc": "2.0", "id": None, "error": {"code": code, "message": text}}


async def test_a_body_beyond_the_bound_is_refused_and_the_door_serves_on(start_door: StartDoor) -> None:
    door = await start_door()
    large = await posted(door, b" " * (1024 * 1024 + 1), VERSIONS[0])
    door.tenants.released.set()

    assert large.status_code == 413
    assert large.json()["error"]["message"] == "The body is larger than 1048576 bytes."
    assert not (await door.call("key"))["isError"]


async def test_no_answer_names_a_library_or_repeats_the_body(start_door: StartDoor) -> None:
    door = await start_door()

    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.just(CANARY),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(
                    st.sampled_from(["jsonrpc", "id", "method", "params", "name", CANARY]), inner, max_size=4
                )
            ),
            max_leaves=8,
        )
    )
    def bodies(content: object) -> None:
        made.append(json.dumps(content).encode())

    made: list[bytes] = []
    bodies()
    for body in made:
        answer = await posted(door, body, VERSIONS[len(body) % len(VERSIONS)])
        assert answer.status_code < 500, body
        assert "pydantic" not in answer.text.lower(), body
        assert CANARY not in answer.text, body
