"""Fills the tables of a page that is otherwise written by hand, between `<!-- bench: KIND -->` and `<!-- end -->`.

A figure's name is `KIND, COLUMN: ROW`. If one row is called "total", the table also shows the others as shares of it.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.measure import Figure, Result

ALL = "total"
ORIGIN = "origin"
_PLACE = re.compile(r"(<!-- bench: ([a-z]+) -->\n).*?(<!-- end -->)", re.DOTALL)
_SMALL, _LARGE = 0.05, 100


def fill(page: Path, results: Sequence[Result]) -> None:
    """Rewrite a page's tables; the text around them stays.

    Args:
        page: The page.
        results: The results whose figures it shows; no two of them have the same kind.

    Raises:
        KeyError: The page asks for a kind that no result has.
    """
    tables = {ORIGIN: "\n\n".join(f"`{result.name}`: {origin(result)}" for result in results)}
    for result in results:
        tables |= {kind: _table(rows) for kind, rows in _kinds(result.figures).items()}
    page.write_text(_PLACE.sub(lambda place: f"{place[1]}{tables[place[2]]}\n{place[3]}", page.read_text()))


def origin(result: Result) -> str:
    """Return the commit, time and machine of a measurement."""
    machine = result.machine
    return (
        f"Commit {result.commit}, {result.measured_at}, {machine.get('processors')} processors,"
        f" {machine.get('memory_gib')} GiB,\nPython {machine.get('python')}."
    )


def _kinds(figures: Sequence[Figure]) -> Mapping[str, Mapping[str, dict[str, Figure]]]:
    """Return the figures by kind, row and column."""
    found: dict[str, dict[str, dict[str, Figure]]] = {}
    for figure in figures:
        place, _, row = figure.name.partition(": ")
        kind, _, column = place.partition(", ")
        found.setdefault(kind, {}).setdefault(row, {})[column] = figure
    return found


def _table(rows: Mapping[str, dict[str, Figure]]) -> str:
    columns = list(next(iter(rows.values())))
    heads = [part for column in columns for part in ((column, "share") if ALL in rows else (column,))]
    lines = [f"| | {' | '.join(heads)} | unit | |", f"|---|{'---:|' * len(heads)}---|---|"]
    for row, cells in rows.items():
        parts = [part for column in columns for part in _cells(cells[column], rows.get(ALL, {}).get(column))]
        one = cells[columns[0]]
        lines.append(f"| {row} | {' | '.join(parts)} | {one.unit} | {one.note} |")
    return "\n".join(lines)


def _cells(figure: Figure, whole: Figure | None) -> tuple[str, ...]:
    size = abs(figure.value)
    digits = 0 if size >= _LARGE else 3 if 0 < size < _SMALL else 2
    shown = f"{figure.value:,.{digits}f}"
    return (shown,) if whole is None else (shown, f"{figure.value / whole.value:.0%}")
