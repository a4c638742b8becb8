"""How many ordinary mails a core maps in a second, beside an earlier build of mailmesh if there is one."""

import asyncio
import json
import os
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path

from bench import measure
from bench.measure import REPOSITORY, Figure, Options

EARLIER = "MAILMESH_BENCH_EARLIER"
PROGRAM = Path(__file__).with_name("mapping_machine.py")
SECONDS, QUICK_SECONDS = 1.0, 0.05
METHOD = f"""Each round starts one process that maps mails of each kind for a second of processor time. Rounds of this
build alternate with those of the build in the folder that `{EARLIER}` names, when it names one. The figures are
medians; the notes give the smallest and the largest round. A ratio is that of the medians, of this build to the
earlier one."""


async def program(options: Options) -> Sequence[Figure]:
    """Measure both builds in turn."""
    builds = {"now": REPOSITORY}
    if earlier := os.environ.get(EARLIER):
        builds["earlier"] = Path(earlier)
    rounds: dict[str, list[dict[str, float]]] = {name: [] for name in builds}
    for _ in range(options.repeats):
        for name, folder in builds.items():
            rounds[name].append(await _round(folder, QUICK_SECONDS if options.is_quick else SECONDS))
    return [figure for kind in rounds["now"][0] for figure in _figures(kind, rounds)]


async def _round(folder: Path, seconds: float) -> dict[str, float]:
    interpreter = folder / ".venv" / "bin" / "python"
    process = await asyncio.create_subprocess_exec(
        str(interpreter) if interpreter.exists() else sys.executable, str(PROGRAM), str(seconds),
        cwd=folder, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    output, _ = await process.communicate()
    if process.returncode:
        raise SystemExit(f"the mapping of {folder} does not run")
    return {str(kind): float(rate) for kind, rate in json.loads(output).items()}


def _figures(kind: str, rounds: dict[str, list[dict[str, float]]]) -> list[Figure]:
    rates = {name: [made[kind] for made in given] for name, given in rounds.items()}
    medians = {name: statistics.median(found) for name, found in rates.items()}
    figures = [
        Figure(f"{kind}{', earlier build' if name == 'earlier' else ''}", medians[name], "1/s",
               note=f"{min(found):,.0f} to {max(found):,.0f}")
        for name, found in rates.items()
    ]  # fmt: skip
    if "earlier" in medians:
        figures.append(Figure(f"{kind}, ratio", medians["now"] / medians["earlier"], "ratio", ">= 1.0"))
    return figures


if __name__ == "__main__":
    measure.main("map_mails", "How many ordinary mails does a core map in a second?", METHOD, program)
