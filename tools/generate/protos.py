"""The places of the proto files, and the call of protoc.

protoc comes from the package grpcio-tools, the files of google/api and google/rpc from googleapis-common-protos.
The latter are laid into an ignored folder, which is also buf's second module; nothing third-party is copied into
the repository.
"""

import importlib.util
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PROTO = ROOT / "proto"
CACHE = ROOT / ".cache"
THIRD_PARTY = CACHE / "proto"

# The imports of the contract, and the files that Envoy needs for error details.
THIRD_PARTY_FILES = (
    "google/api/annotations.proto",
    "google/api/field_behavior.proto",
    "google/api/http.proto",
    "google/api/httpbody.proto",
    "google/rpc/error_details.proto",
    "google/rpc/status.proto",
)


class GenerationError(Exception):
    """A generator failed; the message is its output."""


def contract_files() -> list[str]:
    """Returns the contract's proto files, relative to proto/, sorted."""
    return sorted(str(path.relative_to(PROTO)) for path in PROTO.rglob("*.proto"))


def has_service(name: str) -> bool:
    """Return whether a proto file of the contract declares a service."""
    return any(line.startswith("service ") for line in (PROTO / name).read_text().splitlines())


def lay_third_party() -> None:
    """Copies the third-party proto files into the ignored folder. Safe to call again."""
    source = _package_folder("google.rpc").parents[1]
    for name in THIRD_PARTY_FILES:
        target = THIRD_PARTY / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists() or target.read_bytes() != (source / name).read_bytes():
            # Several processes may copy at the same time while others read: a file appears as a whole or not at all.
            with tempfile.TemporaryDirectory(dir=CACHE, prefix="laying-") as folder:
                shutil.copyfile(source / name, Path(folder) / target.name).replace(target)


def protoc(arguments: Sequence[str], files: Sequence[str]) -> None:
    """Run protoc with the contract and its imports on its path.

    Args:
        arguments: The outputs and their options.
        files: Proto files, relative to one of the roots.

    Raises:
        GenerationError: protoc or one of its plugins failed.
    """
    well_known = _package_folder("grpc_tools") / "_proto"
    roots = [f"--proto_path={path}" for path in (PROTO, THIRD_PARTY, well_known)]
    run([sys.executable, "-m", "grpc_tools.protoc", *roots, *arguments, *files])


def run(command: Sequence[str], cwd: Path = ROOT, env: dict[str, str] | None = None) -> None:
    """Runs a program to its end, at most five minutes.

    Raises:
        GenerationError: It failed; the message holds what it wrote.
    """
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode != 0:
        raise GenerationError(f"{' '.join(command[:4])} ...\n{done.stdout}{done.stderr}")


def venv_program(name: str) -> str:
    """Returns the path of a program that is installed beside this Python."""
    return str(Path(sys.executable).parent / name)


def _package_folder(module: str) -> Path:
    spec = importlib.util.find_spec(module)
    if spec is None or not spec.submodule_search_locations:
        raise GenerationError(f"package {module} is not installed; run `make .venv`")
    return Path(next(iter(spec.submodule_search_locations)))
