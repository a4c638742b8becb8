"""The reports as a page of the documentation."""

from collections.abc import Sequence

from clients.builds import ROOT
from clients.conformance.cases import CASES
from clients.conformance.run import WEBHOOKS, WEBHOOKS_TITLE, Report

PAGE = ROOT / "docs" / "reference" / "clients.md"
NAMES = {"python": "Python", "ts": "TypeScript", "go": "Go", "java": "Java", "rust": "Rust"}
_HEAD = """# What the clients do

<!-- Written by `python -m clients.conformance --write` from the reports of the conformance suite. -->

For developers of consumers. After reading this page you know how each client behaves when the mesh, the network or a
later version of the contract makes it difficult.

Every client runs the same cases against a program that plays a difficult mesh. Each cell comes from the report of the
client's run.
[Follow with a client](../how-to/clients.md) shows how to use them.

"""


def page(reports: Sequence[Report]) -> str:
    """Return the page with a column for each report."""
    titles = {**{case.name: case.title for case in CASES}, WEBHOOKS: WEBHOOKS_TITLE}
    rows = [f"| a client | {' | '.join(_heading(report.client) for report in reports)} |"]
    rows.append("|---|" + "---|" * len(reports))
    for name, title in titles.items():
        rows.append(f"| {title} | {' | '.join(cell(report, name) for report in reports)} |")
    return _HEAD + "\n".join(rows) + "\n"


def column(text: str, client: str) -> list[str]:
    """Return the cells of a client's column in a page.

    Raises:
        ValueError: The page has no such column.
    """
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("| ")]
    place = rows[0].index(_heading(client))
    return [row[place] for row in rows[1:]]


def cell(report: Report, name: str) -> str:
    """Return the cell of a case."""
    return "no" if report.complaints.get(name, "not run") else "yes"


def _heading(client: str) -> str:
    name, _, manner = client.partition("/")
    return f"{NAMES[name]} ({manner})" if manner else NAMES[name]
