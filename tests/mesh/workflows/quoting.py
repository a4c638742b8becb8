"""A workflow that asks a person in the words of a stranger, as one that quotes a mail does."""

from typing import Any, TypedDict

from langgraph.graph import END, START, StateGraph
from langgraph.types import interrupt

from tests.factories.strangers import MARKUP


class State(TypedDict, total=False):
    """The answer."""

    answer: Any


def ask(state: State) -> State:
    """Ask, with a stranger's words as the name of a field, its value and in a list: 4 KiB at most."""
    return {"answer": interrupt({"mail": MARKUP * 10, MARKUP: [MARKUP, 7]})}


graph = StateGraph(State)
graph.add_node("ask", ask)
graph.add_edge(START, "ask")
graph.add_edge("ask", END)
