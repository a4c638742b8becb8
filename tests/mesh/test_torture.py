"""The short form of `make torture`."""

import random
from pathlib import Path

import pytest

from tests.mesh.torture import run

pytestmark = pytest.mark.timeout(420)
SECONDS = 20.0


def test_no_mail_is_lost_or_told_twice_whatever_happens(
    tmp_path_factory: pytest.TempPathFactory, short_folder: Path
) -> None:
    seed = random.SystemRandom().randrange(1_000_000)

    assert [] == run(short_folder / "torture", seed, SECONDS), f"seed {seed}"
