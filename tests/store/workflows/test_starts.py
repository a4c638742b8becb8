"""The settings that say which events start runs."""

import pytest

from services.meshkit.settings import SettingsError
from services.workflows.server import starts_of
from services.workflows.settings import WorkflowsSettings
from tests.store.workflows.grounds import graph, one

GRAPHS = {"test": graph(one)}


def settings(starts: str) -> WorkflowsSettings:
    return WorkflowsSettings.model_construct(graphs=("test=package:graph",), starts=(starts,))


@pytest.mark.parametrize("types", ["workflow.*", "mail.created+workflow.succeeded", "workflow.waiting+mail.*"])
def test_no_filter_feeds_itself_with_the_events_of_its_runs(types: str) -> None:
    with pytest.raises(SettingsError, match="MAILMESH_WORKFLOWS_STARTS names workflow"):
        starts_of(settings(f"test={types}"), GRAPHS)


def test_other_events_start_runs() -> None:
    assert starts_of(settings("test=mail.created+calendar.*"), GRAPHS) == {"test": ["mail.created", "calendar.*"]}


def test_a_start_without_its_graph_is_refused() -> None:
    with pytest.raises(SettingsError, match="names other"):
        starts_of(settings("other=mail.created"), GRAPHS)
