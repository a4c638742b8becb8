"""A workflow whose plain step does not return."""

import os
import threading
from pathlib import Path
from typing import TypedDict

from langgraph.graph import END, START, StateGraph

from tests.wire.workflows.noted_steps import FOLDER


class State(TypedDict, total=False):
    """The state of a run."""

    event_id: str


def hang(_: State) -> State:
    """Say so, and hang."""
    (Path(os.environ[FOLDER]) / "hangs").touch()
    threading.Event().wait()
    return {}


graph = StateGraph(State)
graph.add_node("hang", hang)
graph.add_edge(START, "hang")
graph.add_edge("hang", END)
