"""A folder for a small suite."""

from pathlib import Path

import pytest

from tests.suite.sample import Sample


@pytest.fixture
def sample(tmp_path: Path) -> Sample:
    """An empty folder for a suite, whose runner puts its temporary files beside it."""
    folder, temporary = tmp_path / "suite", tmp_path / "tmp"
    for made in (folder, temporary):
        made.mkdir()
    return Sample(folder, environment={"TMPDIR": str(temporary)})
