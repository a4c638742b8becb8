"""Sealing on the running mesh: the words of a sealed tenant are in no file, and reach its readers as before."""

import json
from dataclasses import dataclass
from typing import Any

import pytest

from mailmesh.processor.v1 import sealing_service_pb2 as messages
from mailmesh.processor.v1 import sealing_service_pb2_grpc as services
from tests.mesh.accounts import PROVIDERS, connect, created_events, in_a_week, new_address, subscribe
from tests.mesh.test_erasure import expect_forgotten, files_with
from tests.programs.mesh import Mesh, eventually

pytestmark = pytest.mark.timeout(500)


@dataclass(frozen=True)
class Choice:
    """A tenant that has chosen sealing after its first mail.

    Attributes:
        address: Its account.
        tenant: Its id.
        word: The word in the first mail.
        plain: The files that had the word before the choice.
        enabled: The answer to the choice.
    """

    address: str
    tenant: str
    word: str
    plain: list[str]
    enabled: dict[str, Any]


@pytest.fixture(scope="module")
def choices(mesh: Mesh) -> dict[str, Choice]:
    """A tenant of each provider: sealing begins a minute after the choice, so both wait in the same minute."""
    return {provider: _choice(mesh, provider) for provider in PROVIDERS}


def _choice(mesh: Mesh, provider: str) -> Choice:
    address, word = new_address(mesh, provider), f"marmalade{provider}"
    tenant = connect(mesh, provider, address, ["mail.read", "mail.send"])
    subscribe(mesh, tenant)
    mesh.simulator.deliver(address, subject=f"Subject {word}", text=f"Text {word}")
    eventually(lambda: f"Subject {word}" in texts(mesh, tenant), what="the first mail is an event")
    return Choice(address, tenant, word, files_with(mesh, [word.encode()]), sealing(mesh, "enable", tenant))


def sealing(mesh: Mesh, verb: str, tenant: str) -> dict[str, Any]:
    """Run the command; return its answer."""
    done = mesh.run("sealing", verb, tenant, "--json")
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def is_sealed(mesh: Mesh, tenant: str) -> bool:
    """Return whether the stored mail of a tenant is sealed."""
    asked = messages.GetSealingSettingsRequest(tenant_id=tenant)
    return not services.SealingServiceStub(mesh.channel).GetSealingSettings(asked).state.is_sealing_stored


def texts(mesh: Mesh, tenant: str) -> list[str]:
    return [event.mail.message.subject for event in created_events(mesh, tenant)]


@pytest.mark.parametrize("provider", PROVIDERS)
def test_words_of_a_sealed_tenant_are_in_no_file_and_reach_its_readers(
    mesh: Mesh, choices: dict[str, Choice], provider: str
) -> None:
    chosen = choices[provider]
    address, tenant, before = chosen.address, chosen.tenant, chosen.word
    after, sent = (f"{word}{provider}" for word in ("quicksilver", "zeppelin"))
    refused = mesh.run("search-settings", "enable", tenant)

    # Once the stored mail is sealed, so is everything since: the pass begins a minute after the choice.
    eventually(lambda: is_sealed(mesh, tenant), 200, what="the stored mail is sealed")
    state = sealing(mesh, "get", tenant)["state"]
    mesh.simulator.deliver(address, subject=f"Subject {after}", text=f"Text {after}")
    words = ("--to", f"{sent}@example.test", "--subject", f"Sent {sent}", "--text", f"Mail {sent}")
    done = mesh.run("send", "--tenant", tenant, *words, "--at", in_a_week())
    assert done.returncode == 0, done.stderr
    eventually(lambda: f"Subject {after}" in texts(mesh, tenant), what="the second mail is an event")
    exported = mesh.run("tenants", "export", tenant, "--to", str(mesh.data.parent / f"{tenant}.jsonl"))
    written = (mesh.data.parent / f"{tenant}.jsonl").read_text()
    expect_forgotten(mesh, [word.encode() for word in (before, after, sent)])
    disabled = sealing(mesh, "disable", tenant)

    assert any(name.startswith("postgres/") for name in chosen.plain)
    assert (True, True) == (chosen.enabled["settings"]["isEnabled"], chosen.enabled["state"]["isSealingStored"])
    assert not state.get("isSealingStored")
    assert int(state["sealedRows"]) >= 1
    assert (6, True) == (refused.returncode, "SEALING_EXCLUDES_SEARCH" in refused.stderr)
    assert 0 == exported.returncode, exported.stderr
    assert all(word in written for word in (f"Text {before}", f"Text {after}", f"Mail {sent}"))
    assert [f"Subject {before}", f"Subject {after}"] == texts(mesh, tenant)
    assert not disabled["settings"].get("isEnabled")
