"""`python -m tests.programs.dying_worker STEP`: a worker that dies right after it has committed a step of a send.

It dies as by SIGKILL: nothing is closed, and nothing that comes after the commit happens.
"""

import os
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from services.processor.__main__ import main
from services.processor.outbox.ledger import Ledger

DIED = 9
"""The exit status of the death."""
STEPS = ("intend", "drafted", "submitting", "accepted", "sent")
"""The commits of a send without a fault, in order."""


def dying(step: Callable[..., Awaitable[Any]], name: str, fatal: str) -> Callable[..., Awaitable[Any]]:
    """Return a step of the ledger that commits, and then ends the process if it is the fatal one."""

    async def commit(*arguments: Any) -> Any:
        done = await step(*arguments)
        if name == fatal:
            os._exit(DIED)
        return done

    return commit


if __name__ == "__main__":
    last = sys.argv[1]
    for one in STEPS:
        setattr(Ledger, one, dying(getattr(Ledger, one), one, last))
    sys.exit(main(["work"]))
