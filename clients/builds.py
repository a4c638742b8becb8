"""Builds the clients as packages, and their conformance programs on top of the built packages.

`python -m clients.builds` writes the packages to .cache/clients/NAME/package. A build is repeated only when its sources
change.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / ".cache" / "clients"
BUILD_SECONDS = 600
_STAMP = ".sources"
_MADE = frozenset({"__pycache__", "target", "Cargo.lock"})
"""Names of what builds leave beside the sources."""


class BuildError(Exception):
    """A build failed; the message is its output."""


@dataclass(frozen=True)
class Program:
    """A conformance program, built: its command and further variables of its environment."""

    command: tuple[str, ...]
    environment: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Client:
    """A client and its toolchain.

    Attributes:
        name: Its folder below clients/.
        programs: The programs that building needs.
        sources: The folders and files that a build depends on.
        make: Builds package and program into an empty folder.
        program: The built program, by the folder.
        manners: The client's ways of calling, each a run of the suite: the argument of the program.
    """

    name: str
    programs: tuple[str, ...]
    sources: tuple[str, ...]
    make: Callable[[Path], None]
    program: Callable[[Path], Program]
    manners: tuple[str, ...] = ()

    @property
    def runs(self) -> list[str]:
        """The names of the runs of the suite: one, or one for each manner."""
        return [f"{self.name}/{manner}" for manner in self.manners] or [self.name]

    @property
    def absent(self) -> list[str]:
        """The programs that this machine lacks."""
        return [name for name in self.programs if not shutil.which(name)]

    def build(self) -> Program:
        """Return the built program; build it first if its sources changed. Safe to call again, and from many processes.

        Raises:
            BuildError: The build failed.
        """
        folder, digest = OUT / self.name, _digest(self.sources)
        with _alone(self.name):
            if not (folder / _STAMP).exists() or (folder / _STAMP).read_text() != digest:
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir(parents=True)
                self.make(folder)
                (folder / _STAMP).write_text(digest)
        return self.program(folder)


def _digest(sources: Sequence[str]) -> str:
    digest = hashlib.sha256()
    for path in sorted(path for source in sources for path in _files(ROOT / source)):
        digest.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def _files(source: Path) -> Iterator[Path]:
    if source.is_file():
        yield source
        return
    for path in source.rglob("*"):
        if path.is_file() and _MADE.isdisjoint(path.parts):
            yield path


@contextmanager
def _alone(name: str) -> Iterator[None]:
    """Keep other processes from the same build."""
    OUT.mkdir(parents=True, exist_ok=True)
    with (OUT / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _run(command: Sequence[str | Path], folder: Path = ROOT, **environment: str) -> None:
    done = subprocess.run(  # noqa: S603 - the pinned tools
        list(map(str, command)),
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=BUILD_SECONDS,
        check=False,
    )
    if done.returncode:
        raise BuildError(f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}")


def _make_python(folder: Path) -> None:
    hatchling = Path(sys.executable).with_name("hatchling")
    _run([hatchling, "build", "--target", "wheel", "--directory", folder / "package"], ROOT / "clients" / "python")
    (wheel,) = (folder / "package").glob("*.whl")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--no-index"]
    _run([*pip, "--target", folder / "installed", wheel])


def _python(folder: Path) -> Program:
    command = (sys.executable, "-I", str(ROOT / "clients" / "python" / "conformance.py"), str(folder / "installed"))
    return Program(command)


def _make_ts(folder: Path) -> None:
    """Pack the compiled client, unpack it where a consumer has it, and compile the program against it."""
    client, tsc = ROOT / "clients" / "ts", ROOT / "node_modules" / ".bin" / "tsc"
    stage, package, consumer = folder / "stage", folder / "package", folder / "consumer"
    _run([tsc, "--project", client, "--outDir", stage / "dist"])
    for name in ("package.json", "README.md"):
        shutil.copyfile(client / name, stage / name)
    package.mkdir()
    _run(["npm", "pack", "--silent", "--ignore-scripts", "--pack-destination", package], stage)
    modules = consumer / "node_modules"
    (modules / "mailmesh-client").mkdir(parents=True)
    (tarball,) = package.glob("*.tgz")
    _run(["tar", "--extract", "--file", tarball, "--strip-components", "1", "--directory", modules / "mailmesh-client"])
    for name in ("@bufbuild", "@connectrpc", "@types", "undici-types"):
        if (ROOT / "node_modules" / name).exists():
            (modules / name).symlink_to(ROOT / "node_modules" / name)
    for name in ("main.ts", "tsconfig.json", "package.json"):
        shutil.copyfile(client / "conformance" / name, consumer / name)
    _run([tsc, "--project", consumer])


def _ts(folder: Path) -> Program:
    return Program(("node", str(folder / "consumer" / "out" / "main.js")))


def _make_go(folder: Path) -> None:
    options = {"GOFLAGS": "-mod=readonly", "GOTOOLCHAIN": "local"}
    _run(["go", "vet", "./..."], ROOT / "clients" / "go", **options)
    _run(["go", "build", "-o", folder / "conformance", "./conformance"], ROOT / "clients" / "go", **options)


def _compiled(folder: Path) -> Program:
    return Program((str(folder / "conformance"),))


def _make_rust(folder: Path) -> None:
    """Build the crate and its program. The compiled dependencies stay beside the folder, for the next build."""
    target = {"CARGO_TARGET_DIR": str(OUT / "rust-target"), "RUSTFLAGS": "-D warnings"}
    _run(["cargo", "build", "--quiet", "--example", "conformance"], ROOT / "clients" / "rust", **target)
    shutil.copy(OUT / "rust-target" / "debug" / "examples" / "conformance", folder / "conformance")
    _run(["cargo", "package", "--quiet", "--no-verify", "--allow-dirty"], ROOT / "clients" / "rust", **target)
    (folder / "package").mkdir()
    for crate in (OUT / "rust-target" / "package").glob("*.crate"):
        shutil.copy(crate, folder / "package")


def _make_java(folder: Path) -> None:
    """Build the contract's jar and the client's, and compile the program against both."""
    repository, package = OUT.parent / "java" / "repository", folder / "package"
    maven = ["mvn", "--quiet", "--batch-mode", f"-Dmaven.repo.local={repository}"]
    _run([*maven, "--file", "proto", f"-DoutputFolder={folder / 'contract'}", "install"])
    _run([*maven, "--file", "clients/java", f"-DoutputFolder={folder / 'client'}", "package"])
    package.mkdir()
    for jar in (*(folder / "contract").glob("*.jar"), *(folder / "client").glob("*.jar")):
        shutil.copy(jar, package)
    program = ROOT / "clients" / "java" / "conformance" / "Conformance.java"
    _run(["javac", "-Xlint:all,-path", "-Werror", "-cp", _class_path(folder), "-d", folder / "program", program])


def _class_path(folder: Path) -> str:
    return os.pathsep.join((f"{folder}/program", f"{folder}/package/*", f"{folder}/client/libraries/*"))


def _java(folder: Path) -> Program:
    # The suite runs on few cores and for seconds: the simple collector and the first compiler save its start.
    return Program(("java", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", _class_path(folder), "Conformance"))


_COMPILER = str(ROOT / "node_modules" / ".bin" / "tsc")
CLIENTS = {
    client.name: client
    for client in (
        Client("python", (), ("clients/python", "gen/python"), _make_python, _python, manners=("asyncio", "threads")),
        Client(
            "ts",
            ("node", "npm", _COMPILER),
            ("clients/ts", "gen/ts", "package-lock.json"),
            _make_ts,
            _ts,
        ),
        Client("go", ("go",), ("clients/go", "gen/go"), _make_go, _compiled),
        Client("java", ("mvn", "javac"), ("clients/java", "proto"), _make_java, _java),
        Client("rust", ("cargo",), ("clients/rust", "gen/mailmesh.binpb"), _make_rust, _compiled),
    )
}


def main() -> int:
    """Build all clients whose toolchain is here, and say where the packages are."""
    for client in CLIENTS.values():
        if client.absent:
            print(f"skipped {client.name}: {', '.join(client.absent)} is not installed", file=sys.stderr)
            continue
        client.build()
        print(OUT / client.name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
