"""The console's modules that need no page pass their tests in Node's own runner."""

import subprocess
from pathlib import Path

import pytest

from tests.programs.toolchains import require
from tools.generate.protos import ROOT

pytestmark = pytest.mark.timeout(120)


def test_the_tests_of_the_modules_pass() -> None:
    require("node", "node_modules/.bin/esbuild")
    done = subprocess.run(
        ["node", "--test", str(Path(__file__).with_name("console_modules.test.mjs"))],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "fail 0" in done.stdout
