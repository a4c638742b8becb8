"""The dashboards of deploy/grafana, from the words in `boards`."""

import json

from tools.dashboards.boards import DASHBOARDS
from tools.dashboards.panels import rendered
from tools.generate.protos import ROOT

FOLDER = ROOT / "deploy" / "grafana"


def files() -> dict[str, str]:
    """Return the text of each file by its name."""
    return {f"{one.key}.json": json.dumps(rendered(one), indent=2) + "\n" for one in DASHBOARDS}
