"""`python -m bench.table`: makes docs/performance.md of the results. Nothing in that page is written by hand."""

import json
from pathlib import Path

from bench.measure import REPOSITORY, RESULTS, Figure, Result

PAGE = REPOSITORY / "docs" / "performance.md"
HEAD = """# What was measured

Made by `python -m bench.table` from the files in `bench/results`; `make bench` writes those anew. Each program measures
its comparison in the same run. Ratios travel between machines; times do not.
"""


def main() -> None:
    """Writes the page."""
    results = [_read(path) for path in sorted(RESULTS.glob("*.json"))]
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text("\n".join((HEAD, *(_section(result) for result in results))))


def _read(path: Path) -> Result:
    document = json.loads(path.read_text())
    return Result(**document | {"figures": [Figure(**figure) for figure in document["figures"]]})


def _section(result: Result) -> str:
    machine = result.machine
    rows = "\n".join(_row(figure) for figure in result.figures)
    return f"""## {result.name}

{result.question}

{result.method}

| figure | value | unit | target | reached |
|---|---:|---|---|---|
{rows}

Commit {result.commit}, {result.measured_at}, {machine.get("processors")} processors, {machine.get("memory_gib")} GiB,
Python {machine.get("python")}.
"""


def _row(figure: Figure) -> str:
    verdict = {None: "", True: "yes", False: "**no**"}[figure.is_reached]
    name = f"{figure.name} ({figure.note})" if figure.note else figure.name
    return f"| {name} | {figure.value:,.3f} | {figure.unit} | {figure.target} | {verdict} |"


if __name__ == "__main__":
    main()
