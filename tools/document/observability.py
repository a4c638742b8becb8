"""The page of all metrics and log lines, made from the source; a word that nothing explains fails here."""

from collections.abc import Iterable, Iterator, Mapping

from tools.document.telemetry import LogEvent, Metric, log_events, metrics
from tools.document.telemetry_words import FIELDS, GROUPS, LABELS, LINE
from tools.generate.protos import ROOT

_NOTE = "<!-- Made by `make gen`; never edited. -->\n"
_ABOUT = """\
What every process counts and logs. What to alert on, Envoy's own metrics and how traces are joined:
[monitor.md](../how-to/monitor.md).
"""
_ABOUT_METRICS = """\
Each process serves its metrics at `http://MAILMESH_METRICS_LISTEN/metrics`. A name that more than one process has
means the same in each; Prometheus tells them apart by `job` and `instance`. A counter's unit is what it counts. A
histogram is read as `..._bucket`, `..._sum` and `..._count`. Each label has a bounded number of values: never an id or
an address.
"""
_ABOUT_LOGS = """\
One JSON object a line, to standard error. A line with an exception has `exception`, the traceback, which is masked as
all text is. Libraries write their own lines in the same form, at `warning` and above.
"""


class UnexplainedError(Exception):
    """Something is counted or logged under a word that has no explanation, or an explanation is left over."""


def page() -> str:
    """Every metric and every log line of the services."""
    counted, logged = metrics(ROOT / "services"), log_events(ROOT / "services")
    parts = ["# Metrics and logs\n", _NOTE, _ABOUT, "## Metrics\n", _ABOUT_METRICS]
    for group in dict.fromkeys(GROUPS.values()):
        rows = [_metric(metric) for metric in counted if _group(metric.module) == group]
        if rows:
            parts += [f"### {group}\n", _table(("metric", "kind", "unit", "labels", "what it says"), rows)]
    parts += [
        "### Labels\n",
        _labels(counted),
        "## Logs\n",
        _ABOUT_LOGS,
        "### On every line\n",
        _explained("field", LINE),
    ]
    parts += ["### Events\n", "`where` is the line's `logger`, without `services.`.\n"]
    for group in dict.fromkeys(_service(event.module) for event in logged):
        parts += [f"#### {group}\n", _table(("event", "level", "fields", "where"), _events(logged, group))]
    parts += ["### Fields\n", _fields(logged)]
    return "\n".join(parts)


def _metric(metric: Metric) -> tuple[str, ...]:
    labels = ", ".join(f"`{label}`" for label in metric.labels)
    own = [f"`{label}`: {LABELS[key]}" for label in metric.labels if (key := f"{metric.name}.{label}") in LABELS]
    return (
        f"`{metric.name}`",
        metric.kind,
        _unit(metric),
        labels,
        " ".join([metric.meaning, *(f"{one}." for one in own)]),
    )


def _unit(metric: Metric) -> str:
    if metric.name.endswith("_timestamp_seconds"):
        return "Unix time, seconds"
    if metric.name.endswith("_seconds"):
        return "seconds"
    return "0 or 1" if metric.name.endswith("_up") else "count"


def _labels(counted: Iterable[Metric]) -> str:
    wanted = {label if label in LABELS else f"{metric.name}.{label}" for metric in counted for label in metric.labels}
    own = {key for metric in counted for label in metric.labels if (key := f"{metric.name}.{label}") in LABELS}
    _compare("label", wanted | own, LABELS)
    return _explained("label", {name: said for name, said in LABELS.items() if "." not in name})


def _events(logged: Iterable[LogEvent], group: str) -> Iterator[tuple[str, ...]]:
    """One row for each event and module: a line that is written in two ways has the fields of both."""
    together: dict[tuple[str, str], list[LogEvent]] = {}
    for event in logged:
        if _service(event.module) == group:
            together.setdefault((event.module, event.name), []).append(event)
    for (module, name), ways in together.items():
        levels = dict.fromkeys(level for way in ways for level in way.levels)
        fields = sorted({field for way in ways for field in way.fields} - LINE.keys())
        where = module.removeprefix("services/").removesuffix(".py").replace("/", ".")
        yield f"`{name}`", ", ".join(levels), ", ".join(f"`{field}`" for field in fields), f"`{where}`"


def _fields(logged: Iterable[LogEvent]) -> str:
    _compare("field", {field for event in logged for field in event.fields} - LINE.keys(), FIELDS)
    return _explained("field", FIELDS)


def _compare(what: str, used: Iterable[str], explained: Mapping[str, str]) -> None:
    lacking, spare = set(used) - explained.keys(), explained.keys() - set(used)
    if lacking or spare:
        raise UnexplainedError(
            f"tools/document/telemetry_words.py: explain each {what} of {sorted(lacking)}, take out {sorted(spare)}"
        )


def _group(module: str) -> str:
    for place, group in GROUPS.items():
        if module.startswith(place):
            return group
    raise UnexplainedError(f"tools/document/telemetry_words.py: whose metrics are those of {module}?")


def _service(module: str) -> str:
    return {
        "meshkit": "Every process",
        "token_vault": "TokenVault",
        "ingest": "Ingest",
        "processor": "Processor",
    }[module.split("/")[1]]


def _explained(head: str, words: Mapping[str, str]) -> str:
    return _table((head, "meaning"), ((f"`{name}`", words[name]) for name in sorted(words)))


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)
