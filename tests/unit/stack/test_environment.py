"""The environment of each program, and the values that it does not get."""

import pytest

from stack.environment import inherited

OURS = {
    "DATABASE_URL": "postgresql://admin:secret@db/mail",
    "MAILMESH_API_KEY": "mm_secret",
    "MAILMESH_LOG_LEVEL": "debug",
    "MAILMESH_VAULT_KEYS": "1:secret",
    "MAILMESH_MS365_CLIENT_ID": "id",
    "MAILMESH_MS365_CLIENT_SECRET": "secret",
    "SSH_AUTH_SOCK": "agent",
}


@pytest.mark.parametrize("service", ["ingest", "processor", ""])
def test_only_token_vault_is_told_what_opens_credentials(service: str) -> None:
    assert inherited(OURS, service) == {"MAILMESH_LOG_LEVEL": "debug", "MAILMESH_MS365_CLIENT_ID": "id"}


@pytest.mark.parametrize("name", ["MAILMESH_GOOGLEWS_PUBSUB_KEY", "GOOGLE_APPLICATION_CREDENTIALS"])
def test_only_ingest_is_told_what_pulls_from_pubsub(name: str) -> None:
    services = ("token_vault", "ingest", "processor", "delivery", "workflows", "")
    assert [service for service in services if name in inherited({name: "secret"}, service)] == ["ingest"]


@pytest.mark.parametrize("name", ["GCE_METADATA_HOST", "GCE_METADATA_IP"])
def test_only_token_vault_is_told_where_the_platforms_identity_is(name: str) -> None:
    services = ("token_vault", "ingest", "processor", "delivery", "workflows", "")
    assert [service for service in services if name in inherited({name: "127.0.0.1"}, service)] == ["token_vault"]


def test_token_vault_is_told_its_keys_and_client_secrets() -> None:
    assert inherited(OURS, "token_vault") == {
        "MAILMESH_LOG_LEVEL": "debug",
        "MAILMESH_VAULT_KEYS": "1:secret",
        "MAILMESH_MS365_CLIENT_ID": "id",
        "MAILMESH_MS365_CLIENT_SECRET": "secret",
    }
