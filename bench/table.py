"""`python -m bench.table`: puts the results into the documentation.

docs/performance.md is made as a whole; of the pages in `FILLED` the tables are, and the text is written by hand.
"""

import json
from pathlib import Path

from bench.fill import fill, origin
from bench.measure import REPOSITORY, RESULTS, Figure, Result

PAGE = REPOSITORY / "docs" / "performance.md"
FILLED = {
    "where-the-time-goes.md": ("where_time_goes",),
    "how-it-grows.md": ("grow_ingest", "grow_workers", "grow_events"),
}
HEAD = """# What was measured

Made by `python -m bench.table` from the files in `bench/results`; `make bench` writes those anew. Each program measures
its comparison in the same run. Ratios travel between machines; times do not.
"""


def main() -> None:
    """Writes the pages."""
    results = [_read(path) for path in sorted(RESULTS.glob("*.json"))]
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text("\n".join((HEAD, *(_section(result) for result in results))))
    for page, names in FILLED.items():
        fill(PAGE.with_name(page), [result for result in results if result.name in names])


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
        return f"The figures, and what they mean: [{page}]({page})."
    rows = "\n".join(_row(figure) for figure in result.figures)
    return f"| figure | value | unit | target | reached |\n|---|---:|---|---|---|\n{rows}"


def _row(figure: Figure) -> str:
    decision = {None: "", True: "yes", False: "**no**"}[figure.is_reached]
    name = f"{figure.name} ({figure.note})" if figure.note else figure.name
    return f"| {name} | {figure.value:,.3f} | {figure.unit} | {figure.target} | {decision} |"


if __name__ == "__main__":
    main()
