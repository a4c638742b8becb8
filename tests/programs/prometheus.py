"""Figures of a running mesh for Prometheus: scraped as it does, and evaluated by its own programs."""

import json
import re
import subprocess
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import yaml
from prometheus_client.parser import text_string_to_metric_families

from stack.programs.prometheus import job_of
from tests.programs.mesh import Mesh
from tools.check.alerts import RULES
from tools.documents import read_yaml
from tools.prometheus import program

PROMTOOL = str(program("promtool"))
PROMETHEUS = str(program("prometheus"))
_NAME = re.compile(r"\b(?:mailmesh_|envoy_)\w+|\bup\b")
# Where labels stand: in braces, and behind `by` and `on`.
_LABELS = re.compile(r"\{[^}]*\}|\b(?:by|on) \([^)]*\)")
# Minutes: the figures before the fault stand for longer than the longest window of a rule, then the fault goes on.
_QUIET, _FAULTY = 70, 40
_FIRING = 'count(ALERTS{{alertname="{}",alertstate="firing"}}) > bool 0 or vector(0)'
_FAILED = re.compile(r'expr: "count\(ALERTS\{alertname=\\?"(\w+)')


@dataclass(frozen=True)
class Scrape:
    """The figures of all processes at one time.

    Args:
        at: Seconds of a monotonic clock.
        figures: Values by series, such as `up{instance="...", job="edge"}`.
    """

    at: float
    figures: dict[str, float]


def exposed(mesh: Mesh) -> dict[str, str]:
    """Read the metrics of each process of a mesh, as text."""
    with httpx.Client(timeout=20, trust_env=False) as client:
        return {name: client.get(url).text for name, url in mesh.ready.metrics.items()}


def scrape(mesh: Mesh, names: Iterable[str]) -> Scrape:
    """Read the metrics of these names with the labels that Prometheus adds."""
    wanted, figures = set(names), {}
    for process, text in exposed(mesh).items():
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                if sample.name in wanted:
                    labels = {**sample.labels, "job": job_of(process), "instance": process}
                    figures[sample.name + _written(labels)] = sample.value
        figures["up" + _written({"job": job_of(process), "instance": process})] = 1
    return Scrape(time.monotonic(), figures)


def _written(labels: dict[str, str]) -> str:
    return "{" + ", ".join(f"{name}={json.dumps(value)}" for name, value in sorted(labels.items())) + "}"


def rule_files() -> list[Path]:
    """Return the files of rules."""
    return sorted(RULES.glob("*.yml"))


def rules() -> list[dict[str, Any]]:
    """Return all rules, as written."""
    groups = [group for path in rule_files() for group in read_yaml(path.read_text())["groups"]]
    return [rule for group in groups for rule in group["rules"]]


def metrics_in(*queries: str) -> set[str]:
    """Return the names of the exported metrics that queries read."""
    return {name for query in queries for name in _NAME.findall(_LABELS.sub("", query))}


def firing(before: Scrape, after: Scrape, folder: Path) -> set[str]:
    """Evaluate the rules by promtool over the figures before and after a fault, and return the alerts that fire.

    The figures before stand for 70 minutes. Then the fault goes on for 40 minutes: counters grow at the rate that was
    measured between the two, gauges keep their value.

    Args:
        before: The figures before the fault.
        after: The figures with it.
        folder: For promtool's file.
    """
    alerts = sorted(rule["alert"] for rule in rules() if "alert" in rule)
    case = {
        "interval": "1m",
        "input_series": [{"series": name, "values": _values(name, before, after)} for name in sorted(after.figures)],
        "promql_expr_test": [
            {"expr": _FIRING.format(name), "eval_time": f"{_QUIET + _FAULTY - 1}m", "exp_samples": [{"value": 0}]}
            for name in alerts
        ],
    }
    content = {"rule_files": [str(path) for path in rule_files()], "evaluation_interval": "1m", "tests": [case]}
    file = folder / "firing.yml"
    file.write_text(yaml.safe_dump(content))
    done = subprocess.run([PROMTOOL, "test", "rules", file], capture_output=True, text=True, timeout=120, check=False)
    found = set(_FAILED.findall(done.stdout + done.stderr))
    assert (done.returncode == 0) == (not found), done.stdout + done.stderr
    return found


def _values(name: str, before: Scrape, after: Scrape) -> str:
    now, then = after.figures[name], before.figures.get(name)
    is_counter = name.partition("{")[0].endswith(("_total", "_count", "_sum", "_bucket", "_xx", "_error"))
    grown = (now - (then or 0)) / (after.at - before.at) * 60 if is_counter else 0.0
    quiet = f"_x{_QUIET - 1}" if then is None else f"{then!r}+0x{_QUIET - 1}"
    return f"{quiet} {now!r}+{max(grown, 0.0)!r}x{_FAULTY}"
