"""A workflow of three steps that act on files: one line for each execution, under the key of the action."""

import os
from pathlib import Path
from typing import TypedDict

from langgraph.graph import END, START, StateGraph
from langgraph.runtime import Runtime

from services.workflows.engine.context import Mesh

FOLDER = "MAILMESH_WORKFLOWS_TEST_EFFECTS"
STEPS = ("first", "second", "third")


class State(TypedDict, total=False):
    """The state of a run."""

    event_id: str
    done: str


def _act(mesh: Mesh, step: str) -> None:
    """Note an execution, and make the effect of its key if it is not there: as a command behaves."""
    folder = Path(os.environ[FOLDER])
    with (folder / "executions").open("a") as noted:
        noted.write(f"{mesh.run_id} {step}\n")
    effect = folder / f"{mesh.event_id} {step} {mesh.key(step)}"
    effect.touch()


async def first(_: State, runtime: Runtime[Mesh]) -> State:
    """Act once."""
    _act(runtime.context, "first")
    return {"done": "first"}


async def second(_: State, runtime: Runtime[Mesh]) -> State:
    """Act once."""
    _act(runtime.context, "second")
    return {"done": "second"}


def third(_: State, runtime: Runtime[Mesh]) -> State:
    """Act once, in a thread."""
    _act(runtime.context, "third")
    return {"done": "third"}


graph = StateGraph(State, context_schema=Mesh)
for name, step in zip(STEPS, (first, second, third), strict=True):
    graph.add_node(name, step)
for before, after in ((START, "first"), ("first", "second"), ("second", "third"), ("third", END)):
    graph.add_edge(before, after)
