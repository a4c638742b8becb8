"""The check finds a change that would break users of the last release before it is released."""

import shutil
from pathlib import Path

import pytest

from tests.programs.toolchains import require
from tools.check import contract
from tools.check.outcome import CheckError
from tools.generate import protos


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """Return a copy of the contract, as new as the last release or newer, to be broken."""
    require("node", str(contract.BUF))
    protos.lay_third_party()
    shutil.copy(protos.ROOT / "buf.yaml", tmp_path)
    shutil.copytree(protos.PROTO, tmp_path / "proto")
    shutil.copytree(protos.THIRD_PARTY, tmp_path / ".cache" / "proto")
    return tmp_path


def spoil(workspace: Path, name: str, old: str, new: str) -> None:
    path = workspace / "proto" / "mailmesh" / name
    text = path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))


def test_the_current_contract_breaks_no_user(workspace: Path) -> None:
    contract.compare(workspace, contract.last_release())


def test_a_new_field_breaks_no_user(workspace: Path) -> None:
    old = "  EventSource source = 24;\n"
    spoil(workspace, "mail/v1/event.proto", old, f"{old}  // weight is new.\n  int32 weight = 1000;\n")

    contract.compare(workspace, contract.last_release())


def test_a_renamed_field_is_caught(workspace: Path) -> None:
    spoil(workspace, "mail/v1/event.proto", "string external_tenant_id = 4;", "string directory_id = 4;")

    with pytest.raises(CheckError, match='changed name from "external_tenant_id" to "directory_id"'):
        contract.compare(workspace, contract.last_release())


def test_a_reused_number_is_caught(workspace: Path) -> None:
    spoil(workspace, "mail/v1/event.proto", "string correlation_id = 9;", "int64 attempt = 9;")

    with pytest.raises(CheckError, match=r'Field "9" with name "attempt".* changed type from "string" to "int64"'):
        contract.compare(workspace, contract.last_release())


def test_a_removed_rpc_is_caught(workspace: Path) -> None:
    path = workspace / "proto" / "mailmesh" / "vault" / "v1" / "audit_service.proto"
    text = path.read_text()
    start = text.index("  rpc ListAuditEntries")
    path.write_text(text[:start] + text[text.index("\n  }\n", start) + 5 :])

    with pytest.raises(CheckError, match="ListAuditEntries"):
        contract.compare(workspace, contract.last_release())


def test_lint_catches_a_field_without_a_comment(workspace: Path) -> None:
    old = "  EventSource source = 24;\n"
    spoil(workspace, "mail/v1/event.proto", old, f"{old}  int32 weight = 1000;\n")

    with pytest.raises(CheckError, match='Field "weight" should have a non-empty comment'):
        contract.buf(["lint"], workspace)
