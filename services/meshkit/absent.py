"""Packages for terminals that the processes of services do without: import this module first, and in programs only.

structlog and httpx import rich and pygments for the eyes of a person whenever they are installed, as they are for the
command line beside the services. In each process that takes 4 MiB and a tenth of the time until it is ready. Both
libraries do without them as if they were not installed.
"""

import sys
from typing import Final

ABSENT: Final = ("pygments", "rich")

for _name in ABSENT:
    if _name not in sys.modules:
        # Python raises ModuleNotFoundError for it.
        sys.modules[_name] = None  # type: ignore[assignment]
