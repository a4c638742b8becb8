"""The mesh of the demo: `python -m stack.demo_mesh FOLDER` runs it in a temporary folder, and removes the folder.

The demo may be killed at any moment. This process is tethered to it: it stops everything then, and leaves nothing.
"""

import os
import shutil
import signal
import sys
import threading
from pathlib import Path

from stack.errors import StackError
from stack.launcher import Launcher
from stack.options import UpOptions
from stack.report import Report
from stack.terminal import plain_console


def main(folder: Path) -> None:
    """Runs the mesh until a signal or a failure, which goes to standard output, and removes the folder."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: stop.set())
    options = UpOptions(data=folder / "data", http_port=0, has_simulator=True)
    try:
        Launcher(options, Report(plain_console()), dict(os.environ), stop).run()
    except (StackError, OSError) as fault:
        sys.exit(str(fault))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
