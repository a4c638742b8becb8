"""The start of a Python process that has no environment and finds the same packages as its parent."""

import os
import sys
from pathlib import Path

import services

# Python itself drops PYTHONPATH and the working folder (`-I`), so the folders are an argument. Files that the parent
# left open by mistake are closed before anything else: not every event loop does that for its children.
_START = """
import os, runpy, sys
os.closerange(3, 65536)
sys.path[:0] = sys.argv.pop(1).split(os.pathsep)
runpy.run_module(sys.argv.pop(1), run_name="__main__", alter_sys=True)
"""


def isolated_command(module: str, *words: str) -> tuple[str, ...]:
    """Return the command that runs a module of ours in an isolated interpreter, with an environment or without.

    Args:
        module: The module's full name.
        words: Its arguments.
    """
    return (sys.executable, "-I", "-c", _START, os.pathsep.join(_folders()), module, *words)


def _folders() -> list[str]:
    """List the folder that holds our packages, and those that PYTHONPATH names, as in the image."""
    own = str(Path(services.__path__[0]).resolve().parent)
    named = [folder for folder in os.environ.get("PYTHONPATH", "").split(os.pathsep) if Path(folder).is_absolute()]
    return list(dict.fromkeys((own, *named)))
