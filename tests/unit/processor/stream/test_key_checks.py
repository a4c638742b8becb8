"""Checking whether a stream's key is still valid."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from mailmesh.vault.v1 import token_vault_service_pb2 as vault_pb2
from services.meshkit.clock import ManualClock
from services.meshkit.errors import MeshError, ServiceUnavailable
from services.processor.stream.errors import KeyRevoked
from services.processor.stream.key_checks import CHECK_SECONDS, TRUST_SECONDS, KeyChecks


class Vault:
    """Returns the answers that the test has set."""

    def __init__(self) -> None:
        self.failure: MeshError | None = None
        self.expires_at: datetime | None = None
        self.calls = 0

    async def CheckApiKey(self, request: Any, timeout: float) -> vault_pb2.CheckApiKeyResponse:
        self.calls += 1
        if self.failure is not None:
            raise self.failure
        answer = vault_pb2.CheckApiKeyResponse()
        if self.expires_at is not None:
            answer.expires_at.FromDatetime(self.expires_at)
        return answer


@pytest.fixture
def vault() -> Vault:
    return Vault()


@pytest.fixture
def time() -> ManualClock:
    return ManualClock()


@pytest.fixture
def keys(vault: Vault, time: ManualClock) -> KeyChecks:
    return KeyChecks(vault, time.monotonic)  # type: ignore[arg-type] # it answers the one call that is made


async def test_a_key_is_asked_about_again_when_the_answer_is_old(
    keys: KeyChecks, vault: Vault, time: ManualClock
) -> None:
    await keys.check("k")
    time.advance(CHECK_SECONDS - 1)
    await keys.check("k")
    before = vault.calls
    time.advance(1)
    await keys.check("k")

    assert (0, 1) == (before, vault.calls)


async def test_a_revoked_key_is_noticed_within_a_minute(keys: KeyChecks, vault: Vault, time: ManualClock) -> None:
    await keys.check("k")
    vault.failure = KeyRevoked()
    time.advance(CHECK_SECONDS)

    with pytest.raises(KeyRevoked):
        await keys.check("k")
    assert CHECK_SECONDS < TRUST_SECONDS < 60


async def test_a_key_that_has_expired_is_refused_without_asking(
    keys: KeyChecks, vault: Vault, time: ManualClock
) -> None:
    vault.expires_at = datetime.now(UTC) - timedelta(seconds=1)
    await keys.check("k")
    time.advance(CHECK_SECONDS)

    with pytest.raises(KeyRevoked):
        await keys.check("k")


async def test_a_vault_that_is_away_is_borne_for_a_while_and_no_longer(
    keys: KeyChecks, vault: Vault, time: ManualClock
) -> None:
    await keys.check("k")
    vault.failure = ServiceUnavailable()
    time.advance(TRUST_SECONDS - 1)
    await keys.check("k")
    time.advance(1)

    with pytest.raises(ServiceUnavailable):
        await keys.check("k")
