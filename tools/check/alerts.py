"""Checks of deploy/: Prometheus accepts rules and configuration, and the dashboards are those of tools/dashboards."""

import subprocess
from pathlib import Path

from tools import dashboards
from tools.check.outcome import CheckError, Skipped
from tools.generate.protos import ROOT
from tools.prometheus import program

RULES = ROOT / "deploy" / "prometheus" / "rules"
CONFIGURATION = ROOT / "deploy" / "prometheus" / "prometheus.yml"
_SECONDS = 60


def rules() -> str:
    """Check the rules and the configuration that loads them by promtool.

    Raises:
        CheckError: promtool refuses a file.
        Skipped: promtool is not installed.
    """
    files = sorted(str(path) for path in RULES.glob("*.yml"))
    _promtool("check", "rules", *files)
    _promtool("check", "config", str(CONFIGURATION))
    return ", ".join(Path(name).name for name in files)


def fresh() -> str:
    """Check that deploy/grafana holds what tools/dashboards makes.

    Raises:
        CheckError: A dashboard differs, is missing, or is one too many.
    """
    wanted = dashboards.files()
    found = {path.name: path.read_text(encoding="utf-8") for path in dashboards.FOLDER.glob("*.json")}
    if stale := sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name)):
        raise CheckError("run `make gen` and commit:\n" + "\n".join(stale))
    return ", ".join(sorted(found))


def _promtool(*arguments: str) -> None:
    promtool = program("promtool")
    if not promtool.exists():
        raise Skipped("promtool is not installed")
    done = subprocess.run([promtool, *arguments], capture_output=True, text=True, timeout=_SECONDS, check=False)
    if done.returncode != 0:
        raise CheckError(done.stdout + done.stderr)
