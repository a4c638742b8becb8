"""The door sends callers' keys to the edge: never in plain text beyond this machine."""

from pathlib import Path

import pytest

from services.agents.settings import AgentsSettings
from services.meshkit.settings import SettingsError, load

FILES = {name: Path("x.pem") for name in ("tls_cert", "tls_key", "tls_ca")}


@pytest.mark.parametrize(
    "edge",
    ["http://edge:8080", "http://192.0.2.1", "http://127.0.0.1@192.0.2.1", "http://localhost.example", "http://[::]"],
)
def test_plain_http_beyond_loopback_is_refused_at_the_start(edge: str) -> None:
    with pytest.raises(SettingsError, match=r"MAILMESH_AGENTS_EDGE.*https://"):
        load(AgentsSettings, edge=edge, **FILES)


@pytest.mark.parametrize(
    "edge", ["http://127.0.0.1:8080", "http://127.8.0.1", "http://localhost:80", "http://[::1]:80", "https://edge:443"]
)
def test_loopback_and_tls_are_taken(edge: str) -> None:
    assert load(AgentsSettings, edge=edge, **FILES).edge == edge
