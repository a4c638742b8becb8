"""The order in which several processes share the tests: one process runs a file, and all files of a shared fixture.

A session fixture such as a whole mesh takes seconds to start and uses the machine as long as it runs. So one process
runs all files that ask for it, before any other file; the files of a mesh are shared by three.
"""

import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from typing_extensions import override
from xdist.scheduler import LoadFileScheduling

GROUNDS = {"mesh": "Mesh", "kept": "Kept"}
"""Session fixtures that start programs, with the types that they return."""
FURTHER_MESHES = (("tests/mesh/console/", "tests/security/"), ("tests/mesh/processor/",))
"""Folders whose files share a mesh of their own, each group in another process: one after the other, all files of the
mesh would take longer than everything else together."""
LONG_FILES = frozenset({
    *("test_archive.py", "test_mapping_pool.py", "test_triage.py", "test_agents_sign_in.py", "test_pulling.py"),
    *("test_backup.py", "test_broken_mails.py", "test_doubt.py", "test_reconcile.py", "test_killing.py"),
    *("test_outages.py", "test_processes.py", "test_program.py", "test_programs.py", "test_raw.py", "test_restart.py"),
    *("test_rotation.py", "test_strangers.py", "test_terminal.py", "test_torture.py", "test_truth.py", "test_up.py"),
    *("test_conformance.py", "test_image.py", "test_java.py", "test_leftovers.py", "test_nothing_left.py"),
    *("test_gmail_doubt.py", "test_many_endpoints.py"),
})  # fmt: skip
"""Names of files that take longest: the processes start them first and fill up with short ones at the end."""


@cache
def ground_of(file: Path) -> str:
    """Return the fixture that a file's tests share with those of other files; empty if there is none."""
    text = file.read_text()
    return next((name for name, given in GROUNDS.items() if _asks_for(text, name, given)), "")


def _asks_for(text: str, name: str, given: str) -> bool:
    """Tell whether a test or fixture asks for it and the file does not define its own."""
    has_own = f"\ndef {name}(" in text
    asking = rf"^(?:@pytest\.fixture.*\n(?:async )?def \w+|(?:async )?def test_)[^)]*\b{name}: {given}\b"
    return not has_own and bool(re.search(asking, text, re.MULTILINE))


class ByGround(LoadFileScheduling):
    """Hands out files in the order of the collection, and the files of a shared fixture as if they were one."""

    @override
    def _split_scope(self, nodeid: str) -> str:
        file: str = super()._split_scope(nodeid)
        ground = ground_of(self.config.rootpath / file)
        groups = enumerate(FURTHER_MESHES, 2) if ground == "mesh" else ()
        return next((f"{ground} {number}" for number, folders in groups if file.startswith(folders)), ground or file)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByGround | None:
    """Replaces the scheduler that `--dist loadfile` names."""
    if config.getoption("dist") != "loadfile":
        return None
    # By default the files with most tests come first, and the run ends waiting for those with few long tests.
    config.option.loadscopereorder = False
    return ByGround(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts first the files of a shared fixture, which one process runs alone, then the other long files.

    The files that start no program come last: their tests are the shortest, so that all processes end together.
    """
    items.sort(key=lambda item: (not ground_of(item.path), item.path.name not in LONG_FILES, "unit" in item.path.parts))
