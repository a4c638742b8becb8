"""The console in Chromium, against the running mesh with both simulated providers."""

import shutil

import pytest

from tests.mesh.console.walking import CHROMIUM, prepared, walked
from tests.programs.mesh import Mesh
from tests.programs.toolchains import require

pytestmark = [
    pytest.mark.timeout(1000),
    pytest.mark.skipif(shutil.which(CHROMIUM) is None, reason="no Chromium is installed"),
]
STEPS = 23


@pytest.fixture(autouse=True)
def _tools() -> None:
    require("node", "node_modules/playwright-core/cli.js")


def test_a_person_walks_through_the_console(mesh: Mesh) -> None:
    steps = walked("walk.mjs", prepared(mesh))

    assert {step["step"]: step["error"] for step in steps if step["error"]} == {}
    assert len(steps) == STEPS
