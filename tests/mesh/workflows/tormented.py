"""The triage of the examples, in a process that is killed before each step, and behind it before the result is kept."""

import os
import signal
from collections.abc import Awaitable, Callable
from functools import wraps
from pathlib import Path
from typing import Any

from langgraph.runtime import Runtime

from examples.workflows.triage import STEPS, State, build

PLACE = "MAILMESH_WORKFLOWS_TEST_KILLS"
"""The folder of the marks of kills: each happens once for a run."""
Step = Callable[[State, Any], Awaitable[State]]


def _kill_once(run_id: str, step: str, phase: str) -> None:
    mark = Path(os.environ[PLACE]) / f"{run_id} {step} {phase}"
    if not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)


def _tormented(name: str, step: Step) -> Step:
    @wraps(step)
    async def run(state: State, runtime: Runtime[Any]) -> State:
        _kill_once(state["run_id"], name, "before")
        result = await step(state, runtime)
        _kill_once(state["run_id"], name, "after")
        return result

    return run


graph = build({name: _tormented(name, step) for name, step in STEPS.items()})
