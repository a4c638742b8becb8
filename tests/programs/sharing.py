"""Who runs what when several processes share the tests: a file is run by one, and so are all that share a ground.

What a session holds for its tests, a whole mesh say, takes seconds to start and works on while nobody looks. So all
files that ask for it are run by the same process, first of all, and the others need none.
"""

import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from typing_extensions import override
from xdist.scheduler import LoadFileScheduling

GROUNDS = {"mesh": "Mesh", "kept": "Kept"}
"""Fixtures of a session that start programs, with what they give."""


@cache
def ground_of(file: Path) -> str:
    """The ground that a file's tests share with other files', empty when there is none."""
    text = file.read_text()
    return next((name for name, given in GROUNDS.items() if _asks_for(text, name, given)), "")


def _asks_for(text: str, name: str, given: str) -> bool:
    """Whether a test or fixture takes it, and the file has no such ground of its own."""
    has_own = f"\ndef {name}(" in text
    return not has_own and bool(re.search(rf"^(?:async )?def [a-z][^)]*\b{name}: {given}\b", text, re.MULTILINE))


class ByGround(LoadFileScheduling):
    """Gives out files in the order of the collection, and files that share a ground as if they were one."""

    @override
    def _split_scope(self, nodeid: str) -> str:
        file: str = super()._split_scope(nodeid)
        return ground_of(self.config.rootpath / file) or file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByGround | None:
    """Takes the place of the scheduler that `--dist loadfile` names."""
    if config.getoption("dist") != "loadfile":
        return None
    # Otherwise the files with most tests come first, and those with few that take long are waited for at the end.
    config.option.loadscopereorder = False
    return ByGround(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts first what is run by one process alone, since the others can share the rest."""
    items.sort(key=lambda item: not ground_of(item.path))
