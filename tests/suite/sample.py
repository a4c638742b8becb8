"""A small suite of its own in a temporary folder, and the real runner over it."""

import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import dedent

RUN_SECONDS = 120
SETTINGS = """\
[pytest]
markers = serial: alone
addopts = --import-mode=importlib -ra
filterwarnings = error
"""
# Plugins that these suites do not use cost more than their tests.
PLUGINS = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_PLUGINS": "xdist.plugin"}


@dataclass(frozen=True)
class Ended:
    """A run that has ended."""

    code: int
    lines: list[str]
    complaint: str


@dataclass(frozen=True)
class Sample:
    """A folder with test files.

    Attributes:
        folder: The folder; it becomes the root of the tests.
        module: The module that runs them.
    """

    folder: Path
    module: str = "tools.suite"
    environment: dict[str, str] = field(default_factory=dict)
    workers: str = "1"

    def write(self, name: str, text: str) -> None:
        """Writes a file of the suite."""
        (self.folder / "pytest.ini").write_text(SETTINGS)
        (self.folder / name).write_text(dedent(text))

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        """Starts the runner."""
        return subprocess.Popen(
            (sys.executable, "-m", self.module, "-n", self.workers, *arguments),
            cwd=self.folder,
            env=os.environ | PLUGINS | self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str) -> Ended:
        """Runs the runner to its end."""
        process = self.start(*arguments)
        try:
            output, complaint = process.communicate(timeout=RUN_SECONDS)
        finally:
            if process.poll() is None:
                process.terminate()
                process.communicate()
        return Ended(process.returncode, output.splitlines(), complaint)
