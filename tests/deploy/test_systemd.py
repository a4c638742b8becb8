"""The systemd unit, checked by systemd's own tools where they are."""

import shutil
import subprocess

import pytest

from tools.generate.protos import ROOT

UNIT = ROOT / "deploy" / "systemd" / "mailmesh.service"
ANALYZE = shutil.which("systemd-analyze")
LARGEST_EXPOSURE = "20"
"""In tenths: systemd-analyze calls everything below 2.5 "OK"."""

pytestmark = pytest.mark.skipif(ANALYZE is None, reason="systemd-analyze is not installed")


def test_the_units_hardening_keeps_its_grade() -> None:
    command = (str(ANALYZE), "security", "--offline=true", f"--threshold={LARGEST_EXPOSURE}", "--no-pager", str(UNIT))
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == 0, done.stdout[-2000:] + done.stderr


def test_systemd_knows_every_option_of_the_unit() -> None:
    done = subprocess.run(
        (str(ANALYZE), "verify", "--man=no", str(UNIT)), capture_output=True, text=True, timeout=60, check=False
    )
    complaints = [line for line in done.stderr.splitlines() if UNIT.name in line]

    # The program of the unit is not installed on the machine of the tests.
    assert [] == [line for line in complaints if "is not executable" not in line]
