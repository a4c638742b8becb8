"""A Java build compiles the contract from the folder proto/ alone, and the page's commands work as they stand there."""

import os
import re
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest

from tests.programs.toolchains import require
from tools.generate.protos import CACHE, ROOT

# Maven fetches its plugins, protoc and the libraries on the first run.
pytestmark = pytest.mark.timeout(900)
REPOSITORY = CACHE / "java" / "repository"
# The whole contract takes twice the time; this part imports every file of Google's that the contract imports.
PART = "mailmesh/vault/**/*.proto"
# Maven's words for a registry that does not answer or does not have an artifact: no fault of the contract.
UNREACHABLE = re.compile("Could not (transfer|find|resolve)|Unable to resolve artifact|Missing:")


def run(command: list[str], folder: Path, environment: dict[str, str] | None = None) -> None:
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=800, check=False
    )
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}{done.stderr}"


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    require("mvn", "javac")
    out = tmp_path_factory.mktemp("java")
    settings = [f"-Dmaven.repo.local={REPOSITORY}", f"-DoutputFolder={out}", f"-Dprotos={PART}"]
    try:
        run(["mvn", "--quiet", "--batch-mode", "--file", "proto", *settings, "compile"], ROOT)
    except AssertionError as fault:
        if UNREACHABLE.search(str(fault)):
            pytest.skip("Maven cannot fetch its artifacts")
        raise
    return out


def test_messages_and_stubs_are_classes_of_their_own(compiled: Path) -> None:
    package = compiled / "classes" / "internal" / "mailmesh" / "vault" / "v1"
    declared = re.findall(r"^message (\w+)", "".join(map(Path.read_text, ROOT.glob(f"proto/{PART}"))), re.MULTILINE)
    services = re.findall(r"^service (\w+)", "".join(map(Path.read_text, ROOT.glob(f"proto/{PART}"))), re.MULTILINE)

    assert {f"{name}.class" for name in declared} <= {path.name for path in package.iterdir()}
    assert {f"{name}Grpc.class" for name in services} <= {path.name for path in package.iterdir()}


def test_the_pages_commands_for_protoc_work(compiled: Path, tmp_path: Path) -> None:
    """Maven has fetched protoc, and with the runtime library the files that every protoc has in `include` beside it."""
    programs = tmp_path / "bin"
    programs.mkdir()
    (library,) = REPOSITORY.glob("com/google/protobuf/protobuf-java/*/protobuf-java-*.jar")
    with zipfile.ZipFile(library) as jar:
        jar.extractall(tmp_path / "include", [name for name in jar.namelist() if name.endswith(".proto")])
    (fetched,) = REPOSITORY.glob("com/google/protobuf/protoc/*/protoc-*.exe")
    shutil.copyfile(fetched, programs / "protoc")
    (programs / "protoc").chmod(0o755)
    page = (ROOT / "proto" / "README.md").read_text()
    (block,) = [block for block in re.findall(r"```sh\n(.*?)```", page, re.DOTALL) if "protoc " in block]
    environment = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"}
    run(["sh", "-euc", block.replace("--java_out=/tmp", f"--java_out={tmp_path}")], ROOT, environment)

    assert (tmp_path / "internal" / "mailmesh" / "mail" / "v1" / "NormalizedMailEvent.java").is_file()
