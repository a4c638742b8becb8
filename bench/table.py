"""`python -m bench.table` puts the results into the documentation.

docs/reference/performance.md is generated as a whole. The pages in `FILLED` are written by hand, except their tables.
"""

import json
from pathlib import Path

from bench.fill import fill, origin
from bench.measure import REPOSITORY, RESULTS, Figure, Result

DOCS = REPOSITORY / "docs"
PAGE = DOCS / "reference" / "performance.md"
FILLED = {
    "explanation/where-the-time-goes.md": ("where_time_goes", "against", "against_start", "bytes_per_event"),
    "explanation/how-it-grows.md": ("grow_ingest", "grow_workers", "grow_events"),
}
HEAD = """# Measurements

For readers who compare mailmesh with other designs or with an earlier version. After reading this page you know the
figure, the target and the method of every benchmark.

`python -m bench.table` generates this page from the files in `bench/results`, and `make bench` writes those files. Each
program measures its comparison in the same run. Ratios are comparable between machines; times are not.
"""


def main() -> None:
    """Write the pages."""
    results = [_read(path) for path in sorted(RESULTS.glob("*.json"))]
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text("\n".join((HEAD, *(_section(result) for result in results))))
    for page, names in FILLED.items():
        fill(DOCS / page, [result for result in results if result.name in names])


def _read(path: Path) -> Result:
    document = json.loads(path.read_text())
    return Result(**document | {"figures": [Figure(**figure) for figure in document["figures"]]})


def _section(result: Result) -> str:
    return f"""## {result.name}

{result.question}

{result.method}

{_figures(result)}

{origin(result)}
"""


def _figures(result: Result) -> str:
    page = next((page for page, names in FILLED.items() if result.name in names), "")
    if page:
        return f"The figures and their meaning: [{Path(page).name}](../{page})."
    rows = "\n".join(_row(figure) for figure in result.figures)
    return f"| figure | value | unit | target | reached |\n|---|---:|---|---|---|\n{rows}"


def _row(figure: Figure) -> str:
    decision = {None: "", True: "yes", False: "**no**"}[figure.is_reached]
    name = f"{figure.name} ({figure.note})" if figure.note else figure.name
    return f"| {name} | {figure.value:,.3f} | {figure.unit} | {figure.target} | {decision} |"


if __name__ == "__main__":
    main()
