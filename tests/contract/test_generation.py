"""Generating from proto/ reproduces gen/ each time, and the check finds differences."""

import shutil
from pathlib import Path

import pytest
from google.protobuf import descriptor_pb2

from tests.programs.toolchains import require
from tools.check.drift import differences
from tools.generate import __main__ as generation
from tools.generate import protos

TOOLCHAINS = {
    "python": [],
    "mailmesh.binpb": [],
    "ts": ["node", str(protos.ROOT / "node_modules" / ".bin" / "protoc-gen-es")],
    "go": ["go", str(protos.CACHE / "go" / "bin" / "protoc-gen-go")],
    "openapi": ["go", str(protos.CACHE / "go" / "bin" / "protoc-gen-openapi")],
}


@pytest.mark.parametrize("part", generation.PARTS)
@pytest.mark.timeout(300)
def test_generating_again_reproduces_the_committed_files(part: str, tmp_path: Path) -> None:
    require(*TOOLCHAINS[part])

    generation.generate([part], tmp_path)
    generation.generate([part], tmp_path)

    assert differences(tmp_path, protos.ROOT / "gen", part) == []


def test_an_edited_a_missing_and_a_stray_file_are_reported(tmp_path: Path) -> None:
    committed, fresh = tmp_path / "committed", tmp_path / "fresh"
    for name in ("same.py", "edited.py", "missing.py"):
        (fresh / "python").mkdir(parents=True, exist_ok=True)
        (fresh / "python" / name).write_text("x = 1\n")
    shutil.copytree(fresh, committed)
    (committed / "python" / "edited.py").write_text("x = 2\n")
    (committed / "python" / "missing.py").unlink()
    (committed / "python" / "stray.py").write_text("")

    assert differences(fresh, committed, "python") == [
        "gen/python/edited.py: differs",
        "gen/python/missing.py: is missing",
        "gen/python/stray.py: has no generator any more",
    ]


def test_generation_removes_what_the_contract_no_longer_has(tmp_path: Path) -> None:
    stray = tmp_path / "python" / "mailmesh" / "gone" / "v1" / "gone_pb2.py"
    stray.parent.mkdir(parents=True)
    stray.write_text("")

    generation.generate(["python"], tmp_path)

    assert not stray.exists()


def test_the_descriptor_set_has_imports_comments_and_error_details() -> None:
    committed = (protos.ROOT / "gen" / "mailmesh.binpb").read_bytes()
    files = {file.name: file for file in descriptor_pb2.FileDescriptorSet.FromString(committed).file}

    assert set(protos.contract_files()) <= set(files)
    assert "google/rpc/error_details.proto" in files
    assert {dependency for file in files.values() for dependency in file.dependency} <= set(files)
    assert files["mailmesh/mail/v1/event.proto"].source_code_info.location


def test_an_absent_toolchain_is_said_and_leaves_the_part_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setenv("PATH", "")

    assert generation.generate(["ts"], tmp_path) == ["ts"]
    assert capsys.readouterr().err == "skipped gen/ts: `node` is not installed\n"
    assert list(tmp_path.iterdir()) == []


def test_in_ci_an_absent_toolchain_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    monkeypatch.setenv("PATH", "")

    with pytest.raises(protos.GenerationError, match="gen/go needs `go`"):
        generation.generate(["go"], tmp_path)
