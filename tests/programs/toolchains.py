"""Toolchains of other languages, which a machine may lack: tests that need one are skipped, and in CI they fail."""

import os
import shutil

import pytest


def require(*programs: str) -> None:
    """Skips the test when a program is absent; with CI=true it fails instead.

    Args:
        programs: Names to be found on the path ("node"), or paths of files that setting up makes.
    """
    absent = [name for name in programs if not shutil.which(name)]
    if absent and os.environ.get("CI") == "true":
        pytest.fail(f"CI needs {', '.join(absent)}")
    if absent:
        pytest.skip(f"{', '.join(absent)}: not on this machine")
