"""A Java build compiles the contract from the folder proto/ alone, and the page's commands work as they stand there."""

import os
import re
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest

from clients.builds import CLIENTS, OUT
from tests.clients.building import built
from tools.generate.protos import CACHE, ROOT

# Maven fetches its plugins, protoc and the libraries on the first run.
pytestmark = pytest.mark.timeout(900)
REPOSITORY = CACHE / "java" / "repository"


def run(command: list[str], folder: Path, environment: dict[str, str] | None = None) -> None:
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=800, check=False
    )
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}{done.stderr}"


@pytest.fixture(scope="module")
def compiled() -> Path:
    """The folder of the contract's build, which comes before the client's."""
    built(CLIENTS["java"])
    return OUT / "java" / "contract"


def test_messages_and_stubs_are_classes_of_their_own(compiled: Path) -> None:
    contract = "".join(map(Path.read_text, ROOT.glob("proto/mailmesh/**/*.proto")))
    declared = re.findall(r"^message (\w+)", contract, re.MULTILINE)
    services = re.findall(r"^service (\w+)", contract, re.MULTILINE)
    classes = {path.name for path in (compiled / "classes" / "internal" / "mailmesh").rglob("*.class")}

    assert declared
    assert {f"{name}.class" for name in declared} <= classes
    assert {f"{name}Grpc.class" for name in services} <= classes


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
