"""The operator's graphs: found by the settings, imported once, compiled for each attempt."""

from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import structlog

from services.meshkit.settings import SettingsError

if TYPE_CHECKING:
    from langgraph.graph import StateGraph

logger = structlog.get_logger(__name__)
_VARIABLE = "MAILMESH_WORKFLOWS_GRAPHS"

Graphs = Mapping[str, "StateGraph[Any, Any, Any, Any]"]
"""The graphs, not compiled, by the names of their workflows."""


def load_graphs(named: Mapping[str, str]) -> Graphs:
    """Import the graphs. Without LangGraph there are none: the service runs, and knows no workflow.

    Args:
        named: `module:attribute` by the name of the workflow.

    Raises:
        SettingsError: A module does not import, or has no such graph.
    """
    if not named:
        return {}
    if find_spec("langgraph") is None:
        logger.error("workflows need an extra: pip install 'mailmesh[workflows]'", workflows=len(named))
        return {}
    return {name: _load(name, place) for name, place in named.items()}


def _load(name: str, place: str) -> "StateGraph[Any, Any, Any, Any]":
    from langgraph.graph import StateGraph  # noqa: PLC0415 - an extra, which takes a second to import

    module, _, attribute = place.partition(":")
    try:
        found = getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as exc:
        raise SettingsError([f"{_VARIABLE}: {name}: {place} does not import: {exc}."]) from exc
    if not isinstance(found, StateGraph):
        raise SettingsError([f"{_VARIABLE}: {name}: {place} is not a StateGraph of LangGraph."])
    return found
