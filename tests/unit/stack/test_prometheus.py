"""The configuration and the page that `mailmesh up --watch-ui` gives to Prometheus."""

import json
import re
from pathlib import Path

import pytest

from stack.errors import StartError
from stack.options import UpOptions
from stack.plan import PROMETHEUS, port_names
from stack.programs import prometheus
from stack.programs.prometheus import PrometheusServer, job_of, page, target
from tools import dashboards

EDGE = "http://127.0.0.1:9901/stats/prometheus"


def server(folder: Path) -> PrometheusServer:
    return PrometheusServer(folder, 9090, {"ingest-2": "http://127.0.0.1:9101/metrics", "envoy": EDGE})


def test_prometheus_gets_a_port_and_a_place_by_the_option_alone() -> None:
    assert PROMETHEUS in port_names(UpOptions(has_watch_ui=True))
    assert PROMETHEUS not in port_names(UpOptions())


@pytest.mark.parametrize(
    ("process", "job"), [("ingest-12", "ingest"), ("token-vault", "token-vault"), ("envoy", "edge")]
)
def test_a_process_has_the_job_of_the_rules(process: str, job: str) -> None:
    assert job == job_of(process)


def test_the_edge_is_read_at_its_own_path() -> None:
    labels = {"job": "edge", "__metrics_path__": "/stats/prometheus"}

    assert {"targets": ["127.0.0.1:9901"], "labels": labels} == target("envoy", EDGE)


def test_the_page_has_every_panel_and_no_command_of_a_template() -> None:
    text = page()
    (data,) = re.findall(r'id="data">(.*?)</script>', text, re.DOTALL)
    boards = [json.loads(one) for one in dashboards.files().values()]

    assert "{{" not in text
    assert "<" not in data
    assert {panel["title"] for board in boards for panel in board["panels"]} == {
        panel["title"] for board in json.loads(data) for panel in board["panels"]
    }
    assert "overview" == json.loads(data)[0]["title"]


def test_the_files_are_written_again_at_each_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prometheus, "prometheus_binary", lambda: "prometheus")
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules/gone.yml").write_text("groups: []")

    program = server(tmp_path).program()

    assert not (tmp_path / "rules/gone.yml").exists()
    assert 2 == len(json.loads((tmp_path / "targets/mesh.json").read_text()))
    assert "--web.listen-address=127.0.0.1:9090" in program.command


def test_no_other_website_may_read_the_metrics(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prometheus, "prometheus_binary", lambda: "prometheus")
    (allowed,) = [
        one.removeprefix("--web.cors.origin=")
        for one in server(tmp_path).program().command
        if one.startswith("--web.cors.origin=")
    ]

    assert re.fullmatch(allowed, "http://127.0.0.1:9090")
    assert not re.fullmatch(allowed, "https://evil.example")
    assert not re.fullmatch(allowed, "http://127x0x0x1:9090")


def test_a_machine_without_prometheus_is_told_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(prometheus, "_REPOSITORY", tmp_path)

    with pytest.raises(StartError, match="install the package"):
        prometheus.prometheus_binary()
