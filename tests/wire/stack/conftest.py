"""A mesh that answers with text that acts on terminals."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.wire.stack.hostile import hostile_mesh


@pytest.fixture
def mesh(short_folder: Path) -> Iterator[str]:
    with hostile_mesh(short_folder) as address:
        yield address
