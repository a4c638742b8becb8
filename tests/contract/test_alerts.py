"""The alert rules and dashboards: each has its page, and reads only metrics and labels that the source exports."""

import json
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.programs.prometheus import PROMTOOL, metrics_in, rule_files, rules
from tests.programs.toolchains import require
from tools import dashboards
from tools.check import alerts
from tools.check.outcome import CheckError
from tools.document import telemetry
from tools.generate.protos import ROOT

RUNBOOKS = ROOT / "docs" / "runbooks"
INDEX = (RUNBOOKS / "index.md").read_text()
EXPORTED = {metric.name: set(metric.labels) for metric in telemetry.metrics(ROOT / "services")}
# Those that Prometheus adds, and those of a histogram.
ALWAYS = {"job", "instance", "le"}
ALERTS = [rule for rule in rules() if "alert" in rule]
QUERIES = [
    *(rule["expr"] for rule in rules()),
    *(
        target["expr"]
        for text in dashboards.files().values()
        for panel in json.loads(text)["panels"]
        for target in panel["targets"]
    ),
]
_SELECTED = re.compile(r"\b((?:mailmesh|envoy)_\w+)(?:\{([^}]*)\})?")
_MATCHED = re.compile(r"(\w+)\s*(?:=~|!~|!=|=)")
_GROUPED = re.compile(r"sum by \(([^)]*)\) \(+rate\((mailmesh_\w+)")


def plain(name: str) -> str:
    """Return the name of the histogram that a series belongs to, or the name itself."""
    base = re.sub(r"_(bucket|sum|count)$", "", name)
    return base if base in EXPORTED else name


@pytest.mark.parametrize("query", sorted(set(QUERIES)))
def test_a_query_reads_metrics_and_labels_that_the_services_export(query: str) -> None:
    services = {plain(name) for name in metrics_in(query) if name.startswith("mailmesh_")}
    assert services <= EXPORTED.keys()
    for name, matched in _SELECTED.findall(query):
        if name.startswith("mailmesh_"):
            assert set(_MATCHED.findall(matched)) <= EXPORTED[plain(name)] | ALWAYS
    for labels, name in _GROUPED.findall(query):
        assert {label.strip() for label in labels.split(",")} <= EXPORTED[plain(name)] | ALWAYS


@pytest.mark.parametrize("rule", ALERTS, ids=[rule["alert"] for rule in ALERTS])
def test_an_alert_has_a_runbook_that_shows_its_expression(rule: dict[str, dict[str, str]]) -> None:
    page = RUNBOOKS / f"{rule['annotations']['runbook'].removeprefix('runbooks/')}.md"
    text = page.read_text()

    assert f"# {rule['alert']}\n" in text
    assert f"```promql\n{rule['expr']}\n```" in text
    assert f"[{rule['alert']}]({page.name})" in INDEX
    assert rule["labels"]["severity"] in ("page", "ticket")
    assert f"Severity `{rule['labels']['severity']}`" in text


def test_each_runbook_belongs_to_an_alert() -> None:
    named = {f"{rule['annotations']['runbook'].removeprefix('runbooks/')}.md" for rule in ALERTS}

    assert named | {"index.md"} == {path.name for path in RUNBOOKS.iterdir()}


def test_each_promise_has_an_alert() -> None:
    promises = re.findall(r"^\| (\d+)\. .* \| \[Mailmesh", INDEX, re.MULTILINE)

    assert promises == [str(number) for number in range(1, 11)]


def test_dashboards_have_the_parts_that_operators_look_for() -> None:
    wanted = {
        "overview",
        "ingest",
        "processing",
        "providers",
        "delivery",
        "vault",
        "sends-calendars",
        "workflows-search",
    }

    assert {f"{name}.json" for name in wanted} == dashboards.files().keys()
    assert alerts.fresh()


def test_a_stale_dashboard_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(dashboards, "FOLDER", tmp_path)

    with pytest.raises(CheckError, match=r"overview\.json"):
        alerts.fresh()


def test_a_series_that_is_born_with_the_first_failure_fires(tmp_path: Path) -> None:
    """A counter with labels has no series before its first failure: `increase` alone would never see that one."""
    require(PROMTOOL)
    series = 'mailmesh_ingest_items_buried_total{reason="MESSAGE_UNREADABLE", job="ingest", instance="a"}'
    # Prometheus runs all the time; it runs, and a new process has the failure; it is installed over a running mesh.
    always, installed = "1x90", "_x74 1x15"
    cases = [
        (always, "a", "_x69 1x20", 1),
        (always, "a", "1x90", 0),
        (always, "a", "3x69 4x20", 1),
        (always, "b", "_x69 1x20", 1),
        (installed, "a", "_x74 5x15", 0),
        (installed, "a", "_x74 5 5 6x13", 1),
    ]
    tests = [
        {
            "interval": "1m",
            "input_series": [
                {"series": series, "values": values},
                {"series": f'up{{job="ingest", instance="{older}"}}', "values": up},
            ],
            "promql_expr_test": [
                {
                    "expr": 'count(ALERTS{alertname="MailmeshDeadLetters",alertstate="firing"}) or vector(0)',
                    "eval_time": "80m",
                    "exp_samples": [{"value": count}],
                }
            ],
        }
        for up, older, values, count in cases
    ]
    file = tmp_path / "born.yml"
    file.write_text(yaml.safe_dump({"rule_files": [str(path) for path in rule_files()], "tests": tests}))
    done = subprocess.run([PROMTOOL, "test", "rules", file], capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == 0, done.stdout + done.stderr


def test_refused_resource_data_and_an_ending_certificate_fire(tmp_path: Path) -> None:
    require(PROMTOOL)
    refused = (
        'mailmesh_ingest_notifications_total{outcome="data_refused", provider="ms365", job="ingest", instance="a"}'
    )
    expiry = 'mailmesh_ingest_notification_certificate_expiry_timestamp_seconds{job="ingest", instance="a"}'
    week = 7 * 86400
    # The clock of these tests begins at 0, and the alerts are read after 100 minutes. 0: there is no certificate.
    cases = [
        (refused, "_x69 1x40", "MailmeshResourceDataRefused", 1),
        (refused, "3x69 4x40", "MailmeshResourceDataRefused", 1),
        (refused, "3x110", "MailmeshResourceDataRefused", 0),
        (expiry, f"{week - 3600}x110", "MailmeshNotificationCertificateEnds", 1),
        (expiry, f"{week + 6001}x110", "MailmeshNotificationCertificateEnds", 0),
        (expiry, "0x110", "MailmeshNotificationCertificateEnds", 0),
    ]
    tests = [
        {
            "interval": "1m",
            "input_series": [
                {"series": series, "values": values},
                {"series": 'up{job="ingest", instance="a"}', "values": "1x110"},
            ],
            "promql_expr_test": [
                {
                    "expr": f'count(ALERTS{{alertname="{alert}",alertstate="firing"}}) or vector(0)',
                    "eval_time": "100m",
                    "exp_samples": [{"value": count}],
                }
            ],
        }
        for series, values, alert, count in cases
    ]
    file = tmp_path / "resource-data.yml"
    file.write_text(yaml.safe_dump({"rule_files": [str(path) for path in rule_files()], "tests": tests}))
    done = subprocess.run([PROMTOOL, "test", "rules", file], capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
