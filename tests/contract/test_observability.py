"""The page of metrics and logs agrees with the source, and the source records nothing that the page omits."""

import importlib
import io
import json
import pkgutil
import re
from pathlib import Path

import pytest
import structlog
from prometheus_client import REGISTRY, Metric

import services
from services.meshkit.correlation import correlated
from services.meshkit.logs import configure_logs
from tools.check.documents import reference
from tools.document import observability, telemetry
from tools.document.telemetry_words import FIELDS, LABELS, LINE
from tools.generate.protos import ROOT

PROSE = ROOT / "docs" / "how-to" / "monitor.md"
NEW_METRIC = 'from prometheus_client import Gauge\nX = Gauge("mailmesh_x", "Says x.", ["provider", "colour"])\n'


def source(folder: Path, text: str) -> Path:
    """Create a folder `services` with one module of meshkit."""
    module = folder / "services" / "meshkit" / "new.py"
    module.parent.mkdir(parents=True)
    module.write_text(text)
    return folder / "services"


def served() -> dict[str, Metric]:
    """Return the metrics that a process with all services' modules would expose to Prometheus."""
    for module in pkgutil.walk_packages(services.__path__, "services."):
        if ".migrations." not in module.name and not module.name.endswith(".__main__"):
            importlib.import_module(module.name)
    return {metric.name: metric for metric in REGISTRY.collect() if metric.name.startswith("mailmesh_")}


def test_the_metrics_of_the_page_are_those_that_processes_serve() -> None:
    found = telemetry.metrics(ROOT / "services")

    assert {name: (metric.type, metric.documentation) for name, metric in served().items()} == {
        one.name.removesuffix("_total") if one.kind == "counter" else one.name: (one.kind, one.meaning) for one in found
    }


def test_the_committed_page_is_fresh() -> None:
    assert "observability.md" in reference()


def test_a_new_metric_makes_the_page_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = source(tmp_path, NEW_METRIC)

    assert [telemetry.Metric("services/meshkit/new.py", "mailmesh_x", "gauge", "Says x.", ("provider", "colour"))] == (
        telemetry.metrics(folder)
    )
    monkeypatch.setattr(observability, "ROOT", tmp_path)
    with pytest.raises(observability.UnexplainedError, match="colour"):
        observability.page()


def test_a_new_field_must_be_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source(tmp_path, 'logger.info("painted", colour=1, tenant_id="")\n')
    monkeypatch.setattr(observability, "ROOT", tmp_path)
    monkeypatch.setattr(observability, "LABELS", {})

    with pytest.raises(observability.UnexplainedError, match="colour"):
        observability.page()


def test_a_metric_that_no_known_process_serves_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source(tmp_path, NEW_METRIC)
    monkeypatch.setattr(observability, "ROOT", tmp_path)
    monkeypatch.setattr(observability, "GROUPS", {"services/ingest/": "Ingest"})

    with pytest.raises(observability.UnexplainedError, match=r"meshkit/new\.py"):
        observability.page()


@pytest.mark.parametrize(
    ("text", "levels", "fields"),
    [
        ('logger.info("x", a=1)', ("info",), {"a"}),
        ('logger.exception("x")', ("error",), {"exception"}),
        ('logger.error("x", exc_info=exc)', ("error",), {"exception"}),
        ('(logger.info if up else logger.warning)("x", a=1)', ("info", "warning"), {"a"}),
        ('write = logger.debug if quiet else logger.info\nwrite("x", a=1)', ("debug", "info"), {"a"}),
        ('more = {"a": 1}\nmore["b"] = 2\nlogger.info("x", **more)', ("info",), {"a"}),
        (
            'def more():\n    d = {"a": 1}\n    d["b"] = 2\n    return d\nlogger.info("x", **more())',
            ("info",),
            {"a", "b"},
        ),
    ],
)
def test_a_line_is_read_however_it_is_written(
    text: str, levels: tuple[str, ...], fields: set[str], tmp_path: Path
) -> None:
    events = telemetry.log_events(source(tmp_path, text))

    assert [telemetry.LogEvent("services/meshkit/new.py", "x", levels, frozenset(fields))] == events


@pytest.mark.parametrize(
    "text",
    ['logger.info(f"x {y}")', 'logger.info("x", **given)', "pass_on(logger.info)"],
)
def test_a_line_that_cannot_be_read_is_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(telemetry.UnreadableError, match=r"new\.py:"):
        telemetry.log_events(source(tmp_path, text))


def test_a_metric_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    folder = source(tmp_path, "from prometheus_client import Gauge\nX = Gauge(name, 'Says x.')\n")

    with pytest.raises(telemetry.UnreadableError, match="literals"):
        telemetry.metrics(folder)


def test_the_fields_on_every_line_are_those_on_the_page() -> None:
    stream = io.StringIO()
    with structlog.testing.capture_logs():  # restores the configuration
        configure_logs("processor", stream=stream)
        with correlated():
            structlog.get_logger("services.processor.mailbox.token_cache").info("lent")

    assert LINE.keys() - {"exception", "trace_id"} == json.loads(stream.getvalue()).keys()


def test_no_label_is_an_id() -> None:
    assert [name for name in LABELS if name.endswith("_id")] == []
    assert "tenant_id" in FIELDS


def test_the_prose_names_each_field_of_the_edge_s_log() -> None:
    template = (ROOT / "gateway" / "envoy.yaml").read_text()
    block = re.search(r"json_format:\n((?: +\w+: .*\n)+)", template)
    assert block is not None
    fields = re.findall(r"^ +(\w+):", block[1], re.MULTILINE)

    assert [] == [field for field in fields if f"`{field}`" not in PROSE.read_text()]


def test_the_prose_names_no_metric_that_is_not_there() -> None:
    known = {metric.name for metric in telemetry.metrics(ROOT / "services")}
    named = set(re.findall(r"\bmailmesh_\w+", PROSE.read_text()))

    assert set() == {name for name in named if re.sub(r"_(bucket|sum|count)$", "", name) not in known}
