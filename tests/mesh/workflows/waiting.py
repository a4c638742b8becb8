"""A workflow that asks a person, and does nothing else."""

from typing import Any, TypedDict

from langgraph.graph import END, START, StateGraph
from langgraph.types import interrupt


class State(TypedDict, total=False):
    """The answer."""

    answer: Any


def ask(state: State) -> State:
    """Ask."""
    return {"answer": interrupt({"may": "go on"})}


graph = StateGraph(State)
graph.add_node("ask", ask)
graph.add_edge(START, "ask")
graph.add_edge("ask", END)
