"""Checks of the lock files: exact, with hashes, in step with the requirements, and without any address."""

import json
import re
import tomllib
from collections.abc import Iterator

from packaging.requirements import Requirement

from tools.check.outcome import CheckError
from tools.generate import protos

_LOCKS = ("requirements.lock", "package-lock.json")
_ADDRESS = re.compile(r"\b[a-z+]+://|\"resolved\"|--(?:extra-)?index-url|--find-links")


def without_addresses() -> str:
    """Check that no lock file names the source of a package, which each installing machine chooses."""
    found = [f"{name}:{fault}" for name in _LOCKS for fault in addresses((protos.ROOT / name).read_text())]
    if found:
        raise CheckError("\n".join(found))
    return ", ".join(_LOCKS)


def addresses(text: str) -> list[str]:
    """Return the lines of a lock file that name a source, with their numbers."""
    return [f"{number}: {line.strip()}" for number, line in enumerate(text.splitlines(), 1) if _ADDRESS.search(line)]


def in_step() -> str:
    """Check that every package of pyproject.toml and package.json is locked at a permitted version."""
    faults = [*_python_faults(), *_node_faults()]
    if faults:
        raise CheckError("run `make lock` or `npm install`:\n" + "\n".join(faults))
    return "pyproject.toml, package.json"


def _python_faults() -> Iterator[str]:
    locked = dict(re.findall(r"^([a-z0-9._-]+)==(\S+)", (protos.ROOT / "requirements.lock").read_text(), re.MULTILINE))
    project = tomllib.loads((protos.ROOT / "pyproject.toml").read_text())["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    for requirement in (Requirement(text) for group in groups for text in group):
        version = locked.get(requirement.name)
        if version is None or not requirement.specifier.contains(version):
            yield f"{requirement} is required, {version} is locked"


def _node_faults() -> Iterator[str]:
    asked = json.loads((protos.ROOT / "package.json").read_text())
    locked = json.loads((protos.ROOT / "package-lock.json").read_text())["packages"]
    for name, version in {**asked["dependencies"], **asked["devDependencies"]}.items():
        have = locked.get(f"node_modules/{name}", {}).get("version")
        if have != version:
            yield f"{name} {version} is required, {have} is locked"
