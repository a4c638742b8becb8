"""Sealing on the running mesh: the words of a sealed tenant are in no file, and reach its readers as before."""

import json
from typing import Any

import pytest

from tests.mesh.accounts import connect, created_events, in_a_week, new_address, subscribe
from tests.mesh.test_erasure import expect_forgotten, files_with
from tests.programs.mesh import Mesh, eventually

pytestmark = pytest.mark.timeout(500)


def sealing(mesh: Mesh, verb: str, tenant: str) -> dict[str, Any]:
    """Run the command; return its answer."""
    done = mesh.run("sealing", verb, tenant, "--json")
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def texts(mesh: Mesh, tenant: str) -> list[str]:
    return [event.mail.message.subject for event in created_events(mesh, tenant)]


@pytest.mark.parametrize("provider", ["ms365", "googlews"])
def test_words_of_a_sealed_tenant_are_in_no_file_and_reach_its_readers(mesh: Mesh, provider: str) -> None:
    address = new_address(mesh, provider)
    tenant = connect(mesh, provider, address, ["mail.read", "mail.send"])
    subscribe(mesh, tenant)
    before, after, sent = (f"{word}{provider}" for word in ("marmalade", "quicksilver", "zeppelin"))
    mesh.simulator.deliver(address, subject=f"Subject {before}", text=f"Text {before}")
    eventually(lambda: f"Subject {before}" in texts(mesh, tenant), what="the first mail is an event")
    plain = files_with(mesh, [before.encode()])
    enabled = sealing(mesh, "enable", tenant)
    refused = mesh.run("search-settings", "enable", tenant)

    # Once the stored mail is sealed, so is everything since: the pass begins a minute after the choice.
    state = eventually(
        lambda: (found := sealing(mesh, "get", tenant)["state"]) and not found.get("isSealingStored") and found,
        200,
        what="the stored mail is sealed",
    )
    mesh.simulator.deliver(address, subject=f"Subject {after}", text=f"Text {after}")
    words = ("--to", f"{sent}@example.test", "--subject", f"Sent {sent}", "--text", f"Mail {sent}")
    done = mesh.run("send", "--tenant", tenant, *words, "--at", in_a_week())
    assert done.returncode == 0, done.stderr
    eventually(lambda: f"Subject {after}" in texts(mesh, tenant), what="the second mail is an event")
    exported = mesh.run("tenants", "export", tenant, "--to", str(mesh.data.parent / f"{tenant}.jsonl"))
    written = (mesh.data.parent / f"{tenant}.jsonl").read_text()
    expect_forgotten(mesh, [word.encode() for word in (before, after, sent)])
    disabled = sealing(mesh, "disable", tenant)

    assert any(name.startswith("postgres/") for name in plain)
    assert (True, True) == (enabled["settings"]["isEnabled"], enabled["state"]["isSealingStored"])
    assert int(state["sealedRows"]) >= 1
    assert (6, True) == (refused.returncode, "SEALING_EXCLUDES_SEARCH" in refused.stderr)
    assert 0 == exported.returncode, exported.stderr
    assert all(word in written for word in (f"Text {before}", f"Text {after}", f"Mail {sent}"))
    assert [f"Subject {before}", f"Subject {after}"] == texts(mesh, tenant)
    assert not disabled["settings"].get("isEnabled")
