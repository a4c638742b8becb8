"""Envoy, run for real."""

import json
from pathlib import Path

import httpx

from gateway.names import ADMIN_SOCKET
from stack.ports import free_port
from tests.programs.envoy import StartEnvoy

EXTENSIONS = "type.googleapis.com/envoy.extensions.filters"


def configuration(port: int, admin: Path) -> str:
    """Returns an Envoy that answers every request itself."""

    def at(number: int) -> dict[str, object]:
        return {"socket_address": {"address": "127.0.0.1", "port_value": number}}

    answer = {"match": {"prefix": "/"}, "direct_response": {"status": 200, "body": {"inline_string": "here"}}}
    manager = {
        "@type": f"{EXTENSIONS}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "test",
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [answer]}]},
        "http_filters": [
            {
                "name": "router",
                "typed_config": {"@type": f"{EXTENSIONS}.http.router.v3.Router"},
            }
        ],
    }
    chain = {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
    listener = {"name": "edge", "address": at(port), "filter_chains": [chain]}
    return json.dumps(
        {
            "admin": {"address": {"pipe": {"path": str(admin), "mode": 0o600}}},
            "static_resources": {"listeners": [listener]},
        }
    )


async def test_envoy_serves_the_configuration_it_was_given(start_envoy: StartEnvoy, tmp_path: Path) -> None:
    port = free_port()
    start_envoy(configuration(port, tmp_path / "edge-0" / ADMIN_SOCKET))

    async with httpx.AsyncClient() as client:
        answer = await client.get(f"http://127.0.0.1:{port}/")

    assert answer.text == "here"
