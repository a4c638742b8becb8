#!/usr/bin/env bash
# Expected: `Command(resume={ID: answer})` answers the question with that id. Given once more after a crash, when the question has
#           had its answer and the same node asks another one, under another id, it answers nothing: no question has the id.
# Seen:     the answer to the first question becomes the answer to the second one. "Which colour?" - "red" also answers
#           "Which size?". Between nodes it does not happen.
# Versions: langgraph 1.2.24, langgraph-checkpoint 4.3.2 (PyPI).
# Source:   langchain-ai/langgraph pull request 4406, "mapping interrupt ids -> resume values"; the output below was seen by
#           running this file.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT; cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check langgraph==1.2.24 langgraph-checkpoint==4.3.2
cat > asks.py <<'P'
import asyncio
from typing import Any, TypedDict

from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command, interrupt


class State(TypedDict, total=False):
    first: Any
    second: Any


async def ask(_: State) -> State:
    return {"first": interrupt("which colour?"), "second": interrupt("which size?")}


async def main() -> None:
    made = StateGraph(State)
    made.add_node("ask", ask)
    made.add_edge(START, "ask")
    made.add_edge("ask", END)
    graph, config = made.compile(checkpointer=InMemorySaver()), {"configurable": {"thread_id": "1"}}
    (first,) = (await graph.ainvoke({"first": ""}, config))["__interrupt__"]
    answer = Command(resume={first.id: "red"})
    (second,) = (await graph.ainvoke(answer, config))["__interrupt__"]
    print("asked", second.value, "under another id:", first.id != second.id)
    print("the same answer to the first id again:", await graph.ainvoke(answer, config))


asyncio.run(main())
P
venv/bin/python asks.py | tee seen
diff -u - seen <<'O'
asked which size? under another id: True
the same answer to the first id again: {'first': 'red', 'second': 'red'}
O
