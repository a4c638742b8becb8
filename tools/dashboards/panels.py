"""Grafana's dashboards from few words: rows of panels, each with its queries in PromQL."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

_SOURCE = {"type": "prometheus", "uid": "${source}"}
_COLUMNS = 24
_HEIGHT = 8
# The schema of Grafana's dashboards that versions from 10 on read.
_SCHEMA = 38


@dataclass(frozen=True)
class Panel:
    """A graph of one or more queries.

    Args:
        title: The heading.
        queries: PromQL with the legend of each: `{{label}}` stands for a label's value.
        unit: Grafana's name of the unit: "short", "s", "reqps", "percentunit", "ms" or "dateTimeFromNow".
        about: A sentence for readers who see the panel for the first time.
    """

    title: str
    queries: Sequence[tuple[str, str]]
    unit: str = "short"
    about: str = ""


@dataclass(frozen=True)
class Dashboard:
    """A dashboard.

    Args:
        key: The name of its file and its identifier in Grafana.
        title: The heading.
        panels: From left to right, three in a row.
    """

    key: str
    title: str
    panels: Sequence[Panel]


def rendered(dashboard: Dashboard) -> dict[str, Any]:
    """Return a dashboard as Grafana imports it; the same words give the same JSON."""
    return {
        "uid": f"mailmesh-{dashboard.key}",
        "title": f"mailmesh: {dashboard.title}",
        "tags": ["mailmesh"],
        "schemaVersion": _SCHEMA,
        "editable": False,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {
            "list": [{"name": "source", "label": "Prometheus", "type": "datasource", "query": "prometheus"}]
        },
        "links": [{"title": "mailmesh", "type": "dashboards", "tags": ["mailmesh"], "asDropdown": True}],
        "panels": [_panel(number, panel) for number, panel in enumerate(dashboard.panels)],
    }


def _panel(number: int, panel: Panel) -> dict[str, Any]:
    width = _COLUMNS // 3
    return {
        "id": number + 1,
        "type": "timeseries",
        "title": panel.title,
        "description": panel.about,
        "datasource": _SOURCE,
        "gridPos": {"x": width * (number % 3), "y": _HEIGHT * (number // 3), "w": width, "h": _HEIGHT},
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}},
        "targets": [
            {"refId": chr(ord("A") + place), "datasource": _SOURCE, "expr": query, "legendFormat": legend}
            for place, (query, legend) in enumerate(panel.queries)
        ],
    }
