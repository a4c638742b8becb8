"""A missing ability is explained in TokenVault's words, and in Processor's when TokenVault has none."""

from typing import Any

import pytest

from mailmesh.vault.v1 import token_vault_service_pb2 as vault_pb2
from services.meshkit.errors import FailedPrecondition, MeshError, NotFound, Unavailable
from services.processor.errors import AbilityNotGranted
from services.processor.servicers.grants import GrantExplainer

TENANT = "019a9f0e-7c1e-7000-8000-000000000002"
WORDS = "An administrator first grants it."
COMMAND = "mailmesh directories connect d m --ability mail.send"
METADATA = {"ability": "mail.send", "tenant_id": TENANT, "command": COMMAND}


class Vault:
    """TokenVault, which answers with a failure or lends a token."""

    def __init__(self, failure: MeshError | None) -> None:
        self.failure = failure
        self.asked: list[tuple[str, str]] = []

    async def IssueToken(self, request: vault_pb2.IssueTokenRequest, timeout: float) -> Any:
        assert 0 < timeout <= 10
        self.asked.append((request.tenant_id, request.ability))
        if self.failure is not None:
            raise self.failure
        return vault_pb2.IssueTokenResponse()


def ours() -> AbilityNotGranted:
    metadata = {"ability": "mail.send", "tenant_id": TENANT, "command": "mailmesh connect ms365"}
    return AbilityNotGranted("Connect its account again.", subject=TENANT, metadata=metadata)


async def explained(error: MeshError, vault: Vault) -> MeshError:
    return await GrantExplainer(vault).explain(error)  # type: ignore[arg-type]


async def test_the_remedy_is_token_vaults() -> None:
    refusal = FailedPrecondition(WORDS, subject=TENANT, reason="ABILITY_NOT_GRANTED", metadata=METADATA, is_remote=True)
    vault = Vault(refusal)

    found = await explained(ours(), vault)

    assert [(TENANT, "mail.send")] == vault.asked
    assert (WORDS, METADATA, "ABILITY_NOT_GRANTED") == (found.message, found.metadata, found.reason)
    assert isinstance(found, FailedPrecondition)
    assert [TENANT] == [violation.subject for violation in found.violations]


async def test_a_repeated_refusal_asks_once_for_each_ability() -> None:
    """TokenVault writes an audit entry each time."""
    refusal = FailedPrecondition(WORDS, subject=TENANT, reason="ABILITY_NOT_GRANTED", metadata=METADATA, is_remote=True)
    vault = Vault(refusal)
    explainer = GrantExplainer(vault)  # type: ignore[arg-type]
    other = AbilityNotGranted(subject=TENANT, metadata={"ability": "mail.mark", "tenant_id": TENANT})

    found = [await explainer.explain(error) for error in (ours(), ours(), other, ours())]

    assert [(TENANT, "mail.send"), (TENANT, "mail.mark")] == vault.asked
    assert {WORDS} == {error.message for error in found}


@pytest.mark.parametrize("failure", [None, Unavailable(reason="UNAVAILABLE"), NotFound(reason="TENANT_NOT_FOUND")])
async def test_without_one_the_failure_stays(failure: MeshError | None) -> None:
    error = ours()

    assert await explained(error, Vault(failure)) is error


@pytest.mark.parametrize(
    "error",
    [
        NotFound(reason="TENANT_NOT_FOUND", metadata=METADATA),
        FailedPrecondition(reason="ABILITY_NOT_GRANTED", metadata=METADATA, is_remote=True),
        FailedPrecondition(reason="ABILITY_NOT_GRANTED", metadata={"ability": "mail.send"}),
        FailedPrecondition(reason="ABILITY_NOT_GRANTED", metadata={"tenant_id": TENANT}),
    ],
)
async def test_other_failures_are_not_asked_for(error: MeshError) -> None:
    vault = Vault(None)

    assert await explained(error, vault) is error
    assert [] == vault.asked
