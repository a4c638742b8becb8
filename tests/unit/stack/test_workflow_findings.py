"""The doctor's checks of workflows: packages, and the API key at an edge that accepts, refuses or is away."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from stack.diagnosis.finding import Finding, Grade
from stack.diagnosis.workflows import workflow_findings

GRAPHS = {"MAILMESH_WORKFLOWS_GRAPHS": "triage=examples.workflows.triage:graph"}
STATUS_BY_KEY = {"Bearer good": 200, "Bearer reader": 403}


class _Edge(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        is_asked = self.path == "/v1/workflow-runs?pageSize=1"
        self.send_response(STATUS_BY_KEY.get(self.headers.get("authorization", ""), 401) if is_asked else 404)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Write nothing."""


@pytest.fixture
def edge() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), _Edge) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def of_key(settings: dict[str, str], edge: str = "") -> Finding:
    """Return the finding about the key."""
    (_, found) = workflow_findings(GRAPHS | settings, edge)
    return found


def test_without_graphs_nothing_is_checked() -> None:
    assert [] == list(workflow_findings({"MAILMESH_WORKFLOWS_GRAPHS": " "}, "http://127.0.0.1:1"))


@pytest.mark.parametrize("place", ["absent_package.triage:graph", ":graph", "", "...:graph"])
def test_a_package_that_is_not_installed_is_named(place: str) -> None:
    found = next(workflow_findings({"MAILMESH_WORKFLOWS_GRAPHS": f"one=examples.x:graph,two={place}"}, ""))

    assert (Grade.BAD, True) == (found.grade, "two=" in found.fact and "MAILMESH_WORKFLOWS_GRAPHS" in found.remedy)


def test_packages_are_found_without_running_their_code() -> None:
    found = next(workflow_findings(GRAPHS, ""))

    assert (Grade.GOOD, "1 are set, and their packages are installed") == (found.grade, found.fact)


@pytest.mark.parametrize(
    ("content", "mode", "fact"),
    [(None, 0, "cannot be read"), ("\n", 0o600, "is empty"), ("good\n", 0o640, "can be read by others (mode 640)")],
)
def test_a_file_without_a_safe_key_is_a_fault(tmp_path: Path, content: str | None, mode: int, fact: str) -> None:
    path = tmp_path / "workflows.key"
    if content is not None:
        path.write_text(content)
        path.chmod(mode)
    found = of_key({"MAILMESH_WORKFLOWS_API_KEY_FILE": str(path)})

    assert (Grade.BAD, True) == (found.grade, fact in found.fact)
    assert "good" not in found.fact + found.remedy


def test_no_key_is_a_warning() -> None:
    found = of_key({})

    assert (Grade.WARNING, True) == (found.grade, "there is none" in found.fact)


@pytest.mark.parametrize(
    ("key", "grade", "fact"),
    [
        ("good", Grade.GOOD, "accepts"),
        ("reader", Grade.BAD, "role or abilities"),
        ("revoked", Grade.BAD, "answers 401"),
    ],
)
def test_the_edge_is_asked_whether_it_accepts_the_key(edge: str, key: str, grade: Grade, fact: str) -> None:
    found = of_key({"MAILMESH_WORKFLOWS_API_KEY": key}, edge)

    assert (grade, True) == (found.grade, fact in found.fact)
    assert "Bearer" not in found.fact + found.remedy


def test_an_edge_that_is_away_is_a_fault() -> None:
    assert "did not answer" in of_key({"MAILMESH_WORKFLOWS_API_KEY": "good"}, "http://127.0.0.1:1").fact
